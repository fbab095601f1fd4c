//! What laboratories cost on this machine: how long they take to come up and to go, and how true added latency is.
//!
//! `cargo run --release -p shingle-netlab --example lab`

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use shingle_netlab::lab::{Lab, LabOptions, prepare_process, range};
use shingle_netlab::{Family, Plan, Spec};

const LABS: usize = 20;
const DELAY: &str = "delay=5ms";
const STEP: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    prepare_process()?;
    lifetimes("direct", Spec::new("direct")?.plan())?;
    lifetimes("fragment-limit with delay", Spec::new("fragment-limit")?.set(DELAY)?.plan())?;
    println!("{}", range()?);
    println!("{DELAY} each way, one way measured, {STEP:?} each:");
    for rate in [1_000, 20_000, 50_000, 100_000, 150_000] {
        held(rate)?;
    }
    Ok(())
}

fn lifetimes(name: &str, plan: Plan) -> Result<(), Box<dyn Error>> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..LABS {
        let begin = Instant::now();
        let lab = Lab::up(&plan, &LabOptions::default())?;
        up.push(begin.elapsed());
        let begin = Instant::now();
        lab.down()?;
        down.push(begin.elapsed());
    }
    up.sort_unstable();
    down.sort_unstable();
    let (up_max, down_max) = (up[LABS - 1], down[LABS - 1]);
    println!(
        "{name}: up {:.1?} (median; {up_max:.1?} at most), gone {:.1?} ({down_max:.1?})",
        up[LABS / 2],
        down[LABS / 2]
    );
    Ok(())
}

/// Small datagrams from the client to the server at an even rate.
fn held(rate: u64) -> Result<(), Box<dyn Error>> {
    let lab = Lab::up(&Spec::new("direct")?.set(DELAY)?.plan(), &LabOptions::default())?;
    let address = SocketAddr::new(lab.server().address(Family::V4), 7);
    let server = lab.server().run(|| UdpSocket::bind(address))??;
    // Room for a stall of the machine: what its reader cannot keep up with is no loss of the laboratory's.
    setsockopt(&server, sockopt::RcvBufForce, &(16 << 20))
        .or_else(|_| setsockopt(&server, sockopt::RcvBuf, &(16 << 20)))?;
    server.set_read_timeout(Some(Duration::from_millis(300)))?;
    let client = lab.client().run(|| UdpSocket::bind("198.18.2.2:0"))??;
    let count = rate * STEP.as_millis() as u64 / 1000;
    let begin = Instant::now();
    let (mut latencies, offered) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut latencies = Vec::new();
            let mut datagram = [0; 100];
            while server.recv(&mut datagram).is_ok() {
                let sent = u64::from_be_bytes(*datagram.first_chunk().expect("it holds its time"));
                latencies.push(begin.elapsed().saturating_sub(Duration::from_nanos(sent)));
            }
            latencies
        });
        let mut datagram = [0; 100];
        for number in 0..count {
            let due = Duration::from_nanos(number * 1_000_000_000 / rate);
            if let Some(early) =
                due.checked_sub(begin.elapsed()).filter(|early| *early > Duration::from_micros(100))
            {
                std::thread::sleep(early);
            }
            datagram[..8].copy_from_slice(&(begin.elapsed().as_nanos() as u64).to_be_bytes());
            let _ = client.send_to(&datagram, address);
        }
        let offered = count as f64 / begin.elapsed().as_secs_f64();
        (receiver.join().unwrap_or_default(), offered)
    });
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let losses = lab.own_losses()?;
    let kernel = lab.server().kernel_counters()?;
    println!(
        "    {rate}/s ({offered:.0} offered): lost {} of {count}; p50 {:.2?}, p99 {:.2?}, least {:.2?}; {losses:?} {kernel:?}",
        count - latencies.len() as u64,
        at(0.5),
        at(0.99),
        at(0.0),
    );
    Ok(lab.down()?)
}
