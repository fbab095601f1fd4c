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
