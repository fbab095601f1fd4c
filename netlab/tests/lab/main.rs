//! The laboratory on this machine's kernel: whole when it is up, gone when it is down.

mod capture;
mod catalogue;
mod common;
mod counts;
mod hold;
mod lifecycle;
mod program;
mod up;
