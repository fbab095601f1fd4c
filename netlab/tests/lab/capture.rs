//! Captures hold every packet, as it was on the wire.

use std::io::ErrorKind;
use std::process::Command;

use shingle_netlab::lab::LabOptions;
use shingle_netlab::{Family, skip};

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
    assert_eq!(lab.missed_by_captures(), 0);
    lab.down().unwrap();
    for file in ["client-c0", "router-rc", "router-rs", "server-s0"] {
        let path = directory.join(format!("{file}.pcap"));
        let lengths = records(&std::fs::read(&path).unwrap());
        // Ethernet, IPv4 and UDP headers before the payload.
        assert_eq!(
            lengths.iter().filter(|&&length| length == 14 + 20 + 8 + 5000).count(),
            20,
            "{file}: {lengths:?}"
        );
        match Command::new("tcpdump").args(["-n", "-r"]).arg(&path).arg("udp and port 7400").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip::say("tcpdump to read a capture is not installed")
            }
            read => {
                let text = String::from_utf8_lossy(&read.unwrap().stdout).into_owned();
                assert_eq!(
                    text.lines().filter(|line| line.contains("length 5000")).count(),
                    20,
                    "{file}: {text}"
                );
            }
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Lengths of the packets in a file of the pcap format: 24 B of head, then 16 B before each packet.
fn records(file: &[u8]) -> Vec<u32> {
    let mut lengths = Vec::new();
    let mut rest = &file[24..];
    while let Some((head, packets)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(head[8..12].try_into().unwrap());
        lengths.push(length);
        rest = &packets[length as usize..];
    }
    assert!(rest.is_empty(), "the last packet is whole");
    lengths
}
