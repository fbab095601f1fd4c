//! What a host's CPUs did while it was late: said beside the causes that are its own. It proves none of them, and tells where to look.

use super::{Attribution, Books, Cause, HostCounters};

/// Share of the time given to other machines from which on it is said: below, clock ticks are too coarse to tell.
const STOLEN_MIN: f64 = 0.005;

pub(super) fn tell(books: &Books, shares: &mut Attribution) {
    let of_server = books.server.as_ref().and_then(|server| words(&server.host, "the server's host"));
    let of_client = words(&books.client.host, "the generator's host");
    for ((cause, _), share) in shares {
        let told = match cause {
            Cause::ServerOverload | Cause::ServerSocketBuffer => &of_server,
            Cause::GeneratorLimited | Cause::ClientSocketBuffer => &of_client,
            _ => continue,
        };
        share.evidence.extend(told.clone().filter(|_| share.reads > 0));
    }
}

/// None where nobody counted.
fn words(host: &HostCounters, whose: &str) -> Option<String> {
    let us = |name: &str| host.risen.get(&format!("Cpu.{name}_us")).copied();
    let (busy, idle, steal) = (us("busy")?, us("idle")?, us("steal")?);
    let all = (busy + idle + steal) as f64;
    if all == 0.0 {
        return None;
    }
    let (busy, stolen) = (busy as f64 / all, steal as f64 / all);
    let mut words =
        format!("meanwhile all CPUs of {whose} together were busy {:.0} % of the time", 100.0 * busy);
    if stolen >= STOLEN_MIN {
        words +=
            &format!(", and the hypervisor gave {:.1} % of it to other machines (steal)", 100.0 * stolen);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(busy: u64, idle: u64, steal: u64) -> HostCounters {
        let counters = [("Cpu.busy_us", busy), ("Cpu.idle_us", idle), ("Cpu.steal_us", steal)];
        HostCounters {
            risen: counters.map(|(name, us)| (name.to_owned(), us)).into(),
            ..HostCounters::default()
        }
    }

    #[test]
    fn steal_is_told_where_it_is_more_than_a_tick() {
        let told = |busy, idle, steal| words(&host(busy, idle, steal), "the server's host");
        let busy = "meanwhile all CPUs of the server's host together were busy";
        assert_eq!(told(90, 10, 0), Some(format!("{busy} 90 % of the time")));
        let stolen = ", and the hypervisor gave 20.0 % of it to other machines (steal)";
        assert_eq!(told(70, 10, 20), Some(format!("{busy} 70 % of the time{stolen}")));
        assert_eq!(told(0, 0, 0), None);
        assert_eq!(words(&HostCounters::default(), "the server's host"), None);
    }
}
