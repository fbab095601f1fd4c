//! What each strategy does with an answer that is longer than the path carries, in words (`IP_MTU_DISCOVER` in ip(7), ipv6(7)).

use shingle_proto::wire::Strategy;

/// What it does on a path of this family.
pub fn does(strategy: Strategy, ipv6: bool) -> &'static str {
    match (strategy, ipv6) {
        (Strategy::Chunked, _) => {
            "cuts answers into datagrams of the size that probes proved; DF on each, no fragments anywhere"
        }
        (Strategy::Compressed, _) => "keeps values compressed, then does as chunked",
        (Strategy::KernelPmtud, _) => {
            "what a socket does unless told otherwise: the first answer above the path MTU to each destination is lost while the kernel learns it from ICMP, later ones leave as fragments of the server's host"
        }
        (Strategy::DfOff, false) => "DF never set, ICMP ignored: routers on the way make the fragments",
        (Strategy::Interface, false) => {
            "DF never set, ICMP ignored: routers on the way make the fragments; answers above the interface's MTU are refused"
        }
        (Strategy::DfOff, true) => {
            "ignores ICMP, and on IPv6 no router makes fragments: every answer above the path MTU is lost, for ever"
        }
        (Strategy::Interface, true) => {
            "ignores ICMP, and on IPv6 no router makes fragments: every answer above the path MTU is lost, for ever; those above the interface's MTU are refused"
        }
        (Strategy::DfStrict, _) => {
            "DF always set, never a fragment: the first answer above the path MTU is lost, later ones are refused with an error answer, to be read over TCP"
        }
    }
}

/// Whether its answers above the path MTU depend on fragments, whoever makes them.
pub fn needs_fragments(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::KernelPmtud | Strategy::DfOff | Strategy::Interface)
}
