//! The load generator as a library: one thread, closed loop, against a server of ours.

use std::time::Duration;

use clap::Parser as _;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::embedded::Site;
use shingle_loadgen::engine::Pace;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;
use shingle_proto::limits::KEY_BYTES_MAX;

use super::case::Case;
use super::error::Error;
use super::limits::WARM_UP;
use super::requests::{Built, shingle_keys};
use super::servers::Process;
use super::udp::Measured;

/// A generator with its items stored in a server.
pub struct Generator {
    rig: Rig,
    progress: Progress,
    in_flight: usize,
}

/// Name of the counter in the generator's books.
const ALLOCATIONS: &str = "client.read_path_allocations";

impl Generator {
    /// Stores the items of the case in the server and opens the flows.
    ///
    /// # Errors
    /// Those of the generator.
    ///
    /// # Panics
    /// If the generator does not know its own command line.
    pub fn new(process: &Process, case: &Case) -> Result<Generator, Error> {
        let server = process.tcp.expect("a server with a control plane").to_string();
        let (items, values) = (case.items.to_string(), format!("fixed:{}", case.value_bytes));
        let (mtu, gets) = (case.path_mtu.to_string(), case.gets.to_string());
        let words = [
            "loadgen",
            "run",
            "--server",
            &server,
            "--items",
            &items,
            "--values",
            &values,
            "--keys",
            "uniform",
            "--path-mtu",
            &mtu,
            "--gets-per-datagram",
            &gets,
            "--threads",
            "1",
            "--flows",
            "1",
            "--quiet",
        ];
        let cli = Cli::try_parse_from(words).expect("flags of loadgen run");
        let Command::Run(run) = cli.command else { unreachable!("it was told to run") };
        let progress = Progress::new(true);
        let rig = Rig::build(&Options::resolve(&run.common)?, &Site::loopback(), &progress)?;
        Ok(Generator { rig, progress, in_flight: case.in_flight * case.gets })
    }

    /// Runs a stage after a short one that warms up; what was measured, and how often its thread asked for memory in the stage,
    /// where it counts that.
    ///
    /// # Errors
    /// Those of the generator.
    pub fn closed_loop(&mut self, span: Duration) -> Result<(Measured, Option<u64>), Error> {
        let pace = Pace::InFlight(self.in_flight);
        self.rig.stage(pace, WARM_UP, &self.progress)?;
        let stage = self.rig.stage(pace, span, &self.progress)?.stage;
        if stage.wrong > 0 || stage.misses > 0 || stage.answered == 0 {
            let what = format!("{} answers, {} wrong, {} misses", stage.answered, stage.wrong, stage.misses);
            return Err(Error::Wrong { server: "the generator".into(), what });
        }
        let measured = Measured {
            reads_per_s: stage.achieved_tps,
            requests: stage.answered,
            datagrams: stage.answered,
            lost: stage.first_try_lost,
        };
        Ok((measured, stage.counters.get(ALLOCATIONS).copied()))
    }

    /// Keys and values of what it stored.
    #[must_use]
    pub fn items(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let space = &self.rig.space;
        let one = |item| {
            let mut value = vec![0; space.value_bytes(item)];
            space.fill_value(item, &mut value);
            (space.key(item, &mut [0; KEY_BYTES_MAX]).to_vec(), value)
        };
        (0..space.items()).map(one).collect()
    }

    /// The request datagrams it sends: its keys, telemetry asked for.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn requests(&self, process: &Process, case: &Case) -> Result<Built, Error> {
        let cookie = process.control()?.welcome().cookie;
        let items = super::items::draw(case.items, case.requests * case.gets);
        let keys: Vec<Vec<u8>> =
            items.iter().map(|item| self.rig.space.key(*item, &mut [0; KEY_BYTES_MAX]).to_vec()).collect();
        Ok(shingle_keys(case, &keys, cookie, 1))
    }
}
