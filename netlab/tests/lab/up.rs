//! A laboratory that is up carries packets both ways, of both families, the first one as well.

use shingle_netlab::lab::LabOptions;

use crate::common::{FAMILIES, lab, plan, receive, sockets};

#[test]
fn the_first_datagram_arrives_and_its_answer_too() {
    let Some(lab) = lab(&plan(9001, 9001), &LabOptions::default()) else { return };
    for family in FAMILIES {
        let (client, server, address) = sockets(&lab, family);
        client.send_to(&[7; 8000], address).unwrap();
        let (datagram, peer) = receive(&server);
        assert_eq!((datagram.len(), peer.ip()), (8000, lab.client().address(family)));
        server.send_to(&datagram, peer).unwrap();
        assert_eq!(receive(&client).0.len(), 8000);
    }
    lab.down().unwrap();
}

/// What the kernel may forget it asks for, and packets wait meanwhile.
#[test]
fn hosts_know_their_neighbours_for_good() {
    let Some(lab) = lab(&plan(1500, 1500), &LabOptions::default()) else { return };
    for (host, neighbours) in [(lab.client(), 2), (lab.server(), 2), (lab.host("router"), 4)] {
        let known = host.ip(&["neighbour", "show", "nud", "permanent"]).unwrap();
        let known = known.lines().filter(|line| line.contains(" 02:00:c6:12:")).count();
        assert_eq!(known, neighbours, "{}", host.name());
    }
    lab.down().unwrap();
}
