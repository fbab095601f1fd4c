//! What comes and goes: nothing stays behind, and laboratories do not see each other.

use std::path::Path;

use shingle_netlab::lab::{LabError, LabOptions};

use crate::common::{lab, own, plan};

#[test]
fn a_hundred_in_a_row_leave_nothing() {
    let name = own("t-hundred");
    for round in 0..100 {
        let options = LabOptions { name: Some(name.clone()), ..LabOptions::default() };
        let Some(lab) = lab(&plan(9001, 1500), &options) else { return };
        let namespaces: Vec<_> = lab.hosts().iter().map(|host| host.path().to_owned()).collect();
        assert!(namespaces.iter().all(|path| path.exists()), "round {round}");
        let mut sleeper = lab.server().command("sleep").arg("1000").spawn().unwrap();
        if round % 2 == 0 {
            lab.down().unwrap()
        } else {
            drop(lab)
        }
        assert!(!sleeper.wait().unwrap().success(), "round {round}: killed with its host");
        assert!(!namespaces.iter().any(|path| path.exists()), "round {round}");
        assert!(!Path::new(&format!("/run/shingle-netlab/{name}.lock")).exists(), "round {round}");
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&name), "{mounts}");
}

#[test]
fn a_name_in_use_and_names_that_are_none_are_refused() {
    let options = LabOptions { name: Some(own("t-taken")), ..LabOptions::default() };
    let Some(first) = lab(&plan(1500, 1500), &options) else { return };
    let second = shingle_netlab::lab::Lab::up(&plan(1500, 1500), &options).unwrap_err();
    assert!(
        matches!(&second, LabError::InUse { owner, .. } if *owner == std::process::id().to_string()),
        "{second}"
    );
    assert!(first.client().path().exists(), "the first one is untouched");
    for name in ["", "a/b", "../x", "a b", &"x".repeat(41)] {
        let options = LabOptions { name: Some(name.to_owned()), ..LabOptions::default() };
        let error = shingle_netlab::lab::Lab::up(&plan(1500, 1500), &options).unwrap_err();
        assert!(matches!(error, LabError::Name { .. }), "{name}: {error}");
    }
}

#[test]
fn what_does_not_work_leaves_nothing() {
    let name = own("t-broken");
    let options = LabOptions { name: Some(name.clone()), ..LabOptions::default() };
    let mut broken = plan(1500, 1500);
    broken.hosts[2].rules = "add rule no such".to_owned();
    if lab(&plan(1500, 1500), &options).is_none() {
        return;
    }
    let error = shingle_netlab::lab::Lab::up(&broken, &options).unwrap_err().to_string();
    assert!(error.contains("nft") && error.contains("router"), "{error}");
    assert!(!Path::new(&format!("/run/netns/shingle-{name}-client")).exists());
    assert!(!Path::new(&format!("/run/shingle-netlab/{name}.lock")).exists());
}

/// A command on its way into a host has the namespace's file among its words, and nothing else that tells.
#[test]
fn who_is_on_the_way_into_a_host_goes_with_it_and_nobody_else() {
    let Some(lab) = lab(&plan(1500, 1500), &LabOptions::default()) else { return };
    let waiting = |words: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "read forever", words]).stdin(std::process::Stdio::piped()).spawn().unwrap()
    };
    let server = lab.server().path().display().to_string();
    let mut entering = waiting(&format!("--net={server}"));
    let mut others = [waiting(&format!("--net={server}2")), waiting(&server)];
    lab.down().unwrap();
    assert!(!entering.wait().unwrap().success(), "killed");
    for other in &mut others {
        assert!(other.try_wait().unwrap().is_none(), "still there");
        drop(other.stdin.take());
        other.wait().unwrap();
    }
}
