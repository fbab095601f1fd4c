//! A [`Plan`] carried out: hosts in network namespaces of this machine, joined by veth pairs that carry real packets.
//!
//! ```no_run
//! use std::net::UdpSocket;
//! use shingle_netlab::lab::{Lab, LabOptions, prepare_process};
//! use shingle_netlab::{Family, Spec};
//!
//! prepare_process()?; // First thing in main: an ordinary user goes into namespaces of its own.
//! let lab = Lab::up(&Spec::new("narrow")?.set("mtu=1400")?.plan(), &LabOptions::default())?;
//! let address = lab.server().address(Family::V4);
//! let server = lab.server().run(|| UdpSocket::bind((address, 7400)))??;
//! lab.client().command("ping").args(["-c", "1"]).arg(address.to_string()).status()?;
//! println!("{:?}, by itself {:?}", lab.counters()?, lab.own_losses()?);
//! lab.down()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod capture;
mod claim;
mod counters;
mod error;
mod hold;
mod host;
mod kernel_counters;
mod later;
mod namespaces;
mod nfqueue;
mod range;
mod rights;
mod setup;
mod tools;
mod works;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use capture::Capture;
pub use claim::clean;
pub use error::LabError;
use hold::Holder;
pub use host::{Entered, Host};
use later::Clock;
pub use range::{Range, range};
pub use rights::prepare_process;
use works::{Works, lock};
pub use works::{is_signal_ignored, leave_signals_to_caller, take_all_down};

use crate::plan::{Family, Plan};

/// What a laboratory is given beside its plan.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    /// Its name, part of the names of its namespaces; by default one that no other laboratory has.
    pub name: Option<String>,
    /// A directory for a capture of every device of every host, HOST-DEVICE.pcap; made if it is not there.
    pub pcap: Option<PathBuf>,
    /// The CPU of the threads that hold packets back; by default any.
    pub cpu: Option<usize>,
}

/// A laboratory that is up. It is taken down when this is dropped; [`down`](Self::down) also says whether that worked.
#[derive(Debug)]
pub struct Lab {
    name: String,
    plan: Plan,
    hosts: Vec<Host>,
    /// What was lost on this machine before.
    losses_before: BTreeMap<String, u64>,
    works: Arc<Mutex<Works>>,
}

impl Lab {
    /// Brings a laboratory up. It is whole when this returns: addresses and neighbours are known, the first packet arrives. From the first
    /// one on SIGINT, SIGTERM and SIGHUP take all laboratories of the process down before they end it.
    ///
    /// # Errors
    /// Tools or rights are missing, the name is in use, or something in the plan does not work; nothing is left behind.
    pub fn up(plan: &Plan, options: &LabOptions) -> Result<Self, LabError> {
        check(plan)?;
        tools::check(plan)?;
        rights::check()?;
        if plan.family == Family::V6 && !rights::has_ipv6() {
            return Err(LabError::NoIpv6);
        }
        let name = options.name.clone().unwrap_or_else(unused_name);
        let names: Vec<&str> = plan.hosts.iter().map(|host| host.name.as_str()).collect();
        let works = Works::claim(&name, &names)?;
        let mut lab =
            Self { name, plan: plan.clone(), hosts: Vec::new(), losses_before: BTreeMap::new(), works };
        let namespaces = lock(&lab.works).make_namespaces()?;
        setup::wires(plan, &namespaces)?;
        for (planned, path) in plan.hosts.iter().zip(&namespaces) {
            lab.hosts.push(Host::open(planned, path)?);
        }
        setup::hosts(plan, &lab.hosts)?;
        lab.start_holds(options.cpu)?;
        if let Some(directory) = &options.pcap {
            lab.start_captures(directory)?;
        }
        lab.losses_before = lab.losses()?;
        Ok(lab)
    }

    fn start_holds(&self, cpu: Option<usize>) -> Result<(), LabError> {
        for (index, (planned, host)) in self.plan.hosts.iter().zip(&self.hosts).enumerate() {
            for (number, hold) in planned.holds.iter().enumerate() {
                let holder = Holder::start(host, number as u16, hold, cpu)?;
                lock(&self.works).holders.push((index, holder));
            }
        }
        Ok(())
    }

    fn start_captures(&self, directory: &Path) -> Result<(), LabError> {
        fs::create_dir_all(directory).map_err(LabError::system(format!("make {}", directory.display())))?;
        for end in self.plan.wires.iter().flat_map(|wire| &wire.ends) {
            let capture = Capture::start(&self.hosts[end.host], &end.device, directory)?;
            lock(&self.works).captures.push(capture);
        }
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was built from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All hosts: the client, the server, what is between them.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host in which the generator runs.
    pub fn client(&self) -> &Host {
        &self.hosts[0]
    }

    /// The host in which the server runs.
    pub fn server(&self) -> &Host {
        &self.hosts[1]
    }

    /// A host by its name.
    ///
    /// # Panics
    /// If the plan has no such host.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("{} has no host {name}", self.plan.topology))
    }

