//! The way to the server over hours: connections that break are made again, and what the path carries is looked at again, both beside the
//! reads and never instead of them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Instant;

use shingle_proto::wire::Strategy;

use crate::embedded::Embedded;
use crate::error::Error;
use crate::limits;
use crate::options::Options;
use crate::probe::{self, Proved};
use crate::target::Target;
use crate::workload::ItemSpace;

/// Where the server is.
#[derive(Clone)]
pub(super) enum Way {
    /// By name; it is resolved anew for each connection.
    Address(String),
    /// In this process.
    Inside(Arc<Embedded>, ItemSpace),
}

/// What came of the work beside the reads.
pub(super) enum Found {
    /// A new connection.
    Connected(Box<Target>),
    /// No connection, and why.
    NotConnected(String),
    /// The path from the server carries datagrams of so many bytes now, found twice.
    Carries(u16),
}

/// Work that goes on beside the reads, one piece at a time.
pub(super) struct Link {
    way: Way,
    options: Options,
    working: Option<Receiver<Option<Found>>>,
    next_search: Instant,
    next_try: Instant,
}

impl Way {
    /// A connection, and a search for what the path carries.
    pub(super) fn connect(&self, options: &Options) -> Result<Target, Error> {
        match self {
            Self::Address(address) => Target::of_address(address, options.strategy, options),
            Self::Inside(server, space) => {
                Target::of_embedded(server, options.strategy.unwrap_or(Strategy::Chunked), options, space)
            }
        }
    }
}

impl Link {
    pub(super) fn new(way: Way, options: &Options) -> Self {
        let next_search = Instant::now() + limits::WATCH_SEARCH_EVERY;
        Self { way, options: options.clone(), working: None, next_search, next_try: Instant::now() }
    }

    /// What was found meanwhile, if something was.
    pub(super) fn found(&mut self) -> Option<Found> {
        match self.working.as_ref()?.try_recv() {
            Ok(found) => {
                self.working = None;
                found
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.working = None;
                None
            }
        }
    }

    /// Begins to connect again, unless that goes on already or was tried just now.
    pub(super) fn reconnect(&mut self) {
        if self.working.is_some() || Instant::now() < self.next_try {
            return;
        }
        self.next_try = Instant::now() + limits::WATCH_RECONNECT_EVERY;
        let (way, options) = (self.way.clone(), self.options.clone());
        self.work(move || {
            Some(way.connect(&options).map_or_else(
                |error| Found::NotConnected(error.to_string()),
                |target| Found::Connected(Box::new(target)),
            ))
        });
    }

    /// Begins to look what the path carries, when it is time to.
    pub(super) fn search(&mut self, target: &Target) {
        if self.working.is_some() || Instant::now() < self.next_search {
            return;
        }
        self.next_search = Instant::now() + limits::WATCH_SEARCH_EVERY;
        let (server, cookie, known) = (target.ports[0].0, target.welcome().cookie, target.datagram_max);
        let path_mtu = self.options.path_mtu.min(target.interface_mtu);
        let look = move || match probe::datagram_from(server, cookie, path_mtu) {
            Ok(Proved::Size(bytes)) => Some(bytes),
            _ => None,
        };
        // Loss can make a search end too low: only what is found twice is believed.
        self.work(move || {
            let first = look().filter(|bytes| *bytes != known)?;
            let again = look()?;
            (again == first).then_some(Found::Carries(first))
        });
    }

    fn work(&mut self, work: impl FnOnce() -> Option<Found> + Send + 'static) {
        let (found, working) = mpsc::channel();
        // Threads begun here are where the reads are: in a laboratory, at its client.
        let begun = thread::Builder::new().name("watch-link".to_owned()).spawn(move || {
            // Who ended the watch wants no answer.
            let _ = found.send(work());
        });
        self.working = begun.is_ok().then_some(working);
    }
}
