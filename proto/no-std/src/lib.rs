//! Compiles only where neither `shingle-proto` nor anything it depends on brings std along: std has a panic handler of its own, and
//! a program can have one (E0152). `.ci/no-std` builds it.
#![no_std]
#![forbid(unsafe_code)]

// Named, so that it is loaded with all it depends on.
extern crate shingle_proto;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
