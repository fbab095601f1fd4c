//! How workers that share a port share its datagrams.

use std::str::FromStr;

/// Which of a port's workers takes a datagram. The server keeps no state per client, so this is about speed and about books that
/// can be told apart by flow: either way a flow keeps its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steer {
    /// By a hash of addresses and ports, as the kernel does by itself (SO_REUSEPORT): every worker gets its share, whatever the
    /// network card does.
    #[default]
    Flow,
    /// By the CPU that handles the datagram (a program attached with SO_ATTACH_REUSEPORT_CBPF): the worker on the same CPU, so that
    /// datagrams never change it. Good where the card has a queue and an interrupt for each worker's CPU, and only there: a card
    /// with one queue would keep one worker busy.
    Cpu,
}

impl FromStr for Steer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "flow" => Ok(Steer::Flow),
            "cpu" => Ok(Steer::Cpu),
            _ => Err(format!("`{text}` is not a way to share datagrams: choose flow or cpu")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_have_a_name() {
        assert_eq!(["flow", "cpu"].map(str::parse), [Ok(Steer::Flow), Ok(Steer::Cpu)]);
        let error = "CPU".parse::<Steer>().unwrap_err();
        assert!(error.contains("`CPU`") && error.contains("flow or cpu"), "{error}");
    }
}
