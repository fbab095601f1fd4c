//! To be written in this issue.
pub mod workload;
