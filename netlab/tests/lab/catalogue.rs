//! Every topology of the catalogue comes up, with either family, and loses nothing by itself while it does.

use std::net::UdpSocket;

use shingle_netlab::lab::LabOptions;
use shingle_netlab::{Spec, catalogue};

use crate::common::{FAMILIES, lab};

#[test]
fn the_clients_spare_addresses_are_left_to_who_asks_for_them() {
    let plan = Spec::new("narrow").unwrap().plan();
    let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
    for family in FAMILIES {
        let server = lab.server().address(family);
        let own = lab.client().address(family);
        let any = if own.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let source = lab.client().run(|| {
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect((server, 7400)).unwrap();
            socket.local_addr().unwrap().ip()
        });
        assert_eq!(source.unwrap(), own);
        assert_eq!(lab.client().addresses(family).len(), 5);
    }
    lab.down().unwrap();
}

#[test]
fn every_topology_comes_up() {
    for entry in catalogue() {
        for family in ["4", "6"] {
            let settings = [format!("family={family}"), "delay=1ms".to_owned()];
            let plan = Spec::new(entry.name).unwrap().set_all(settings).unwrap().plan();
            let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
            lab.start_clock();
            let losses = lab.own_losses().unwrap();
            assert!(losses.keys().all(|name| name.starts_with("machine.")), "{}: {losses:?}", entry.name);
            lab.down().unwrap();
        }
    }
}
