//! To be written in this issue.

fn main() {}
