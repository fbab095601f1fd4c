//! What of a laboratory must be taken down, and that it is: by its owner, or when a signal ends the process.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use nix::errno::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::capture::Capture;
use super::claim::Claim;
use super::hold::Holder;
use super::later::Clock;
use super::{LabError, namespaces};

/// The parts of a laboratory that work in its namespaces, and the claim on these.
#[derive(Debug)]
pub(super) struct Works {
    pub(super) clocks: Vec<Clock>,
    pub(super) captures: Vec<Capture>,
    /// With the host in which each is, by index.
    pub(super) holders: Vec<(usize, Holder)>,
    claim: Claim,
}

impl Works {
    /// Claims the name; nothing else is there yet. A signal that comes meanwhile waits, and takes it down.
    pub(super) fn claim(name: &str, hosts: &[&str]) -> Result<Arc<Mutex<Self>>, LabError> {
        watch_signals()?;
        let mut living = lock(&LIVING);
        if ENDING.load(Ordering::SeqCst) {
            drop(living);
            park();
        }
        let claim = Claim::take(name, hosts)?;
        let works = Self { clocks: Vec::new(), captures: Vec::new(), holders: Vec::new(), claim };
        let works = Arc::new(Mutex::new(works));
        living.retain(|it| it.strong_count() > 0);
        living.push(Arc::downgrade(&works));
        Ok(works)
    }

    /// Makes the namespaces; their files, in the order of the hosts.
    pub(super) fn make_namespaces(&self) -> Result<Vec<PathBuf>, LabError> {
        if self.claim.namespaces().is_empty() {
            // A signal has taken down what was hardly begun.
            return Err(LabError::system("make network namespaces")(Errno::EINTR));
        }
        namespaces::make(self.claim.namespaces())?;
        Ok(self.claim.namespaces().to_vec())
    }

    /// Stops everything and removes the namespaces. A second time does nothing.
    pub(super) fn take_down(&mut self) -> Result<(), LabError> {
        self.captures.clear();
        self.holders.clear();
        let clocks = self.clocks.drain(..).map(|mut clock| clock.stop()).fold(Ok(()), Result::and);
        clocks.and(self.claim.release())
    }
}

/// Takes a laboratory down for its owner. Does not return when a signal is doing the same: the process shall end by it, not by what its
/// owner makes of programs that were killed.
pub(super) fn take_down(works: &Mutex<Works>) -> Result<(), LabError> {
    let result = lock(works).take_down();
    if ENDING.load(Ordering::SeqCst) {
        park();
    }
    result
}

/// The signal's thread ends the process.
fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// A lock whose last holder panicked protects nothing that a panic breaks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The laboratories of this process.
static LIVING: Mutex<Vec<Weak<Mutex<Works>>>> = Mutex::new(Vec::new());

/// A signal is ending the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Signals are the caller's.
static LEFT_TO_CALLER: AtomicBool = AtomicBool::new(false);

/// Takes all laboratories down before a signal ends the process. Their owners do not return from dropping them: what ends the process
/// shall be the signal, not what they make of programs that were killed.
pub fn take_all_down() {
    ENDING.store(true, Ordering::SeqCst);
    let living: Vec<_> = lock(&LIVING).iter().filter_map(Weak::upgrade).collect();
    for works in living {
        let _ = lock(&works).take_down();
    }
}

/// Leaves signals to the caller, who on one that ends the process drops its laboratories first, or calls [`take_all_down`]. Call it before
/// the first laboratory comes up; without it SIGINT, SIGTERM and SIGHUP take all laboratories down and end the process at once.
pub fn leave_signals_to_caller() {
    LEFT_TO_CALLER.store(true, Ordering::SeqCst);
}

/// A thread that takes all laboratories down before a signal ends the process as it would have.
fn watch_signals() -> Result<(), LabError> {
    static WATCHING: OnceLock<()> = OnceLock::new();
    if LEFT_TO_CALLER.load(Ordering::SeqCst) || WATCHING.set(()).is_err() {
        return Ok(());
    }
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_signal_ignored(signal));
    let mut signals = Signals::new(heeded).map_err(LabError::system("watch for signals"))?;
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            take_all_down();
            let _ = emulate_default_handler(signal);
        }
    };
    let thread = std::thread::Builder::new().name("lab-signals".to_owned()).spawn(watch);
    thread.map(drop).map_err(LabError::system("start a thread"))
}

/// Whether the process was started with the signal ignored, as `nohup` does: then it shall stay so.
pub fn is_signal_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    ignored & 1 << (signal - 1) != 0
}
