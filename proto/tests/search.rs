//! The path-MTU search over a modelled path: how many probes it takes, and that nothing but the path's size decides.

mod search_support;

use proptest::collection::vec;
use proptest::prelude::*;
use search_support::{Loss, Path, Random, Run};
use shingle_proto::limits::PATH_MTUS;
use shingle_proto::search::{Search, SearchConfig, SearchState};

const BASE: u16 = 1200;
const SECOND_NS: u64 = 1_000_000_000;
const OVERHEADS: [u16; 2] = [28, 48];

fn config(datagram_max: u16, overhead_bytes: u16) -> SearchConfig {
    SearchConfig { datagram_max, overhead_bytes, ..SearchConfig::default() }
}

fn caps(overhead: u16) -> Vec<u16> {
    PATH_MTUS.iter().map(|path_mtu| path_mtu - overhead).chain([1472, 65_507]).collect()
}

/// Probes until the exact size is found on a path without loss.
fn probes(path_mtu: u16, cap: u16, overhead: u16) -> u64 {
    let size = path_mtu - overhead;
    let mut run = Run::new(config(cap, overhead), Path::new(size, Loss::None, 0));
    let probes = run.complete();
    let cap = run.search.size_max();
    assert_eq!(run.search.size(), size.min(cap), "path MTU {path_mtu}, cap {cap}, overhead {overhead}");
    assert!(run.largest_probe <= cap, "probe of {} above the cap {cap}", run.largest_probe);
    probes
}

#[test]
fn path_mtus_of_the_field_take_16_probes() {
    for overhead in OVERHEADS {
        let mut worst = 0;
        for (path_mtu, cap) in
            PATH_MTUS.iter().flat_map(|&path_mtu| caps(overhead).into_iter().map(move |cap| (path_mtu, cap)))
        {
            let probes = probes(path_mtu, cap, overhead);
            worst = worst.max(probes);
            assert!(probes <= 16, "{probes} probes for path MTU {path_mtu}, cap {cap}, overhead {overhead}");
        }
        println!("overhead {overhead}: at most {worst} probes");
    }
}

#[test]
fn any_path_mtu_takes_40_probes() {
    for overhead in OVERHEADS {
        let mut worst = 0;
        for path_mtu in BASE + overhead..=65_535 {
            // Every path MTU under the largest cap; every 61st under the others, which cut most of them off anyway.
            let caps = if path_mtu % 61 == 0 || path_mtu < 1_600 { caps(overhead) } else { vec![65_507] };
            for cap in caps {
                let probes = probes(path_mtu, cap, overhead);
                worst = worst.max(probes);
                assert!(
                    probes <= 40,
                    "{probes} probes for path MTU {path_mtu}, cap {cap}, overhead {overhead}"
                );
            }
        }
        println!("overhead {overhead}: at most {worst} probes");
    }
}

#[test]
fn loss_does_not_change_what_is_found() {
    const RUNS: u64 = 1_000;
    let paths =
        [(1_472, 8_973), (8_472, 8_973), (8_973, 8_973), (1_252, 1_472), (5_000, 8_973), (1_372, 65_507)];
    for (percent, probes_max) in [(5.0, 80), (10.0, 100), (20.0, 150)] {
        for (size, cap) in paths {
            let mut counts = Vec::new();
            let mut wrong = Vec::new();
            for seed in 0..RUNS {
                let mut run = Run::new(config(cap, 28), Path::new(size, Loss::Percent(percent), seed));
                counts.push(run.complete());
                if run.search.size() != size {
                    wrong.push((seed, run.search.size()));
                }
            }
            counts.sort_unstable();
            let at = |percent: usize| counts[(counts.len() - 1) * percent / 100];
            let spread = format!("probes median {}, 99 % {}, most {}", at(50), at(99), at(100));
            println!("loss {percent} %, size {size}, cap {cap}: {spread}; wrong {wrong:?}");
            assert!(
                wrong.len() as u64 <= RUNS / 1_000,
                "loss {percent} %, size {size}: (seed, found) {wrong:?}"
            );
            assert!(at(100) <= probes_max, "loss {percent} %, size {size}: {spread}");
        }
    }
}

