//! Captures on request: tcpdump at every device.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Host, LabError};
use crate::limits::{CAPTURE_DRAIN_MAX, CAPTURE_END_MAX};

/// A tcpdump at one device. Its file is whole when this has been dropped.
#[derive(Debug)]
pub(super) struct Capture {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Capture {
    /// Captures at a device of a host into HOST-DEVICE.pcap. Every packet from now on is in it.
    pub(super) fn start(host: &Host, device: &str, directory: &Path) -> Result<Self, LabError> {
        let file = directory.join(format!("{}-{device}.pcap", host.name()));
        let failed = |output: String| LabError::Tool {
            command: format!("tcpdump -i {device} -w {}", file.display()),
            host: Some(host.name().to_owned()),
            output,
        };
        let mut command = host.command("tcpdump");
        // Immediate mode and -U: packets are in the file when they are seen, not a second later. -Z root: it writes as who started it.
        // -n: no look-ups. A group of its own: Ctrl-C is for us, who stop it when the last packet is in.
        command
            .args(["--immediate-mode", "-U", "-n", "-Z", "root", "-B", "16384", "-i", device, "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let said = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut capture = Self { child, said };
        capture.await_words("listening on").map(drop).map_err(|all| failed(all.trim().to_owned()))?;
        Ok(capture)
    }

    /// Reads what tcpdump says up to a line with these words, which is returned; without one all that it said.
    fn await_words(&mut self, words: &str) -> Result<String, String> {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line).map_or(true, |length| length == 0) {
                return Err(all);
            }
            if line.contains(words) {
                return Ok(line);
            }
            all.push_str(&line);
        }
    }

    /// Whether every packet that came up to now is in the file: tcpdump, asked by a signal, tells how many it saw and wrote.
    fn is_drained(&mut self) -> bool {
        if kill(self.process(), Signal::SIGUSR1).is_err() {
            return true;
        }
        // "20 packets captured, 20 packets received by filter, 0 packets dropped by kernel"
        self.await_words("captured").map_or(true, |line| {
            let counts: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            matches!(counts[..], [captured, received, dropped, ..] if captured + dropped >= received)
        })
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // What is still in its ring when it is told to end is lost.
        let begin = Instant::now();
        while !self.is_drained() && begin.elapsed() < CAPTURE_DRAIN_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = kill(self.process(), Signal::SIGTERM);
        // It inherits blocked signals: who blocks SIGTERM before the laboratory comes up must not wait for it for ever.
        while begin.elapsed() < CAPTURE_END_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
