//! Requests that share a send stay requests of their own.

mod relay;

use std::time::Duration;

use relay::{check_books, rig, server};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::progress::Progress;

#[test]
fn as_many_requests_reach_the_server_and_each_is_answered() {
    for (train, gets) in [(1, 1), (16, 1), (64, 1), (8, 10)] {
        let server = server();
        let [train_flag, gets_flag] = [train, gets].map(|number: u64| number.to_string());
        let flags = ["--train", &train_flag, "--gets-per-datagram", &gets_flag];
        let mut rig = rig(
            &server,
            &[&flags[..], &["--items", "1k", "--values", "fixed:100", "--timeout", "1s"]].concat(),
        );
        let pace = Pace::InFlight(256);
        let stage = rig.stage(pace, Duration::from_millis(300), &Progress::new(true)).unwrap();
        check_books(&stage);
        let counter = |name: &str| stage.stage.counters[name];
        let requests = counter("client.flow.datagrams_sent");
        assert_eq!(requests, stage.stage.sent.div_ceil(gets), "train {train}: one request for {gets} reads");
        assert_eq!(counter("server.requests"), requests, "train {train}");
        assert_eq!((stage.stage.answered, counter("client.flow.sends_refused")), (stage.stage.sent, 0));
        let trains = counter("client.flow.trains_sent");
        if train == 1 {
            assert_eq!(trains, requests);
        } else {
            assert!(trains < requests, "{trains} trains of up to {train} for {requests} requests");
        }
        assert!(counter("client.flow.send_calls") <= trains);
        assert_eq!(rig.workload().train as u64, train);
    }
}
