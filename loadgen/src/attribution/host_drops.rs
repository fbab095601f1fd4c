//! What the devices and queues of a host dropped meanwhile: said beside what is lost between the hosts, by chance or at a limit. Their counters
//! count everybody's packets, so they prove nothing; where they rose, the trouble may be the host's own.

use super::{Attribution, Books, Cause, Direction, HostCounters};

/// Counters named of one host, those that rose most.
const NAMED_MAX: usize = 4;

pub(super) fn tell(books: &Books, shares: &mut Attribution) {
    let of_client = words(&books.client.host, "the generator's host");
    let of_server = books.server.as_ref().and_then(|server| words(&server.host, "the server's host"));
    for ((cause, direction), share) in shares {
        let is_between = matches!(
            cause,
            Cause::PathLoss
                | Cause::PacketRateLimit
                | Cause::BandwidthLimit
                | Cause::FragmentRateLimit
                | Cause::Unexplained
        );
        if !is_between || share.reads == 0 {
            continue;
        }
        // The one that sent comes first.
        let told =
            if *direction == Direction::Up { [&of_client, &of_server] } else { [&of_server, &of_client] };
        share.evidence.extend(told.into_iter().flatten().cloned());
    }
}

/// None where nothing rose.
fn words(host: &HostCounters, whose: &str) -> Option<String> {
    let drops =
        |name: &str| name.starts_with("Qdisc.") || name.starts_with("Nic.") || name == "Softnet.Dropped";
    let mut rose: Vec<_> = host.risen.iter().filter(|(name, count)| drops(name) && **count > 0).collect();
    rose.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    rose.truncate(NAMED_MAX);
    let named: Vec<_> = rose.iter().map(|(name, count)| format!("{name} by {count}")).collect();
    (!named.is_empty())
        .then(|| format!("meanwhile on {whose} rose {}: these reads may be among them", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_queues_and_cards_are_told_and_nothing_else() {
        let host = |counters: &[(&str, u64)]| HostCounters {
            risen: counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..HostCounters::default()
        };
        assert_eq!(words(&host(&[("Ip.FragOKs", 7), ("Qdisc.eth0.Drops", 0)]), "the server's host"), None);
        let counters =
            [("Qdisc.eth0.Drops", 3), ("Nic.eth0.pps_allowance_exceeded", 90), ("Udp.InErrors", 5)];
        assert_eq!(
            words(&host(&counters), "the server's host").expect("two rose"),
            "meanwhile on the server's host rose Nic.eth0.pps_allowance_exceeded by 90, Qdisc.eth0.Drops by 3: these reads may be among them"
        );
    }
}
