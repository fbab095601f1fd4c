//! What the client for tokio does over TCP: updates, statistics, and the reads that UDP does not serve.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::Client;
use crate::control::{Control, ControlError};

impl Client {
    /// The server's own statistics, a JSON document, over TCP.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn server_stats(&self) -> Result<String, ControlError> {
        self.over_tcp("STATS", Control::stats).await
    }

    /// Stores a value for `ttl_s` seconds (0: until it is evicted) over TCP, and returns its version. A dropped future
    /// leaves open whether it was stored.
    ///
    /// # Errors
    /// See [`ControlError`]. A connection found lost is made again and the value sent again, so that it may have been
    /// stored twice.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl_s: u32,
    ) -> Result<u64, ControlError> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.over_tcp("SET", move |control| control.set(&key, &value, ttl_s)).await
    }

    /// Stores many values over TCP, given as (key, value, time to live in seconds), without waiting for each answer, and
    /// returns how many that were. A dropped future leaves open which were stored.
    ///
    /// # Errors
    /// As [`Control::set_all`]. A connection found lost is made again and all are sent again.
    pub async fn set_all<K, V>(&self, items: Vec<(K, V, u32)>) -> Result<u64, ControlError>
    where
        K: AsRef<[u8]> + Send + 'static,
        V: AsRef<[u8]> + Send + 'static,
    {
        self.over_tcp("SET", move |control| {
            let items = items.iter().map(|(key, value, ttl_s)| (key, value, *ttl_s));
            control.set_all(items, |_progress| ())
        })
        .await
    }

    /// Removes a key over TCP and tells whether it was stored. A dropped future leaves open whether it was removed.
    ///
    /// # Errors
    /// See [`ControlError`]. A connection found lost is made again and the key removed again, which then tells `false`.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, ControlError> {
        let key = key.as_ref().to_vec();
        self.over_tcp("DELETE", move |control| control.delete(&key)).await
    }

    /// Makes a call on the TCP connection, on a thread for blocking calls, one at a time. It waits for its turn no longer
    /// than [`Options::timeout`](crate::Options::timeout), so that behind a silent server calls do not queue up.
    ///
    /// The few calls over TCP are not worth a second implementation of the connection: the blocking one ends each
    /// silence by its timeout, so a thread is held no longer than that.
    pub(super) async fn over_tcp<T: Send + 'static>(
        &self,
        request: &'static str,
        call: impl FnMut(&mut Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let turn = Arc::clone(&self.shared.tcp).lock_owned();
        let Ok(mut tcp) = timeout_at(self.call().deadline, turn).await else {
            let address = self.shared.tcp_address.clone();
            return Err(ControlError::TimedOut { address, request, after: self.shared.options.timeout });
        };
        on_blocking_thread(move || tcp.call(call)).await
    }
}

/// Runs what blocks on a thread of the runtime's for that.
pub(super) async fn on_blocking_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(run).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and the future that waits here with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