#[test]
fn a_path_that_shrinks_is_found_again() {
    let mut worst = [0, 0];
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let overhead = OVERHEADS[random.below(2) as usize];
        let mut run = Run::new(config(8_973, overhead), Path::new(8_973, Loss::None, seed));
        run.complete();
        run.until(run.now_ns + random.below(700 * SECOND_NS));
        let in_table = seed % 2 == 0;
        let path_mtu = match in_table {
            true => PATH_MTUS[random.below(10) as usize],
            false => 1_280 + random.below(7_000) as u16,
        };
        run.path.datagram_max = path_mtu - overhead;
        let before = run.search.counters().probes;
        run.search.suspect(run.now_ns);
        assert_eq!((run.search.size(), run.search.state()), (BASE, SearchState::Suspected), "seed {seed}");
        run.complete();
        assert_eq!(run.search.size(), path_mtu - overhead, "seed {seed}, path MTU {path_mtu}");
        assert_eq!(run.search.counters().lowered, 1, "seed {seed}");
        let probes = run.search.counters().probes - before;
        worst[usize::from(in_table)] = worst[usize::from(in_table)].max(probes);
        // 18 of the lowering test, and those of a search.
        assert!(
            probes <= if in_table { 34 } else { 50 },
            "seed {seed}: {probes} probes for path MTU {path_mtu}"
        );

        // The path grows again: the raise timer finds out, and reads use the old size meanwhile.
        run.path.datagram_max = 8_973;
        let until_ns = run.now_ns + 601 * SECOND_NS;
        while run.step(until_ns) {
            assert!(run.search.size() >= path_mtu - overhead, "seed {seed}: reads pay for the search");
        }
        assert_eq!((run.search.size(), run.search.state()), (8_973, SearchState::Complete), "seed {seed}");
    }
    println!("probes from the suspicion on: at most {} in the table, {} elsewhere", worst[1], worst[0]);
}

#[test]
fn a_hint_shortens_the_search_after_a_lowering() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, 0));
    run.complete();
    run.path.datagram_max = 5_321;
    let before = run.search.counters().probes;
    run.search.hint(run.now_ns, 5_321);
    run.complete();
    assert_eq!(run.search.size(), 5_321);
    let probes = run.search.counters().probes - before;
    assert!(probes <= 18 + 11, "{probes} probes");
}

/// Reads of the size in use every 5 ms, each lost one raising a suspicion, for a minute. Returns lowerings and tests.
fn read_for_a_minute(loss: Loss, seed: u64) -> (u64, u64) {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, seed));
    run.complete();
    run.path.loss = loss;
    for _ in 0..12_000 {
        run.until(run.now_ns + 5_000_000);
        let size = run.search.size();
        if run.path.passes(run.now_ns, size) {
            run.search.arrived(run.now_ns + run.path.round_trip_ns, size, run.now_ns);
        } else if size > BASE {
            run.search.suspect(run.now_ns);
        }
    }
    (run.search.counters().lowered, run.search.counters().tests)
}

#[test]
fn random_loss_never_lowers() {
    let mut tests = 0;
    for seed in 0..250 {
        for percent in [0.5, 5.0, 10.0, 20.0] {
            let (lowered, begun) = read_for_a_minute(Loss::Percent(percent), seed);
            assert_eq!(lowered, 0, "seed {seed}, loss {percent} %");
            tests += begun;
        }
    }
    println!("{tests} lowering tests, none lowered");
    assert!(tests > 10_000, "only {tests} suspicions were raised");
}

#[test]
fn bursts_of_loss_never_lower() {
    let mut tests = 0;
    for seed in 0..334 {
        for (good_ms, bad_ms, percent) in [(2_000, 20, 100.0), (2_000, 500, 90.0), (500, 300, 60.0)] {
            let loss = Loss::Bursts { good_ns: good_ms * 1_000_000, bad_ns: bad_ms * 1_000_000, percent };
            let (lowered, begun) = read_for_a_minute(loss, seed);
            assert_eq!(lowered, 0, "seed {seed}, {percent} % lost for {bad_ms} ms");
            tests += begun;
        }
    }
    println!("{tests} lowering tests, none lowered");
    assert!(tests > 10_000, "only {tests} suspicions were raised");
}

