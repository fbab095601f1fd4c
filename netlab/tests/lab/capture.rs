//! Captures hold every packet, as it was on the wire.

use std::process::Command;

use shingle_netlab::Family;
use shingle_netlab::lab::LabOptions;

use crate::common::{lab, plan, receive, sockets};

#[test]
fn a_capture_of_every_device_is_readable_and_whole() {
    let directory = std::env::temp_dir().join(format!("shingle-pcap-{}", std::process::id()));
    let options = LabOptions { pcap: Some(directory.clone()), ..LabOptions::default() };
    let Some(lab) = lab(&plan(9001, 9001), &options) else { return };
    let (client, server, address) = sockets(&lab, Family::V4);
    for _ in 0..20 {
        client.send_to(&[1; 5000], address).unwrap();
        receive(&server);
    }
    lab.down().unwrap();
    for file in ["client-c0", "router-rc", "router-rs", "server-s0"] {
        let path = directory.join(format!("{file}.pcap"));
        let read =
            Command::new("tcpdump").args(["-n", "-r"]).arg(&path).arg("udp and port 7400").output().unwrap();
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert_eq!(text.lines().filter(|line| line.contains("length 5000")).count(), 20, "{file}: {text}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}
