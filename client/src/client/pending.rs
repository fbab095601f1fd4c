//! A read handed to the driver, seen from the call: the end of it, or its cancellation.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::reads::{Command, End};

/// Resolves to the end of a read. Dropped before, it cancels the read.
pub(super) struct Pending {
    token: u64,
    reply: oneshot::Receiver<End>,
    commands: mpsc::UnboundedSender<Command>,
    ended: bool,
}

impl Pending {
    /// The call's end and the driver's.
    pub(super) fn new(
        token: u64,
        commands: mpsc::UnboundedSender<Command>,
    ) -> (Pending, oneshot::Sender<End>) {
        let (sender, reply) = oneshot::channel();
        (Pending { token, reply, commands, ended: false }, sender)
    }
}

impl Future for Pending {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let reply = std::task::ready!(Pin::new(&mut self.reply).poll(context));
        self.ended = true;
        // A driver that is gone has answered nobody.
        Poll::Ready(reply.unwrap_or(End::Stopped))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // One that has its end already has nothing to cancel. The driver may be gone with the runtime.
        if !self.ended && matches!(self.reply.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            let _ = self.commands.send(Command::Cancel(self.token));
        }
    }
}
