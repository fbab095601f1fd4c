//! Metrics for scrapers: the least HTTP they need, on one thread, one scraper after the other.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::Error;
use crate::limits::{WATCH_HTTP_REQUEST_BYTES_MAX, WATCH_HTTP_TIMEOUT};

/// Answers every scrape with the text put last, until it is dropped.
pub struct Metrics {
    text: Arc<Mutex<String>>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Listens on this address in the calling thread's network namespace.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn listen(address: SocketAddr) -> Result<Self, Error> {
        let refused = |error| Error::system(format!("cannot listen on {address} for --metrics"), error);
        let listener = TcpListener::bind(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (text, stop) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicBool::new(false)));
        let (shown, stopped) = (Arc::clone(&text), Arc::clone(&stop));
        let serve = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                match stream {
                    // A scraper that went away needs no answer.
                    Ok(stream) => drop(answer(stream, &shown)),
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("watch-metrics".to_owned()).spawn(serve).map_err(refused)?;
        Ok(Self { text, address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What scrapers get from now on.
    pub fn put(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The thread waits for a scraper: this is the last one. From another namespace it is not reached, and ends with the process.
        if TcpStream::connect_timeout(&self.address, WATCH_HTTP_TIMEOUT).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, text: &Mutex<String>) -> io::Result<()> {
    stream.set_read_timeout(Some(WATCH_HTTP_TIMEOUT))?;
    stream.set_write_timeout(Some(WATCH_HTTP_TIMEOUT))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    let begin = std::time::Instant::now();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n")
        && request.len() < WATCH_HTTP_REQUEST_BYTES_MAX
        && begin.elapsed() < WATCH_HTTP_TIMEOUT
    {
        match stream.read(&mut buffer)? {
            0 => break,
            bytes => request.extend_from_slice(&buffer[..bytes]),
        }
    }
    let (status, body) = match request.starts_with(b"GET ") {
        true => ("200 OK", text.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        false => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
