//! `doctor`: facts about this host and the way to a server, and what to change.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shingle_client::control::{Control, ControlError};
use shingle_netlab::Spec;
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};

use crate::cli::Doctor;
use crate::doctor::facts::{self, Facts};
use crate::doctor::{Report, words};
use crate::error::Error;
use crate::lab::Laboratory;
use crate::limits;
use crate::options::{LabChoice, Output, check_load};
use crate::workload::units::{self, Rate};

/// Memory of the server in a laboratory, which stores nothing.
const LAB_SERVER_BYTES: usize = 16 << 20;

pub(super) fn run(args: &Doctor) -> Result<u8, Error> {
    let Rate::PerSecond(rate) = args.rate else {
        return Err(Error::OutOfRange {
            flag: "--rate".to_owned(),
            value: "max".to_owned(),
            range: "reads a second, such as 100k: what a buffer must hold follows from a rate".to_owned(),
        });
    };
    check_load(args.rate, Duration::from_secs(1))?;
    if args.pause > limits::DOCTOR_PAUSE_MAX {
        let (value, most) =
            (units::format_duration(args.pause), units::format_duration(limits::DOCTOR_PAUSE_MAX));
        return Err(Error::OutOfRange {
            flag: "--pause".to_owned(),
            value,
            range: format!("up to {most}, and above 0"),
        });
    }
    Output { json: args.json.clone(), ..Output::default() }.check_writable()?;
    let demand = facts::demand::of(rate, args.pause, &args.values)?;
    let report = match (&args.lab, &args.server) {
        (Some(_), Some(_)) => return Err(Error::LabWithServer),
        (None, _) if !args.set.is_empty() => return Err(Error::NeedsLab { flag: "--set" }),
        (Some(topology), None) => in_lab(topology, &args.set, demand)?,
        (None, server) => examine(server.as_deref(), demand)?,
    };
    let printed = super::print_out(&words::text(&report));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report).expect("a report serialises");
        fs::write(path, json + "\n").map_err(|error| Error::file("write", path, error))?;
    }
    printed?;
    Ok(report.exit_status())
}

/// Facts of this host, and of the server and the way to it if there is one.
fn examine(server: Option<&str>, demand: facts::Demand) -> Result<Report, Error> {
    let mut facts = Facts { demand, ..Facts::default() };
    let unknown = &mut facts.unknown;
    let Some(address) = server else {
        unknown.push("the path, and the server's side: no --server was given".to_owned());
        facts.here = facts::host::read(None, unknown);
        return Ok(Report::of(facts));
    };
    let connected = Control::connect(address, &[], limits::CONNECT_TIMEOUT);
    let mut control = match connected {
        Ok(control) => Some(control),
        // Somebody else's server: what the kernels say is still to be had.
        Err(error @ ControlError::NotShingle { .. }) => {
            unknown.push(format!("the server's side, and what the path carries: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let peer = match &control {
        Some(control) => Some(control.peer()?),
        None => resolve(address),
    };
    let mut path = peer.map(|peer| facts::path::held(peer, unknown));
    // Before anything is sent: the search teaches the kernels what it finds.
    facts.here = facts::host::read(path.as_ref().map(|path| path.device.as_str()), unknown);
    if let (Some(control), Some(path)) = (&mut control, &mut path) {
        facts.server = Some(facts::server::ask(address, control, unknown));
        facts::path::probe(path, control, unknown)
            .map_err(|error| Error::system(format!("cannot probe the path to {address}"), error))?;
    }
    facts.path = path;
    Ok(Report::of(facts))
}

fn resolve(address: &str) -> Option<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    address.to_socket_addrs().ok()?.next()
}

/// The same in a laboratory, with a server at its far end that offers both ways of answering.
fn in_lab(topology: &str, set: &[String], demand: facts::Demand) -> Result<Report, Error> {
    let spec = Spec::new(topology)?.set_all(set)?;
    let lab = Arc::new(Laboratory::up(&LabChoice { spec, pcap: None })?);
    let strategies = [Strategy::Chunked, Strategy::KernelPmtud];
    let config = Config {
        listen: lab.server_address(),
        udp_ports: strategies.map(|strategy| PortConfig::new(0, strategy)).to_vec(),
        tcp_port: 0,
        memory_bytes: LAB_SERVER_BYTES,
        ..Config::default()
    };
    let server = lab.at_server(|| Server::start(config))??;
    let _at_the_client = lab.enter_client()?;
    examine(Some(&server.tcp_addr().to_string()), demand)
}