#[test]
fn a_silent_server_lowers_nothing_and_is_asked_ever_less() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, 0));
    run.complete();
    run.path.loss = Loss::All;
    run.search.suspect(run.now_ns);
    run.until(run.now_ns + 3_600 * SECOND_NS);
    let probes = run.search.counters().probes;
    assert_eq!((run.search.state(), run.search.counters().lowered), (SearchState::Suspected, 0));
    assert!(probes < 180, "{probes} probes in an hour of silence");

    // It answers again: what arrives ends the back-off, and one probe of the tested size ends the suspicion.
    run.path.loss = Loss::None;
    run.search.arrived(run.now_ns, BASE, run.now_ns);
    run.until(run.now_ns + 2 * SECOND_NS);
    assert_eq!((run.search.size(), run.search.state()), (8_973, SearchState::Complete));
}

#[test]
fn a_server_that_falls_silent_during_a_search_is_asked_ever_less() {
    for seed in 0..300 {
        let mut run = Run::new(config(8_973, 28), Path::new(5_000, Loss::Percent(20.0), seed));
        while run.search.counters().acknowledged < 1 + seed % 30
            && run.search.state() != SearchState::Complete
        {
            run.step(u64::MAX);
        }
        let searching = run.search.state() != SearchState::Complete;
        let before = run.search.counters().probes;
        run.path.loss = Loss::All;
        run.until(run.now_ns + 3_600 * SECOND_NS);
        let probes = run.search.counters().probes - before;
        assert!(probes < 400, "seed {seed}: {probes} probes in an hour of silence");
        run.path.loss = Loss::None;
        run.search.arrived(run.now_ns, BASE, run.now_ns);
        if searching {
            run.complete();
            assert_eq!(run.search.size(), 5_000, "seed {seed}");
        }
    }
}

#[test]
fn a_server_that_never_answers_is_asked_once_a_minute() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::All, 0));
    run.until(3_600 * SECOND_NS);
    let probes = run.search.counters().probes;
    assert_eq!((run.search.size(), run.search.state()), (BASE, SearchState::Base));
    assert!((60..75).contains(&probes), "{probes} probes in an hour");
    assert_eq!(run.largest_probe, BASE);
}

#[test]
fn hints_that_lie_change_no_size() {
    for seed in 0..1_000 {
        let mut random = Random(seed);
        let size = [1_472, 8_472, 5_000, 8_973][random.below(4) as usize];
        let mut run = Run::new(config(8_973, 28), Path::new(size, Loss::None, seed));
        let mut proved = BASE;
        for _ in 0..200 {
            run.until(run.now_ns + random.below(SECOND_NS / 4));
            proved = proved.max(run.search.proved());
            run.search.hint(run.now_ns, random.next() as u16);
            assert_eq!(run.search.proved(), proved, "seed {seed}: a hint changed the size");
            assert!(run.search.size() == BASE || run.search.size() == proved, "seed {seed}");
        }
        run.until(run.now_ns + 10 * SECOND_NS);
        assert_eq!((run.search.size(), run.search.counters().lowered), (size, 0), "seed {seed}");
    }
}

#[test]
fn acknowledgements_later_than_the_timer_still_prove() {
    // Ten times the timer of a path that answered within 0.3 ms, which 25 ms wait for.
    for size in [1_472, 8_973, 5_000] {
        let mut run = Run::new(config(8_973, 28), Path::new(size, Loss::None, 0));
        while run.search.state() == SearchState::Base {
            run.step(u64::MAX);
        }
        run.path.round_trip_ns = 250_000_000;
        run.complete();
        run.until(run.now_ns + 10 * SECOND_NS);
        assert_eq!((run.search.size(), run.search.counters().lowered), (size, 0), "size {size}");
        assert!(run.search.counters().late > 0);
    }
}

