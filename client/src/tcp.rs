//! The TCP connection beside the reads over UDP: made again when it is needed and was lost.

use std::time::Duration;

use crate::control::{Control, ControlError};

/// A connection that may have ended since it was last used, as servers end idle ones and are started again.
#[derive(Debug)]
pub(crate) struct Tcp {
    /// The server as the caller named it.
    address: String,
    token: Vec<u8>,
    timeout: Duration,
    control: Option<Control>,
}

impl Tcp {
    pub(crate) fn new(address: &str, token: &[u8], timeout: Duration, control: Control) -> Tcp {
        Tcp { address: address.to_owned(), token: token.to_owned(), timeout, control: Some(control) }
    }

    /// The connection, a new one where the last call found it lost.
    pub(crate) fn control(&mut self) -> Result<&mut Control, ControlError> {
        match &mut self.control {
            Some(control) => Ok(control),
            none => Ok(none.insert(Control::connect(&self.address, &self.token, self.timeout)?)),
        }
    }

    /// Makes a call, and makes it once more over a new connection where the old one turns out to be lost: nobody had
    /// looked at it since the last call. A call may so reach the server twice.
    pub(crate) fn call<T>(
        &mut self,
        mut call: impl FnMut(&mut Control) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let is_used = self.control.is_some();
        let result = self.control().and_then(&mut call);
        match result {
            Err(error) if error.connection_lost() => {
                self.control = None;
                // A server that is silent on TCP is not asked twice: that would double the time the caller waits.
                if !is_used || matches!(error, ControlError::TimedOut { .. }) {
                    return Err(error);
                }
                let again = self.control().and_then(call);
                if again.as_ref().is_err_and(ControlError::connection_lost) {
                    self.control = None;
                }
                again
            }
            result => result,
        }
    }
}
