//! The Shingle client: the protocol of [`shingle_proto`] driven over UDP and TCP.
//!
//! - [`blocking::Client`] reads values over UDP: large answers in chunks, what was lost asked for again, every value
//!   verified end to end. What UDP does not serve it reads over TCP.
//! - [`Control`] is a TCP connection: updates, administration, receipts, and reads where UDP does not work.
//!
//! ```no_run
//! use shingle_client::blocking::Client;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut client = Client::connect("127.0.0.1:7401")?;
//!     client.control().set(b"greeting", b"hello", 60)?;
//!     match client.get(b"greeting")? {
//!         Some(value) => println!("{}", value.escape_ascii()),
//!         None => println!("evicted, or older than 60 s"),
//!     }
//!     for (key, result) in ["a", "b"].iter().zip(client.get_many(&["a", "b"])) {
//!         println!("{key}: {} B", result?.map_or(0, |value| value.len()));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Neither needs a runtime. Programs that drive many flows, or have an event loop of their own, use the core in
//! [`shingle_proto::client`]; the source of [`blocking`] is the model for that.
#![forbid(unsafe_code)]

pub mod blocking;
pub mod control;
pub mod limits;

pub use control::{Control, ControlError};