    /// Starts the clock by which the plan's later rules come. A second call starts nothing.
    pub fn start_clock(&self) {
        let clocks = &mut lock(&self.works).clocks;
        if clocks.is_empty() {
            let with_scripts =
                self.plan.hosts.iter().zip(&self.hosts).filter(|(planned, _)| !planned.later.is_empty());
            *clocks = with_scripts.map(|(planned, host)| Clock::start(host, &planned.later)).collect();
        }
    }

    /// Packets counted by the named counters of all rules, as `router.frag_dropped`.
    ///
    /// # Errors
    /// `nft` failed.
    pub fn counters(&self) -> Result<BTreeMap<String, u64>, LabError> {
        let mut counters = BTreeMap::new();
        for (planned, host) in self.plan.hosts.iter().zip(&self.hosts) {
            if !planned.rules.is_empty() || !planned.later.is_empty() {
                counters::named(host, &mut counters)?;
            }
        }
        Ok(counters)
    }

    /// What the laboratory itself lost since it came up, and no rule of the plan: packets dropped at the ends of wires
    /// (`router.rs.rx_dropped`), in the backlog of this machine's CPUs (`machine.backlog_dropped`, of all its traffic) and where packets
    /// wait for their time (`router.hold0.dropped`); and `router.hold0.late`, packets that waited over 10 ms longer than they should.
    /// Only what is not 0 is named. Empty: every loss is the plan's, or the ends' own.
    ///
    /// # Errors
    /// The kernel's figures cannot be read, or a thread that holds packets back has ended.
    pub fn own_losses(&self) -> Result<BTreeMap<String, u64>, LabError> {
        let mut losses = self.losses()?;
        for (name, count) in &mut losses {
            *count = count.saturating_sub(self.losses_before.get(name).copied().unwrap_or(0));
        }
        losses.retain(|_, count| *count > 0);
        Ok(losses)
    }

    /// Packets that are missing in the captures, because these could not be written (a full disk), or not as fast as they came.
    pub fn missed_by_captures(&self) -> u64 {
        lock(&self.works).captures.iter().map(Capture::missed).sum()
    }

    fn losses(&self) -> Result<BTreeMap<String, u64>, LabError> {
        let mut losses = BTreeMap::from([("machine.backlog_dropped".to_owned(), counters::backlog_drops()?)]);
        for host in &self.hosts {
            counters::device_drops(host, &mut losses)?;
        }
        for (index, planned) in
            self.plan.hosts.iter().enumerate().filter(|(_, planned)| !planned.holds.is_empty())
        {
            for (number, dropped) in hold::dropped(&self.hosts[index])? {
                losses.insert(format!("{}.hold{number}.dropped", planned.name), dropped);
            }
        }
        for (index, holder) in &lock(&self.works).holders {
            holder.check(&self.hosts[*index])?;
            losses
                .insert(format!("{}.hold{}.late", self.hosts[*index].name(), holder.number()), holder.late());
        }
        Ok(losses)
    }

    /// Makes both ends forget the path MTUs they learned, of both families.
    ///
    /// # Errors
    /// `ip route flush cache` failed.
    pub fn flush_path_mtus(&self) -> Result<(), LabError> {
        for host in &self.hosts[..2] {
            host.ip(&["-4", "route", "flush", "cache"])?;
            if rights::has_ipv6() {
                host.ip(&["-6", "route", "flush", "cache"])?;
            }
        }
        Ok(())
    }

    /// Takes it down: processes in its hosts are killed, its namespaces removed.
    ///
    /// # Errors
    /// Something could not be removed; the next laboratory tries again.
    pub fn down(self) -> Result<(), LabError> {
        works::take_down(&self.works)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Who wants to know calls `down`; after that there is nothing left to do here.
        let _ = works::take_down(&self.works);
    }
}

/// A name that no living laboratory has: process ids are unique among the living.
fn unused_name() -> String {
    static LABS: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed))
}

/// What the types do not say: that names and numbers in the plan stand for something in it.
fn check(plan: &Plan) -> Result<(), LabError> {
    let fault = |fault: String| Err(LabError::Plan { topology: plan.topology.clone(), fault });
    if plan.hosts.len() < 2 {
        return fault("it has no client and server".to_owned());
    }
    for wire in &plan.wires {
        if let Some(end) = wire.ends.iter().find(|end| end.host >= plan.hosts.len()) {
            return fault(format!("device {} is at host {} of {}", end.device, end.host, plan.hosts.len()));
        }
    }
    for host in &plan.hosts[..2] {
        if !host.addresses.iter().any(|&(_, address, _)| plan.family.is_of(address)) {
            return fault(format!("{} has no address of its family", host.name));
        }
    }
    Ok(())
}
