//! Every topology of the catalogue comes up, with either family, and loses nothing by itself while it does.

use shingle_netlab::lab::LabOptions;
use shingle_netlab::{Spec, catalogue};

use crate::common::lab;

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
