//! The scene of a story: a laboratory, a server at its one end, and the calling thread at the other.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use clap::Parser as _;
use shingle_client::Options;
use shingle_client::blocking::Client;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::embedded::Site;
use shingle_loadgen::engine::Pace;
use shingle_loadgen::options::Options as LoadOptions;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::record::Stage;
use shingle_loadgen::rig::Rig;
use shingle_netlab::lab::{Entered, Host, Lab, LabOptions};
use shingle_netlab::{Family, Spec};
use shingle_proto::wire::Strategy;
use shingle_server::{Config, Pause, PortConfig, Server, Token};
use shingle_udp::counters::Snapshot;

use crate::error::StoryError;
use crate::telling::Telling;

/// What updates need: the server takes none from another host without it.
const TOKEN: &[u8] = b"a story";

/// A laboratory with a server in its server host. The calling thread is in the client host until this is dropped, and so are the threads it
/// starts and the sockets it opens.
#[derive(Debug)]
pub struct Scene {
    // In the order in which they must go.
    entered: Entered,
    server: Option<Server>,
    lab: Lab,
    strategy: Strategy,
    pause: Option<Pause>,
    /// When the server was started.
    started: Instant,
}

impl Scene {
    /// Brings up `topology` with these settings (`limit=100/s`), and in it a server with one UDP port of this strategy.
    ///
    /// # Errors
    /// Rights or tools are missing, a setting is not allowed, or the server does not start.
    pub fn new(topology: &str, settings: &[&str], strategy: Strategy) -> Result<Scene, StoryError> {
        let plan = Spec::new(topology)?.set_all(settings)?.plan();
        let pause = plan.pauses.server.map(|(duration, interval)| Pause { duration, interval });
        let lab = Lab::up(&plan, &LabOptions::default())?;
        let entered = lab.client().enter()?;
        let mut scene = Scene { entered, server: None, lab, strategy, pause, started: Instant::now() };
        scene.restart_server()?;
        Ok(scene)
    }

    /// The server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it is started with the scene")
    }

    /// Waits until a multiple of `interval` has passed since the server's start: then one of its pauses ends, if it makes them at this
    /// interval.
    pub fn wait_for_phase(&self, interval: Duration) {
        let passed = self.started.elapsed().as_nanos() % interval.as_nanos();
        std::thread::sleep(interval - Duration::from_nanos(passed as u64));
    }

    /// The laboratory.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Stops the server and starts another, which has nothing stored: build rigs and clients again.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart_server(&mut self) -> Result<(), StoryError> {
        self.server = None;
        self.server = Some(self.start_server()?);
        self.started = Instant::now();
        Ok(())
    }

    /// Starts a server of the same kind in the server host, on ports of its own.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_server(&self) -> Result<Server, StoryError> {
        let host = self.lab.server();
        let config = Config {
            listen: host.address(self.family()),
            udp_ports: vec![PortConfig::new(0, self.strategy)],
            tcp_port: 0,
            token: Some(Token::new(TOKEN).expect("a token's length")),
            inject_pause: self.pause,
            ..Config::default()
        };
        Ok(host.run(|| Server::start(config))??)
    }

    /// A generator for the server, with flags as `loadgen run` takes them; the items are stored.
    ///
    /// # Errors
    /// A flag that is not allowed, or a server that cannot be reached.
    pub fn rig(&self, flags: &str) -> Result<Rig, StoryError> {
        let server = self.tcp_address();
        let words = ["loadgen", "run", "--quiet", "--server", &server].into_iter();
        let typed = Cli::try_parse_from(words.chain(flags.split_whitespace()));
        let Command::Run(run) = typed.map_err(|error| StoryError::Flags(error.to_string()))?.command else {
            unreachable!("the first word is run");
        };
        let options = LoadOptions { token: TOKEN.to_vec(), ..LoadOptions::resolve(&run.common)? };
        let mut rig = Rig::build(&options, &Site::loopback(), &Progress::new(true))?;
        rig.watch(&options.server_cpus);
        Ok(rig)
    }

    /// A client of the server, as programs embed it.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn client(&self, timeout: Duration) -> Result<Client, StoryError> {
        Ok(Client::connect_with(&self.tcp_address(), Scene::client_options(timeout))?)
    }

    /// The settings of [`client`](Self::client), for clients of other kinds.
    #[must_use]
    pub fn client_options(timeout: Duration) -> Options {
        Options { token: TOKEN.to_vec(), timeout, ..Options::default() }
    }

    /// The kernel's counters in a host now.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn counters(&self, host: &Host) -> Result<Snapshot, StoryError> {
        host.run(Snapshot::read)?.map_err(StoryError::system(format!("counters of {}", host.name())))
    }

    /// Lets sockets that the client host opens from now on use this address of its own.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn use_client_address(&self, address: IpAddr) -> Result<(), StoryError> {
        let family = self.family();
        let is_default =
            |route: &&String| route.starts_with("default") && route.contains(':') == address.is_ipv6();
        let routes = &self.lab.plan().hosts[0].routes;
        let route = routes.iter().find(is_default).expect("a client has a default route of each family");
        let (flag, source) = (if family == Family::V4 { "-4" } else { "-6" }, address.to_string());
        let words = [flag, "route", "replace"].into_iter().chain(route.split_whitespace());
        let words: Vec<&str> = words.chain(["src", &source]).collect();
        self.lab.client().ip(&words)?;
        Ok(())
    }

    /// The family in which the ends talk.
    pub fn family(&self) -> Family {
        self.lab.plan().family
    }

    /// Takes everything down, after a note on what the laboratory itself lost, should it have.
    ///
    /// # Errors
    /// Something could not be removed.
    pub fn close(self, telling: &mut Telling) -> Result<(), StoryError> {
        let Scene { entered, server, lab, strategy, .. } = self;
        let topology = &lab.plan().topology;
        for (name, packets) in lab.own_losses()? {
            telling.note(format!(
                "{topology} under {}: the laboratory itself lost or held up {packets} packets ({name})",
                strategy.name()
            ));
        }
        drop(entered);
        drop(server);
        Ok(lab.down()?)
    }

    fn tcp_address(&self) -> String {
        self.server().tcp_addr().to_string()
    }
}

/// Runs one stage at a constant rate.
///
/// # Errors
/// Those of the generator.
pub fn stage(rig: &mut Rig, tps: u32, duration: Duration) -> Result<Stage, StoryError> {
    let quiet = Progress::new(true);
    Ok(rig.stage(Pace::PerSecond(f64::from(tps)), duration, &quiet)?.stage)
}
