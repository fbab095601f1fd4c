//! A laboratory that is up carries packets both ways, of both families, the first one as well.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use shingle_netlab::lab::LabOptions;

use crate::common::{FAMILIES, lab, plan};

#[test]
fn the_first_datagram_arrives_and_its_answer_too() {
    let Some(lab) = lab(&plan(9001, 9001), &LabOptions::default()) else { return };
    for family in FAMILIES {
        let address = SocketAddr::new(lab.server().address(family), 7400);
        let server = lab.server().run(|| UdpSocket::bind(address).unwrap()).unwrap();
        let own = SocketAddr::new(lab.client().address(family), 0);
        let client = lab.client().run(|| UdpSocket::bind(own).unwrap()).unwrap();
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        }
        client.send_to(&[7; 8000], address).unwrap();
        let mut buffer = [0; 9000];
        let (length, peer) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((length, peer.ip()), (8000, own.ip()));
        server.send_to(&buffer[..length], peer).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 8000);
    }
    lab.down().unwrap();
}
