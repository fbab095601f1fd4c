//! The laboratory on this machine's kernel: whole when it is up, gone when it is down.

mod capture;
mod common;
mod hold;
mod lifecycle;
mod up;