#[test]
fn a_lie_is_forgotten_when_it_is_time_to_look_for_more() {
    let mut run = Run::new(config(8_973, 28), Path::new(5_000, Loss::None, 0));
    run.complete();
    run.search.hint(run.now_ns, 6_000);
    run.path.datagram_max = 8_973;
    let before = run.search.counters().probes;
    run.until(run.now_ns + 601 * SECOND_NS);
    assert_eq!((run.search.size(), run.search.state()), (8_973, SearchState::Complete));
    assert_eq!(run.search.counters().probes - before, 1, "the cap comes first, not the size that was named");
}

#[test]
fn what_loses_the_same_one_of_each_pair_lowers_nothing() {
    for lost in [0, 1] {
        let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, 0));
        run.complete();
        run.path.lost_of_pair = Some(lost);
        run.search.suspect(run.now_ns);
        run.complete();
        assert_eq!((run.search.size(), run.search.counters().lowered), (8_973, 0), "number {lost} is lost");
    }
}

#[test]
fn an_acknowledgement_later_than_the_lowering_undoes_it_and_reopens_what_lies_above() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_472, Loss::None, 0));
    run.complete();
    // For a while large datagrams take longer than the whole test; then the path carries more than before.
    run.path.large_held_ns = 2 * SECOND_NS;
    run.search.suspect(run.now_ns);
    while run.search.counters().lowered == 0 {
        assert!(run.step(u64::MAX), "no test: {:?}", run.search);
    }
    assert_eq!(run.search.size(), BASE);
    run.path.large_held_ns = 0;
    run.path.datagram_max = 8_973;
    run.until(run.now_ns + 10 * SECOND_NS);
    assert_eq!(
        (run.search.size(), run.search.state()),
        (8_973, SearchState::Complete),
        "without the raise timer"
    );
}

#[test]
fn what_was_sent_before_a_suspicion_does_not_end_it() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, 0));
    run.complete();
    let asked_ns = run.now_ns;
    run.search.suspect(asked_ns + 10);
    run.search.arrived(asked_ns + 20, 8_973, asked_ns);
    assert_eq!(run.search.state(), SearchState::Suspected);
    run.search.arrived(asked_ns + 40, 8_972, asked_ns + 20);
    assert_eq!(run.search.state(), SearchState::Suspected, "a smaller datagram says nothing");
    run.search.arrived(asked_ns + 60, 8_973, asked_ns + 20);
    assert_eq!((run.search.state(), run.search.size()), (SearchState::Complete, 8_973));
    run.search.suspect(asked_ns + 80);
    assert_eq!(run.search.state(), SearchState::Complete, "calm for a second");
    run.search.suspect(asked_ns + 2 * SECOND_NS);
    assert_eq!(run.search.state(), SearchState::Suspected);
}

#[test]
fn what_the_kernel_refuses_is_not_sent_in_a_loop() {
    // The kernel of a 1500-byte interface refuses larger probes: the search ends without waiting for any timer of theirs.
    let mut search = Search::new(BASE, config(8_973, 28));
    let mut id = 0;
    while search.state() != SearchState::Complete {
        let size = search.poll_probe(1_000, id).expect("a probe to send");
        if size > 1_472 {
            search.probe_not_sent(1_000, id)
        } else {
            assert!(search.handle_ack(1_000, id))
        }
        id += 1;
        assert!(id <= 16, "{search:?}");
    }
    assert_eq!(search.size(), 1_472);

    // One that refuses everything is asked at the timer's pace.
    let mut search = Search::new(BASE, config(8_973, 28));
    let (mut now_ns, mut probes) = (0, 0);
    while now_ns < 3_600 * SECOND_NS {
        while search.poll_probe(now_ns, probes).is_some() {
            search.probe_not_sent(now_ns, probes);
            probes += 1;
            assert!(probes < 75, "asked in a loop at {now_ns}");
        }
        let due_ns = search.poll_timeout().expect("a time to try again");
        assert!(due_ns > now_ns);
        now_ns = due_ns;
        search.handle_timeout(now_ns);
    }
    assert!((60..75).contains(&probes), "{probes} probes in an hour");
}

