//! Workers: the data plane, one pinned thread for each socket.

mod counters;
mod receipts;
