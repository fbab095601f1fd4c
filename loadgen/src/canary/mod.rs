//! Canary clients: low-volume clients beside the load, each from a source address of its own, that read a large value about once a second.
//!
//! Kernels keep path MTUs per destination address, so a client that shares the load's address meets a path that thousands of reads have
//! taught already. A canary meets it as a client does that reads now and then: its first large answer goes out before the path MTU is
//! known, or after what was learned has expired. Its reads are counted by themselves and enter no figure of the load.

mod check;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

pub use check::check;

use crate::cold;
use crate::engine::FlowSpec;
use crate::error::Error;
use crate::limits::{CANARY_INTERVAL, MTU_EXPIRES_DEFAULT};
use crate::load::Load;
use crate::reader::Reader;
use crate::record;
use crate::rig::{self, Rig};

/// When a stage's first canary reads: the load has begun by then.
const LEAD: Duration = Duration::from_millis(250);

/// The canaries of a run.
pub struct Canaries {
    canaries: Vec<Canary>,
    /// Key and length of the value read.
    large: (Vec<u8>, usize),
    /// Key of a short one, which proves the address to the server before the large one is asked for.
    small: Vec<u8>,
    timeout: Duration,
    /// How long kernels here remember a path MTU.
    expires: Duration,
    /// Why there are none.
    because: Option<String>,
}

/// One client.
struct Canary {
    source: IpAddr,
    reader: Reader,
    /// When its path was cold last; `None` before its first read, and when the path MTUs were forgotten.
    cold_at: Option<Instant>,
}

impl Canaries {
    /// Canaries from these addresses, and from those a laboratory has to spare.
    ///
    /// # Errors
    /// No socket to be had, or an address that is none of this host.
    pub fn of(rig: &Rig, given: &[IpAddr]) -> Result<Self, Error> {
        let lab = rig.load.lab();
        let mut sources = given.to_vec();
        let spare = lab.map(|lab| lab.spare_addresses()).unwrap_or_default();
        sources.extend(spare.into_iter().filter(|address| !given.contains(address)));
        let expires = lab.and_then(|lab| lab.mtu_expires()).unwrap_or(MTU_EXPIRES_DEFAULT);
        let Load::Shingle(target, _) = &rig.load else {
            return Ok(Self::none(rig, "canaries read in Shingle's protocol only"));
        };
        if sources.is_empty() {
            return Ok(Self::none(
                rig,
                "no source address to spare: give one or more of this host with --canary-addr",
            ));
        }
        let (server, spec) = (target.ports[0].0, rig::flow_spec(&rig.options, target));
        let open = |(index, source): (usize, IpAddr)| Canary::open(rig, index as u32, source, server, &spec);
        let canaries = sources.into_iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { canaries, expires, because: None, ..Self::none(rig, "") })
    }

    fn none(rig: &Rig, because: &str) -> Self {
        let key = |item| {
            let mut buffer = [0; 250];
            rig.space.key(item, &mut buffer).to_vec()
        };
        let large = cold::large_item(&rig.space, &rig.load);
        let small = (0..rig.space.items()).min_by_key(|item| rig.space.value_bytes(*item)).unwrap_or(0);
        Self {
            canaries: Vec::new(),
            large: (key(large), rig.space.value_bytes(large)),
            small: key(small),
            timeout: rig.options.timeout,
            expires: MTU_EXPIRES_DEFAULT,
            because: Some(because.to_owned()),
        }
    }

    /// Every path is cold again: the path MTUs were forgotten.
    pub fn forgotten(&mut self) {
        self.canaries.iter_mut().for_each(|canary| canary.cold_at = None);
    }

    /// Does `work` while the canaries read, on a thread of their own.
    pub fn beside<T>(&mut self, work: impl FnOnce() -> T) -> (T, record::Canary) {
        if self.canaries.is_empty() {
            return (work(), self.facts());
        }
        thread::scope(|scope| {
            let (stop, stopped) = mpsc::channel();
            let reading = scope.spawn(|| self.read_until(stopped));
            let done = work();
            drop::<mpsc::Sender<()>>(stop);
            (done, reading.join().expect("a canary does not panic"))
        })
    }

    fn facts(&self) -> record::Canary {
        record::Canary {
            measured: !self.canaries.is_empty(),
            because: self.because.clone(),
            addresses: self.canaries.iter().map(|canary| canary.source.to_string()).collect(),
            value_bytes: self.large.1,
            ..record::Canary::default()
        }
    }

    fn read_until(&mut self, stopped: mpsc::Receiver<()>) -> record::Canary {
        let mut figures = self.facts();
        let mut wait = LEAD;
        while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let begun = Instant::now();
            for canary in &mut self.canaries {
                if let Err(error) =
                    canary.read(&self.small, &self.large.0, (self.timeout, self.expires), &mut figures)
                {
                    figures.because = Some(format!("the one at {} could not go on: {error}", canary.source));
                }
            }
            wait = CANARY_INTERVAL.saturating_sub(begun.elapsed());
        }
        figures.measured = figures.first + figures.later > 0;
        figures
    }
}

impl Canary {
    fn open(
        rig: &Rig,
        index: u32,
        source: IpAddr,
        server: SocketAddr,
        spec: &FlowSpec,
    ) -> Result<Self, Error> {
        // Below the numbers of the flows that read before the search.
        let number = cold::spare_flow(rig, 1 + index);
        let reader = Reader::open_from(number, 1, Some(source), server, spec)?;
        Ok(Self { source, reader, cold_at: None })
    }

    fn read(
        &mut self,
        small: &[u8],
        large: &[u8],
        (timeout, expires): (Duration, Duration),
        figures: &mut record::Canary,
    ) -> Result<(), Error> {
        // Cookies are of an address: without one the answer to the first request would be a challenge.
        self.reader.read_one(small, timeout)?;
        let cold = self.cold_at.is_none_or(|at| at.elapsed() >= expires);
        let end = self.reader.read_one(large, timeout)?;
        let (reads, lost) = if cold {
            self.cold_at = Some(Instant::now());
            (&mut figures.first, &mut figures.first_lost)
        } else {
            (&mut figures.later, &mut figures.later_lost)
        };
        *reads += 1;
        *lost += u32::from(!end.at_once);
        figures.refused += u32::from(end.refused);
        Ok(())
    }
}
