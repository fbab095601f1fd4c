//! What each strategy means for a UDP port's socket and for what it sends (design section 5).

use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::server::PortLimits;
use shingle_proto::wire::Strategy;
use shingle_udp::MtuDiscovery;

/// The socket's mode, the same for both families: OMIT and INTERFACE exist on IPv6 as well, where nobody on the way
/// fragments and a path MTU below the interface's is a black hole. `None` leaves the mode that this host gives every
/// socket: WANT, unless somebody set `ip_no_pmtu_disc` (which the kernel reads when a socket is made).
pub(crate) const fn mtu_discovery(strategy: Strategy) -> Option<MtuDiscovery> {
    match strategy {
        Strategy::Chunked | Strategy::Compressed => Some(MtuDiscovery::Probe),
        Strategy::KernelPmtud => None,
        Strategy::DfOff => Some(MtuDiscovery::Omit),
        Strategy::DfStrict => Some(MtuDiscovery::Do),
        Strategy::Interface => Some(MtuDiscovery::Interface),
    }
}

/// Whether an answer is one datagram, however long the value; otherwise it is cut into chunks.
pub(crate) const fn one_datagram(strategy: Strategy) -> bool {
    !matches!(strategy, Strategy::Chunked | Strategy::Compressed)
}

/// Whether the kernel fragments what is longer than the path MTU, so that the path limits nothing here.
pub(crate) const fn kernel_fragments(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::KernelPmtud | Strategy::DfOff)
}

/// Whether DF is set on what is sent, without which a probe proves nothing (PROTOCOL.md, section 6).
pub(crate) const fn sets_df(strategy: Strategy) -> bool {
    matches!(mtu_discovery(strategy), Some(MtuDiscovery::Probe | MtuDiscovery::Do))
}

/// What a port with this strategy sends to peers of one family, when its path carries datagrams of `datagram_bytes`.
pub(crate) fn limits(strategy: Strategy, datagram_bytes: usize) -> PortLimits {
    let one_datagram_answers = one_datagram(strategy);
    PortLimits {
        datagram_max: datagram_bytes.min(DATAGRAM_BYTES_MAX) as u16,
        one_datagram_answers,
        too_big_is_refused: one_datagram_answers && !kernel_fragments(strategy),
        probes_served: sets_df(strategy),
    }
}

/// The strategy of this name.
///
/// # Errors
/// A text with the names there are.
pub(crate) fn parse(name: &str) -> Result<Strategy, String> {
    Strategy::from_name(name).ok_or_else(|| {
        let names = Strategy::ALL.map(Strategy::name).join(", ");
        format!("strategy `{name}` is unknown: choose one of {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_differs_from_the_default_or_is_it() {
        let facts = |strategy| (mtu_discovery(strategy), one_datagram(strategy), kernel_fragments(strategy));
        for strategy in Strategy::ALL {
            let like_default = facts(strategy) == facts(Strategy::Chunked);
            assert_eq!(
                like_default,
                matches!(strategy, Strategy::Chunked | Strategy::Compressed),
                "{strategy:?}"
            );
            assert_eq!(parse(strategy.name()), Ok(strategy));
        }
        assert_eq!(Strategy::ALL.map(sets_df), [true, false, false, true, false, true]);
        let error = parse("df_off").unwrap_err();
        assert!(error.contains("`df_off`") && error.contains("df-off"), "{error}");
    }
}
