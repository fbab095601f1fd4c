//! Who runs where and for how long, and the contestants most rows are made of.

use std::net::SocketAddr;
use std::time::Duration;

use super::case::Case;
use super::contest::Contestant;
use super::error::{Error, system};
use super::items::draw;
use super::judge::Judge;
use super::limits::MEMORY_BYTES;
use super::requests;
use super::serve::ShingleArgs;
use super::servers::{Process, seed, seed_memcached};
use super::tcp::TcpDriver;
use super::udp::Driver;

/// What all rows share.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Interleaved rounds.
    pub rounds: usize,
    /// Time each contestant is measured in a round.
    pub span: Duration,
    /// CPU of the servers: the lowest allowed.
    pub server_cpu: usize,
    /// CPU of the driver: the highest allowed.
    pub driver_cpu: usize,
    /// memcached takes part.
    pub memcached: bool,
}

/// Names, as they are printed.
pub const FLOOR: &str = "floor";
/// The floor once more, for the control.
pub const FLOOR_AGAIN: &str = "floor again";
/// Our server.
pub const OURS: &str = "shingle";
/// memcached over UDP.
pub const MEMCACHED_UDP: &str = "memcached -U";
/// memcached over TCP.
pub const MEMCACHED_TCP: &str = "memcached TCP";

impl Setup {
    /// Finds the CPUs and stays on the driver's. Children are started from this thread, and live as long as it does.
    ///
    /// # Errors
    /// There is one CPU only.
    pub fn new(rounds: usize, span: Duration, memcached: bool) -> Result<Setup, Error> {
        let cpus = shingle_udp::allowed_cpus().or_else(system("reading the CPUs allowed"))?;
        let (Some(&server_cpu), Some(&driver_cpu), true) = (cpus.first(), cpus.last(), cpus.len() > 1) else {
            return Err(Error::Cpus { found: cpus.len() });
        };
        shingle_udp::pin_thread_to(driver_cpu).or_else(system("pinning the driver"))?;
        Ok(Setup { rounds, span, server_cpu, driver_cpu, memcached })
    }

    /// The floor of a case.
    ///
    /// # Errors
    /// It does not come up.
    pub fn floor(&self, name: &'static str, case: &Case) -> Result<Contestant, Error> {
        let (process, mut driver) = self.floor_driver(case)?;
        Ok(Contestant::new(name, move |span| {
            let _alive = &process;
            driver.closed_loop(span)
        }))
    }

    /// The floor's process and a driver towards it.
    ///
    /// # Errors
    /// It does not come up.
    pub fn floor_driver(&self, case: &Case) -> Result<(Process, Driver), Error> {
        let process = Process::echo(case, &[self.server_cpu])?;
        let driver = self.drive_floor(&process, case)?;
        Ok((process, driver))
    }

    /// A driver towards a floor of this case.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn drive_floor(&self, process: &Process, case: &Case) -> Result<Driver, Error> {
        // Any request of the right length will do; ours have an index where the echo keeps it.
        let items = draw(case.items, case.requests * case.gets);
        let built = requests::shingle(case, items, crate::small::cookie(), 0);
        Driver::new("the bare echo", process.udp[0], built, Judge::echo(case), case.train, case.in_flight)
    }

    /// Our server with the items of a case.
    ///
    /// # Errors
    /// It does not come up, or does not keep them.
    pub fn ours(&self, name: &'static str, case: &Case) -> Result<Contestant, Error> {
        let process = self.shingle(case, Setup::shingle_args(case), &[self.server_cpu])?;
        let mut driver = self.drive(&process, case, process.udp[0])?;
        Ok(Contestant::new(name, move |span| {
            let _alive = &process;
            driver.closed_loop(span)
        }))
    }

    /// How our server is set up for a case.
    #[must_use]
    pub fn shingle_args(case: &Case) -> ShingleArgs {
        ShingleArgs {
            memory_bytes: MEMORY_BYTES.max(memory_for(case)),
            path_mtu: case.path_mtu,
            ports: 1,
            workers: 1,
            receipts: false,
        }
    }

    /// Our server's process, with the items of a case.
    ///
    /// # Errors
    /// It does not come up, or does not keep them.
    pub fn shingle(&self, case: &Case, args: ShingleArgs, cpus: &[usize]) -> Result<Process, Error> {
        let process = Process::shingle(args, cpus)?;
        seed(&mut process.control()?, case.items, case.value_bytes)?;
        Ok(process)
    }

    /// A driver towards a port of our server.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn drive(&self, process: &Process, case: &Case, to: SocketAddr) -> Result<Driver, Error> {
        let cookie = process.control()?.welcome().cookie;
        let built = requests::shingle(case, draw(case.items, case.requests * case.gets), cookie, 1);
        Driver::new("the cache server", to, built, Judge::shingle(case), case.train, case.in_flight)
    }

    /// memcached over UDP.
    ///
    /// # Errors
    /// There is none, or it does not come up.
    pub fn memcached_udp(&self, case: &Case) -> Result<Contestant, Error> {
        let process = Process::memcached(&[self.server_cpu])?;
        seed_memcached(process.udp[0], case.items, case.value_bytes)?;
        let mut driver = Driver::new(
            MEMCACHED_UDP,
            process.udp[0],
            requests::memcached_udp(case, draw(case.items, case.requests * case.gets)),
            Judge::memcached(case),
            case.train,
            case.in_flight,
        )?;
        Ok(Contestant::new(MEMCACHED_UDP, move |span| {
            let _alive = &process;
            driver.closed_loop(span)
        }))
    }

    /// memcached over TCP, as many connections as the case has requests in flight.
    ///
    /// # Errors
    /// There is none, or it does not come up.
    pub fn memcached_tcp(&self, case: &Case) -> Result<Contestant, Error> {
        let process = Process::memcached(&[self.server_cpu])?;
        seed_memcached(process.udp[0], case.items, case.value_bytes)?;
        let mut driver = TcpDriver::new(process.udp[0], *case)?;
        Ok(Contestant::new(MEMCACHED_TCP, move |span| {
            let _alive = &process;
            driver.closed_loop(span)
        }))
    }
}

/// Budget that holds the items of a case: keys, sealed values, and more beside than any store of ours ever took.
#[must_use]
pub fn memory_for(case: &Case) -> usize {
    const BESIDE_BYTES: usize = 200;
    case.items as usize * (super::limits::KEY_BYTES + case.sealed_bytes() + BESIDE_BYTES)
}
