//! A low-rate prober against a running service: stages of some seconds, one after the other, for as long as it takes until production's
//! rare losses show, with their causes judged by the last hour's books.
//!
//! Whatever the server does, reads go on: connections are made again beside them (`link`), and what could not be known meanwhile is a
//! stated gap.

mod history;
mod items;
mod link;
mod merge;
pub mod metrics;
pub mod serve;
mod thin;
mod window;
pub mod words;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use shingle_proto::limits::{IPV4_OVERHEAD_BYTES, IPV6_OVERHEAD_BYTES, VALUE_BYTES_MAX_DEFAULT};
use shingle_proto::wire::Strategy;

pub use history::{History, Seen};
pub use items::Reads;
pub use merge::Timed;
pub use window::Sliding;

use crate::attribution::Attribution;
use crate::embedded::{Embedded, Site};
use crate::engine::{Pace, latency_histogram};
use crate::error::Error;
use crate::limits;
use crate::load::Load;
use crate::options::Options;
use crate::progress::Progress;
use crate::record::Stage;
use crate::rig::Rig;
use crate::seeding;
use crate::stage::StageResult;
use crate::target::Target;
use link::{Found, Link, Way};

/// A watch that goes on.
pub struct Watch {
    rig: Rig,
    link: Link,
    reads: Reads,
    tps: f64,
    /// When own items were stored last.
    stored: Instant,
    /// Instance of the server last heard of.
    instance: u32,
    connected: bool,
    /// What is to be said with the next interval.
    notes: Vec<String>,
    restarted: bool,
    /// Why the last attempt to connect failed.
    why_not: String,
    /// What was judged by the last hour and over the whole time.
    pub sliding: Sliding,
    /// Sums since the begin.
    pub history: History,
}

/// What an interval brought.
pub struct Interval {
    /// Seconds since 1970 when it began.
    pub begin_unix_s: f64,
    /// Its figures.
    pub stage: Stage,
    /// Latency of its reads, but for those that a stall of this host fell into.
    pub latency: Histogram<u64>,
    /// Who lost its reads, judged by this interval alone.
    pub causes: Attribution,
    /// Why its losses say nothing of server and path, if they do not.
    pub unjudged: Option<String>,
    /// The server, as far as it is known.
    pub server: ServerView,
    /// What happened beside the reads.
    pub notes: Vec<String>,
}

/// The server as a watch sees it at the end of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerView {
    /// A read was answered.
    pub answers: bool,
    /// It can be asked over TCP.
    pub control: bool,
    /// The control connection was lost in this interval.
    pub control_lost: bool,
    /// It is another instance than before.
    pub restarted: bool,
    /// It said that it is leaving.
    pub draining: bool,
    /// Its instance.
    pub instance: u32,
    /// Largest IP packet that a search proved to come from it, bytes.
    pub path_mtu_bytes: u32,
}

impl Watch {
    /// Connects, or starts a server at `site`, and stores what is to be read if that is not there. Intervals end early once `cut` is set.
    ///
    /// # Errors
    /// No server there, or not one that can be read.
    pub fn begin(
        options: &Options,
        site: &Site,
        tps: f64,
        cut: &'static AtomicBool,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let mut options = options.clone();
        // One thread is plenty, and leaves the others to who lives here.
        options.generator_cpus.truncate(1);
        let way = match &options.server {
            Some(address) => Way::Address(address.clone()),
            None => {
                let space = items::own(&options, VALUE_BYTES_MAX_DEFAULT as u32)?;
                let strategy = options.strategy.unwrap_or(Strategy::Chunked);
                Way::Inside(Embedded::start(site, &[strategy], &options, &space)?, space)
            }
        };
        let mut target = way.connect(&options)?;
        let (space, reads) = items::choose(&mut target, &options)?;
        progress.note(&format!("watching {}: {}", target.facts().address, reads.words(&space)));
        progress.note("a line follows whenever reads are lost or late, and every ten minutes that all is well; a table when it ends (Ctrl-C)");
        let (link, instance) = (Link::new(way, &options), target.welcome().nonce);
        let mut rig = Rig::new(&options, target, space)?;
        rig.end_early_on(cut);
        rig.keep_books();
        Ok(Self {
            rig,
            link,
            reads,
            tps,
            stored: Instant::now(),
            instance,
            connected: true,
            notes: Vec::new(),
            restarted: false,
            why_not: String::new(),
            sliding: Sliding::default(),
            history: History::begin(unix_s()),
        })
    }

    /// The rig below.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Reads for so long.
    ///
    /// # Errors
    /// A generator thread that cannot go on, or a server in this process that lost one. Whatever happens elsewhere is no error.
    pub fn interval(&mut self, length: Duration) -> Result<Interval, Error> {
        self.see_to_the_link();
        self.see_to_own_items();
        let begin_unix_s = unix_s();
        let result = self.rig.stage(Pace::PerSecond(self.tps), length, &Progress::new(true))?;
        Ok(self.settle(begin_unix_s, result))
    }

    /// Takes own items away.
    pub fn end(mut self) {
        if self.reads == Reads::Own
            && self.connected
            && let Load::Shingle(target, _) = &mut self.rig.load
        {
            seeding::remove(target, &self.rig.space);
        }
    }

