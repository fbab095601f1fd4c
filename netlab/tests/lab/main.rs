//! The laboratory on this machine's kernel: whole when it is up, gone when it is down.

mod common;
mod lifecycle;
mod up;
