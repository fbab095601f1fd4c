//! Servers as child processes: started on their CPU, asked for their address, and gone when the driver is gone.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use shingle_client::control::Control;
use shingle_server::stats::StatsReport;
use shingle_udp::floor::confine;

use super::case::Case;
use super::error::{Error, system};
use super::items::{key, value};
use super::limits::{MEMCACHED_MIB, READY, TCP_TIMEOUT};
use super::serve::{EchoArgs, Serve, ShingleArgs};

/// A server's process. Dropping it kills it.
pub struct Process {
    child: Child,
    /// UDP ports it serves.
    pub udp: Vec<SocketAddr>,
    /// TCP port, where it has one.
    pub tcp: Option<SocketAddr>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// A bare echo with the sizes of this case.
    ///
    /// # Errors
    /// It does not come up.
    pub fn echo(case: &Case, cpus: &[usize]) -> Result<Process, Error> {
        let shape = case.shape();
        let args = EchoArgs {
            request_bytes: shape.request_bytes,
            train: shape.train,
            answer_bytes: shape.answer_bytes,
            segment_bytes: shape.segment_bytes,
        };
        Process::serve(Serve::Echo(args), "the bare echo", cpus)
    }

    /// Our server, empty.
    ///
    /// # Errors
    /// It does not come up.
    pub fn shingle(args: ShingleArgs, cpus: &[usize]) -> Result<Process, Error> {
        Process::serve(Serve::Shingle(args), "the cache server", cpus)
    }

    /// memcached with one thread, empty, serving TCP and UDP.
    ///
    /// # Errors
    /// There is none, or it does not come up.
    pub fn memcached(cpus: &[usize]) -> Result<Process, Error> {
        let port = free_port().or_else(system("finding a free port for memcached"))?;
        let number = port.to_string();
        let memory = MEMCACHED_MIB.to_string();
        let mut command = Command::new("memcached");
        command.args([
            "-l",
            "127.0.0.1",
            "-p",
            &number,
            "-U",
            &number,
            "-t",
            "1",
            "-m",
            &memory,
            "-c",
            "256",
        ]);
        // It refuses to run as root unless a user is named, and ignores the flag otherwise.
        command.args(["-u", "root"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        confine(&mut command, cpus);
        let child = command.spawn().or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Err(Error::NoMemcached),
            _ => system("starting memcached")(error),
        })?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Process { child, udp: vec![addr], tcp: Some(addr) };
        let begin = Instant::now();
        while TcpStream::connect(addr).is_err() {
            let ended = process.child.try_wait().or_else(system("waiting for memcached"))?;
            if ended.is_some() || begin.elapsed() > READY {
                let why = ended.map_or("it does not listen".into(), |status| status.to_string());
                return Err(Error::NotReady { server: "memcached".into(), why });
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(process)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection to our server's control plane.
    ///
    /// # Errors
    /// Those of the connection.
    ///
    /// # Panics
    /// If it is not our server.
    pub fn control(&self) -> Result<Control, Error> {
        let tcp = self.tcp.expect("a server with a control plane");
        Ok(Control::connect(&tcp.to_string(), b"", TCP_TIMEOUT)?)
    }

    fn serve(what: Serve, name: &str, cpus: &[usize]) -> Result<Process, Error> {
        let program = std::env::current_exe().or_else(system("finding this program"))?;
        let mut command = Command::new(program);
        command.args(what.to_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        confine(&mut command, cpus);
        let mut child = command.spawn().or_else(system(format!("starting {name}")))?;
        let out = child.stdout.take().expect("stdout is piped");
        let mut process = Process { child, udp: Vec::new(), tcp: None };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).or_else(system(format!("waiting for {name}")))?;
        let places = line.strip_prefix("ready ").ok_or_else(|| Error::NotReady {
            server: name.into(),
            why: "it ended; what it said is above".into(),
        })?;
        for (kind, place) in places.split_whitespace().filter_map(|place| place.split_once('=')) {
            match (kind, place.parse()) {
                ("udp", Ok(addr)) => process.udp.push(addr),
                ("tcp", Ok(addr)) => process.tcp = Some(addr),
                _ => {}
            }
        }
        Ok(process)
    }
}

/// Our server's statistics.
///
/// # Errors
/// Those of the connection.
pub fn stats(control: &mut Control) -> Result<StatsReport, Error> {
    let text = control.stats()?;
    serde_json::from_str(&text).map_err(|error| Error::Wrong {
        server: "the cache server".into(),
        what: format!("statistics that are not read: {error}"),
    })
}

/// Stores all items of a case in our server.
///
/// # Errors
/// The connection fails, or not all items are kept.
pub fn seed(control: &mut Control, items: u32, value_bytes: usize) -> Result<(), Error> {
    control.set_all((0..items).map(|item| (key(item), value(item, value_bytes), 0)), |_| ())?;
    let store = stats(control)?.store;
    if store.items < u64::from(items) {
        let what = format!(
            "of {items} items of {value_bytes} B it keeps {}: {} B of a budget of {} B are used",
            store.items, store.used_bytes, store.budget_bytes
        );
        return Err(Error::Wrong { server: "the cache server".into(), what });
    }
    Ok(())
}

/// The same in memcached.
///
/// # Errors
/// The connection fails, or memcached is not silent about it.
pub fn seed_memcached(to: SocketAddr, items: u32, value_bytes: usize) -> Result<(), Error> {
    let answer = store(to, items, value_bytes).or_else(system("storing items in memcached"))?;
    if answer.starts_with(b"VERSION ") {
        return Ok(());
    }
    let what = format!("it answers updates with {:?}", String::from_utf8_lossy(&answer));
    Err(Error::Wrong { server: "memcached".into(), what })
}

fn store(to: SocketAddr, items: u32, value_bytes: usize) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(TCP_TIMEOUT))?;
    let mut text = Vec::new();
    for item in 0..items {
        text.extend(b"set ");
        text.extend(key(item));
        text.extend(format!(" 0 0 {value_bytes} noreply\r\n").into_bytes());
        text.extend(value(item, value_bytes));
        text.extend(b"\r\n");
        if text.len() > 64 << 10 {
            stream.write_all(&text)?;
            text.clear();
        }
    }
    text.extend(b"version\r\n");
    stream.write_all(&text)?;
    let mut answer = vec![0; 256];
    let bytes = stream.read(&mut answer)?;
    answer.truncate(bytes);
    Ok(answer)
}

/// A port that nobody has on loopback, neither over UDP nor over TCP.
fn free_port() -> io::Result<u16> {
    let mut tried = Vec::new();
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            // Kept open, so that the kernel picks another.
            Err(_) if tried.len() < 64 => tried.push(udp),
            Err(error) => return Err(error),
        }
    }
}