    fn settle(&mut self, begin_unix_s: f64, result: StageResult) -> Interval {
        let StageResult { stage, latencies, books, server_gone, start_ns, .. } = result;
        let unjudged = self.unjudged(&stage);
        let mut causes = Attribution::new();
        if let Some(mut books) = books {
            // What this host's own standing still cost is nobody else's.
            books.stage.generator_late |= unjudged.is_some();
            if stage.first_try_lost > 0 {
                causes = thin::judged(&books);
            }
            self.sliding.add(Timed { begin_ns: start_ns, books });
        }
        let control_lost = self.connected && server_gone;
        if control_lost {
            self.notes.push("the control connection is lost: the server cannot be asked for its counts until there is one again".to_owned());
        }
        self.connected &= !server_gone;
        if self.connected {
            self.see_to_the_instance();
        } else {
            self.link.reconnect();
        }
        if stage.sent > 0 && stage.answered == 0 {
            self.reopen("no read of this interval was answered");
        }
        let mut latency = latency_histogram();
        latencies.iter().for_each(|part| latency.add(part).expect("the same bounds"));
        let server = ServerView {
            answers: stage.answered > 0,
            control: self.connected,
            control_lost,
            restarted: std::mem::take(&mut self.restarted),
            draining: stage.server_draining,
            instance: self.instance,
            path_mtu_bytes: self.path_mtu_bytes(),
        };
        let notes = std::mem::take(&mut self.notes);
        let interval = Interval { begin_unix_s, stage, latency, causes, unjudged, server, notes };
        self.history.add(&interval);
        interval
    }

    /// Why what was lost says nothing of server and path, if it does not.
    fn unjudged(&self, stage: &Stage) -> Option<String> {
        let half_ms = self.rig.options.timeout.as_secs_f64() * 500.0;
        let longest_ms = stage.stalls.iter().map(|stall| stall.length_ms).fold(0.0, f64::max);
        if longest_ms >= half_ms {
            return Some(format!("this host stood still for {longest_ms:.0} ms"));
        }
        let lab = stage.lab.as_ref().filter(|lab| lab.has_spoiled(stage.sent));
        lab.map(|_| "the laboratory itself lost or held up packets".to_owned())
    }

    fn see_to_the_link(&mut self) {
        match self.link.found() {
            Some(Found::Connected(target)) => self.connected_again(*target),
            // Said once for each reason, not every few seconds for hours.
            Some(Found::NotConnected(why)) if why == self.why_not => {}
            Some(Found::NotConnected(why)) => {
                self.notes.push(format!("still no control connection: {why}"));
                self.why_not = why;
            }
            Some(Found::Carries(bytes)) => self.carries(bytes),
            None => {}
        }
        if !self.connected {
            self.link.reconnect();
        } else if let Load::Shingle(target, _) = &self.rig.load {
            self.link.search(target);
        }
    }

    fn connected_again(&mut self, target: Target) {
        let instance = target.welcome().nonce;
        self.restarted = instance != self.instance;
        self.notes.push(if self.restarted {
            "connected again: the server was restarted meanwhile, or is another one".to_owned()
        } else {
            "connected again, to the same server".to_owned()
        });
        match self.rig.aim_at(target) {
            Ok(()) => (self.connected, self.instance, self.why_not) = (true, instance, String::new()),
            Err(error) => self.notes.push(format!("no flows to it yet: {error}")),
        }
        if self.restarted {
            self.store_own("the server was restarted");
        }
    }

    /// A connection that broke is made anew around an interval where that works at once: it may lead to a server that was restarted.
    fn see_to_the_instance(&mut self) {
        let Load::Shingle(target, _) = &self.rig.load else { return };
        let instance = target.welcome().nonce;
        if instance == self.instance {
            return;
        }
        (self.instance, self.restarted) = (instance, true);
        self.notes.push("the server was restarted, or is another one".to_owned());
        self.store_own("the server was restarted");
    }

    /// Flows that announce what the path carries now.
    fn carries(&mut self, bytes: u16) {
        let before = self.path_mtu_bytes();
        if let Load::Shingle(target, _) = &mut self.rig.load {
            target.datagram_max = bytes;
        }
        let now = self.path_mtu_bytes();
        self.notes.push(format!(
            "the path from the server carries packets of up to {now} B now; it was {before} B"
        ));
        self.reopen("answers are cut to that");
    }

    /// New source ports, from the address that this host has now.
    fn reopen(&mut self, why: &str) {
        self.notes.push(match self.rig.reopen_flows() {
            Ok(()) => format!("{why}: the next interval goes from other source ports"),
            Err(error) => format!("{why}, and no other flows can be had: {error}"),
        });
    }

    fn see_to_own_items(&mut self) {
        if self.stored.elapsed() > Duration::from_secs(u64::from(limits::WATCH_TTL_S) / 2) {
            self.store_own("they would expire");
        } else if self.history.misses_of_last > 0 {
            self.store_own("some were gone");
        }
    }

    fn store_own(&mut self, why: &str) {
        if self.reads != Reads::Own || !self.connected {
            return;
        }
        let Load::Shingle(target, _) = &mut self.rig.load else { return };
        self.stored = Instant::now();
        self.notes.push(match seeding::lend(target, &self.rig.space, limits::WATCH_TTL_S) {
            Ok(()) => format!("own items stored again: {why}"),
            Err(error) => format!("own items could not be stored again ({why}): {error}"),
        });
    }

    fn path_mtu_bytes(&self) -> u32 {
        let Load::Shingle(target, _) = &self.rig.load else { return 0 };
        let overhead = if target.ports[0].0.is_ipv6() { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES };
        u32::from(target.datagram_max) + overhead as u32
    }
}

/// Seconds since 1970.
fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