#[test]
fn a_limit_caps_and_a_stop_leaves_the_base() {
    let mut run = Run::new(config(8_973, 28), Path::new(8_973, Loss::None, 0));
    run.complete();
    run.search.limit(run.now_ns, 4_000);
    assert_eq!((run.search.size(), run.search.size_max()), (4_000, 4_000));
    run.until(run.now_ns + 1_300 * SECOND_NS);
    assert_eq!((run.search.size(), run.search.state()), (4_000, SearchState::Complete));
    run.search.stop();
    assert_eq!((run.search.size(), run.search.state()), (BASE, SearchState::Disabled));
    assert!(run.search.poll_probe(run.now_ns, u32::MAX).is_none() && run.search.poll_timeout().is_none());

    let mut nothing_to_do = Search::new(BASE, config(900, 28));
    assert_eq!((nothing_to_do.size(), nothing_to_do.state()), (BASE, SearchState::Complete));
    assert!(nothing_to_do.poll_probe(0, 0).is_none() && nothing_to_do.poll_timeout().is_none());
}

#[derive(Clone, Debug)]
enum Call {
    Poll,
    Ack(u32),
    Refuse(u32),
    Wait(u64),
    Timeout,
    Suspect,
    Arrived(u16, u64),
    Hint(u16),
    Limit(u16),
    Stop,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        12 => Just(Call::Poll),
        8 => (0u32..4).prop_map(Call::Ack),
        2 => (0u32..4).prop_map(Call::Refuse),
        6 => (0u64..2 * SECOND_NS).prop_map(Call::Wait),
        1 => (0u64..2_000 * SECOND_NS).prop_map(Call::Wait),
        8 => Just(Call::Timeout),
        3 => Just(Call::Suspect),
        2 => (any::<u16>(), 0u64..SECOND_NS).prop_map(|(bytes, ago_ns)| Call::Arrived(bytes, ago_ns)),
        2 => any::<u16>().prop_map(Call::Hint),
        1 => (8_000u16..9_500).prop_map(Call::Limit),
    ];
    (vec(call, 0..300), 0u8..10).prop_map(|(mut calls, stop)| {
        if stop == 0 {
            calls.insert(calls.len() / 2, Call::Stop);
        }
        calls
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_calls_keep_the_size_between_base_and_cap(calls in calls(), cap in 0u16.., overhead in 28u16..49) {
        let mut search = Search::new(BASE, config(cap, overhead));
        let (mut now_ns, mut id) = (0u64, 0u32);
        for call in calls {
            match call {
                Call::Poll => {
                    let size = search.poll_probe(now_ns, id);
                    prop_assert!(size.is_none_or(|size| (BASE..=search.size_max()).contains(&size)));
                    id += u32::from(size.is_some());
                }
                Call::Ack(ago) => drop(search.handle_ack(now_ns, id.wrapping_sub(ago))),
                Call::Refuse(ago) => search.probe_not_sent(now_ns, id.wrapping_sub(ago)),
                Call::Wait(wait_ns) => now_ns += wait_ns,
                Call::Timeout => {
                    search.handle_timeout(now_ns);
                    prop_assert!(search.poll_timeout().is_none_or(|due_ns| due_ns > now_ns));
                }
                Call::Suspect => search.suspect(now_ns),
                Call::Arrived(bytes, ago_ns) => search.arrived(now_ns, bytes, now_ns.saturating_sub(ago_ns)),
                Call::Hint(bytes) => search.hint(now_ns, bytes),
                Call::Limit(bytes) => search.limit(now_ns, bytes),
                Call::Stop => search.stop(),
            }
            prop_assert!(BASE <= search.size() && search.size() <= search.proved());
            prop_assert!(search.proved() <= search.size_max() && search.size_max() <= cap.max(BASE));
        }
    }
}
