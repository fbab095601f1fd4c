//! Constant latency: forwarded packets wait in a queue of the kernel's until their time has come.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::nfqueue::Queue;
use super::{Host, LabError};
use crate::limits::{HOLD_LATE, HOLD_READS_MAX, HOLD_WAKE, XTABLES_WAIT_S};
use crate::plan::Hold;

/// A thread that lets packets go on when they are due. What waits when it ends is dropped by the kernel.
#[derive(Debug)]
pub(super) struct Holder {
    number: u16,
    stop: Arc<AtomicBool>,
    late: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), Errno>>>,
}

impl Holder {
    /// Binds queue `number` of the host, then leads the packets to it.
    pub(super) fn start(host: &Host, number: u16, hold: &Hold, cpu: Option<usize>) -> Result<Self, LabError> {
        let doing = format!("{}: bind packet queue {number} (NFQUEUE)", host.name());
        let queue = host.run(|| Queue::open(number))?.map_err(LabError::system(doing))?;
        let (stop, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let line = Line { queue, delay: hold.delay, waiting: VecDeque::new(), late: late.clone() };
        let thread = std::thread::Builder::new()
            .name(format!("hold-{number}"))
            .spawn({
                let stop = stop.clone();
                move || line.run(&stop, cpu)
            })
            .map_err(LabError::system("start the thread of a packet queue"))?;
        let holder = Self { number, stop, late, thread: Some(thread) };
        lead(host, number, hold)?;
        Ok(holder)
    }

    /// The queue's number.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Says so if its thread has ended: since then nothing comes through.
    pub(super) fn check(&self, host: &Host) -> Result<(), LabError> {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        Err(LabError::System {
            doing: format!("{}: packet queue {}", host.name(), self.number),
            source: io::Error::other("its thread has ended, nothing comes through"),
        })
    }

    /// Packets that went on later than their time and [`HOLD_LATE`].
    pub(super) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Rules that lead what comes in by the device, with the mark, to the queue. Without the thread packets are dropped, not let through.
fn lead(host: &Host, number: u16, hold: &Hold) -> Result<(), LabError> {
    let (number, mark) = (number.to_string(), hold.mark.map(|mark| mark.to_string()));
    let mut words = vec!["-w", XTABLES_WAIT_S, "-t", "mangle", "-A", "FORWARD", "-i", &hold.device];
    if let Some(mark) = &mark {
        words.extend(["-m", "mark", "--mark", mark]);
    }
    words.extend(["-j", "NFQUEUE", "--queue-num", &number]);
    for program in ["iptables", "ip6tables"] {
        host.tool(program, &words, "")?;
    }
    Ok(())
}

/// Packets in the order of their coming, which is the order of their times too: all wait equally long from their arrival, also when this
/// thread hears of them late.
struct Line {
    queue: Queue,
    delay: Duration,
    /// When each is due, and its number.
    waiting: VecDeque<(Instant, u32)>,
    late: Arc<AtomicU64>,
}

impl Line {
    fn run(mut self, stop: &AtomicBool, cpu: Option<usize>) -> Result<(), Errno> {
        if let Some(cpu) = cpu {
            let mut set = CpuSet::new();
            set.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
        }
        // Else the kernel lets timers be 50 us late, to save wake-ups.
        nix::sys::prctl::set_timerslack(1)?;
        while !stop.load(Ordering::Relaxed) {
            self.take_in()?;
            self.let_go()?;
            self.wait()?;
        }
        Ok(())
    }

    fn take_in(&mut self) -> Result<(), Errno> {
        for _ in 0..HOLD_READS_MAX {
            let Self { queue, delay, waiting, .. } = self;
            let came = |number, arrival: Option<SystemTime>| {
                let age = arrival.and_then(|arrival| arrival.elapsed().ok()).unwrap_or_default();
                let due = (Instant::now() + *delay).checked_sub(age).unwrap_or_else(Instant::now);
                // One CPU may have been overtaken by another between noting the time and queueing.
                let due = waiting.back().map_or(due, |&(last, _)| due.max(last));
                waiting.push_back((due, number));
            };
            if !queue.receive(came)? {
                break;
            }
        }
        Ok(())
    }

    fn let_go(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        let mut last = None;
        while let Some((due, number)) = self.waiting.pop_front_if(|&mut (due, _)| due <= now) {
            last = Some(number);
            if now.duration_since(due) > HOLD_LATE {
                self.late.fetch_add(1, Ordering::Relaxed);
            }
        }
        last.map_or(Ok(()), |number| self.queue.release(number))
    }

    /// Until a packet comes or the next is due.
    fn wait(&mut self) -> Result<(), Errno> {
        let due =
            self.waiting.front().map_or(HOLD_WAKE, |&(due, _)| due.saturating_duration_since(Instant::now()));
        let mut socket = [PollFd::new(self.queue.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut socket, Some(TimeSpec::from_duration(due.min(HOLD_WAKE))), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Packets that the kernel dropped because a queue of the host was full, by the queue's number.
pub(super) fn dropped(host: &Host) -> Result<Vec<(u16, u64)>, LabError> {
    let parse = |line: &str| {
        // queue number, peer, packets waiting, copy mode, copy range, dropped as the queue was full, dropped as the socket was, ...
        let words: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        Some((u16::try_from(*words.first()?).ok()?, words.get(5)? + words.get(6)?))
    };
    let text = host.proc_net("netfilter/nfnetlink_queue")?;
    Ok(text.lines().filter_map(parse).collect())
}
