//! Books put together, judged over a sliding window, told as lines, objects and metrics.

use std::collections::BTreeMap;

use super::metrics;
use super::thin::without_thin_accusations;
use super::words;
use super::*;
use crate::attribution::{
    Books, Cause, Counts, Direction, FlowCounts, Loss, Population, ServerBooks, Share, StageFacts, Symptom,
    Window,
};
use crate::limits::{WATCH_KINDS_MAX, WATCH_LOSSES_MAX, WATCH_SLICE_NS, WATCH_SLICES, WINDOWS_MAX};

const S: u64 = 1_000_000_000;

/// Ten seconds in which `lost` of 1,000 reads got no answer, 7 s after the begin; the server told of its side.
fn stage(begin_s: u64, lost: usize) -> Timed {
    let loss = Loss {
        flow: 1,
        sequence: 5,
        intended_ns: 7 * S,
        value_bytes: 300,
        failed: true,
        symptom: Symptom::Silent { part_arrived: false },
    };
    let counts = Counts { reads: 1000, first_try_lost: lost as u64, failed: lost as u64 };
    let mut windows = vec![Window::default(); 500];
    windows[350] = Window { reads: 1000, first_try_lost: lost as u32, ..Window::default() };
    let flow = FlowCounts { flow: 1, source_port: 9, server_port: 7, counts, last_whole_ns: Some(8 * S) };
    let books = Books {
        stage: StageFacts {
            duration_ns: 10 * S,
            timeout_ns: S / 10,
            reads_per_datagram: 1,
            ..StageFacts::default()
        },
        losses: vec![loss; lost],
        population: Population {
            stalls_ns: Vec::new(),
            by_size: vec![counts; 4],
            size_bin_bytes: 16,
            windows,
            window_ns: S / 50,
            flows: vec![flow],
        },
        server: Some(ServerBooks { requests: 1000, ..ServerBooks::default() }),
        client: crate::attribution::ClientBooks { datagrams_sent: 1000, ..Default::default() },
        ..Books::default()
    };
    Timed { begin_ns: begin_s * S, books }
}

fn lost_in(causes: &Attribution) -> u64 {
    causes.values().map(|share| share.reads).sum()
}

#[test]
fn merged_books_count_time_from_the_first_begin_and_add_everything_up() {
    let (mut all, later) = (stage(100, 2), stage(160, 3));
    assert!(all.goes_with(&later));
    all.add(&later);
    let Books { stage, losses, population, client, server, .. } = &all.books;
    assert_eq!(stage.duration_ns, 70 * S);
    let times: Vec<u64> = losses.iter().map(|loss| loss.intended_ns / S).collect();
    assert_eq!(times, [7, 7, 67, 67, 67]);
    assert_eq!(population.by_size[0], Counts { reads: 2000, first_try_lost: 5, failed: 5 });
    assert_eq!((population.flows.len(), population.flows[0].counts.reads), (1, 2000));
    assert_eq!(population.flows[0].last_whole_ns, Some(68 * S));
    let window_of = |at_s: u64| population.windows[(at_s * S / population.window_ns) as usize].first_try_lost;
    assert_eq!((window_of(7), window_of(67)), (2, 3));
    assert_eq!((client.datagrams_sent, server.as_ref().unwrap().requests), (2000, 2000));
}

#[test]
fn what_one_of_them_does_not_know_the_sum_does_not_know() {
    let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 5)).collect::<BTreeMap<_, _>>();
    let (mut all, mut later) = (stage(0, 1), stage(10, 1));
    all.books.client.host.risen = named(&["Udp.InErrors", "Ip.ReasmFails"]);
    later.books.client.host.risen = named(&["Udp.InErrors"]);
    all.add(&later);
    assert_eq!(all.books.client.host.risen, [("Udp.InErrors".to_owned(), 10)].into());
    // A server that could not be asked, receipts that were not there, another path: each is judged apart.
    let mut untold = stage(20, 1);
    untold.books.server = None;
    assert!(!all.goes_with(&untold));
    let mut told = stage(20, 1);
    told.books.receipts = Some(Default::default());
    assert!(!all.goes_with(&told));
    told.books.losses.clear();
    assert!(all.goes_with(&told), "without losses nobody looks at receipts");
    let mut narrow = stage(20, 1);
    narrow.books.stage.chunk_datagram_bytes = Some(1472);
    assert!(!all.goes_with(&narrow));
}

#[test]
fn every_lost_read_is_in_the_sum_once_however_long_it_takes() {
    let mut sliding = Sliding::default();
    let (mut lost, mut most_held) = (0, 0);
    // Three hours and a half.
    for number in 0..1260_u64 {
        let mut stage = stage(10 * number, (number % 3) as usize);
        if number % 5 == 0 {
            stage.books.server = None;
        }
        lost += number % 3;
        sliding.add(stage);
        most_held = most_held.max(sliding.books_held());
    }
    assert_eq!(lost_in(&sliding.total()), lost);
    let held_s = (WATCH_SLICES as u64 - 1) * WATCH_SLICE_NS / S;
    let window = lost_in(&sliding.window());
    assert!((held_s / 10 - 1..=held_s / 10 + 31).contains(&window), "{window}: one lost each ten seconds");
    assert_eq!(
        most_held,
        2 * WATCH_SLICES,
        "two kinds in each slice, and no more after hours than after one"
    );
}

#[test]
fn memory_is_bounded_whatever_is_lost_and_however_often_the_path_changes() {
    let mut all = stage(0, WATCH_LOSSES_MAX);
    all.add(&stage(20 * 3600, 10));
    assert_eq!((all.books.losses.len(), all.books.unlisted), (WATCH_LOSSES_MAX, (10, 10)));
    assert!(all.books.population.windows.len() as u64 <= WINDOWS_MAX);
    let reads: u32 = all.books.population.windows.iter().map(|window| window.reads).sum();
    assert_eq!(reads, 2000, "coarser windows hold the same reads");
    let mut sliding = Sliding::default();
    for number in 0..30 {
        let mut stage = stage(number, 1);
        stage.books.stage.chunk_datagram_bytes = Some(1400 + number as u32);
        sliding.add(stage);
    }
    assert_eq!((sliding.books_held(), lost_in(&sliding.total())), (WATCH_KINDS_MAX, 30));
}

#[test]
fn nobody_is_accused_on_thin_data_and_the_sum_stays() {
    let share = |reads, confidence| Share { reads, failed: 1, confidence, ..Share::default() };
    let causes: Attribution = [
        ((Cause::PathLoss, Direction::Down), share(3, 0.5)),
        ((Cause::PathCorruption, Direction::Down), share(4, 0.99)),
        ((Cause::Unexplained, Direction::Down), share(5, 0.0)),
    ]
    .into();
    let sure = without_thin_accusations(causes);
    assert_eq!(sure.len(), 2);
    let unexplained = &sure[&(Cause::Unexplained, Direction::Down)];
    assert_eq!((unexplained.reads, unexplained.failed, lost_in(&sure)), (8, 2, 12));
    assert!(unexplained.evidence[0].contains("3 reads look like path_loss"), "{:?}", unexplained.evidence);
}

/// A minute in which one of 6,000 reads was lost.
fn interval() -> Interval {
    let mut latency = latency_histogram();
    latency.record_n(250_000, 5_999).unwrap();
    latency.record(100_000_000).unwrap();
    let causes = [((Cause::PathLoss, Direction::Down), Share { reads: 1, failed: 1, ..Share::default() })];
    Interval {
        begin_unix_s: 1_795_352_710.0,
        stage: Stage {
            duration_s: 60.0,
            sent: 6000,
            answered: 5999,
            first_try_lost: 1,
            failed: 1,
            ..Stage::default()
        },
        latency,
        causes: causes.into(),
        unjudged: None,
        server: ServerView { answers: true, control: true, path_mtu_bytes: 1500, ..ServerView::default() },
        notes: vec!["something \"new\"".to_owned()],
    }
}

#[test]
fn an_interval_is_one_line_and_one_object() {
    let interval = interval();
    let line = words::line(&interval, &interval.causes);
    assert!(
        line.starts_with("2026-11-22 13:05:10Z  6000 reads, 1 lost first, 1 failed, p50 250 us"),
        "{line}"
    );
    assert!(line.contains("path_loss down 1; last hour: path_loss down 1; something"), "{line}");
    let json = words::json(&interval, &interval.causes);
    assert!(!json.contains('\n'));
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((object["schema"].as_str(), object["reads"].as_u64()), (Some(words::SCHEMA), Some(6000)));
    assert_eq!(object["window_causes"][0]["cause"], "path_loss");
}

#[test]
fn what_causes_were_judged_without_is_in_their_line() {
    let mut interval = interval();
    interval.stage.gaps = vec!["receipts".to_owned(), "statistics".to_owned()];
    let line = words::line(&interval, &interval.causes);
    assert!(line.contains("path_loss down 1; could not be had: receipts, statistics; something"), "{line}");
    interval.causes.clear();
    assert!(!words::line(&interval, &interval.causes).contains("could not be had"), "nobody is accused");
}

#[test]
fn the_summary_names_causes_times_and_remedies() {
    let (mut history, interval) = (History::begin(1_795_352_710.0), interval());
    history.add(&interval);
    history.add(&interval);
    let summary = words::summary(&history, &interval.causes, crate::slo::Slo::default(), true);
    for words in [
        "from 2026-11-22 13:05:10Z to 2026-11-22 13:06:10Z, 2 intervals",
        "12000 reads: 2 lost something on the first try, 2 failed (0.02 %)",
        "path_loss",
        "in 2 intervals",
        "Chance loss between the hosts",
        "was met over the whole time",
    ] {
        assert!(summary.contains(words), "no `{words}` in\n{summary}");
    }
    let strict = "failures=0.01%,p99=1ms".parse().unwrap();
    assert!(words::summary(&history, &interval.causes, strict, true).contains("was not met"));
}

/// Reads the text format 0.0.4 as strictly as its description allows, and gives the samples.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    };
    assert!(text.ends_with('\n'));
    let (mut samples, mut helped, mut kinds) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    let mut open = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("help has words");
            assert!(is_name(name) && !words.is_empty() && !helped.contains(&name.to_owned()), "{line}");
            helped.push(name.to_owned());
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(
                helped.last().map(String::as_str),
                Some(name),
                "help and type of one name belong together"
            );
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(
                kind == "counter",
                name.ends_with("_total"),
                "{line}: counters, and only they, end with _total"
            );
            open = name.to_owned();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let name = series.split('{').next().unwrap();
        let family = match kinds.get(&open).map(String::as_str) {
            Some("histogram") => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
            _ => Some(name),
        };
        assert_eq!(family, Some(open.as_str()), "{line}: samples follow their type");
        if let Some(labels) = series[name.len()..].strip_prefix('{') {
            for label in labels.strip_suffix('}').expect("labels end").split(',') {
                let (label, quoted) = label.split_once('=').expect("a label has a value");
                let quoted = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                assert!(is_name(label) && quoted.is_some_and(|it| !it.contains(['"', '\\'])), "{line}");
            }
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    samples
}

#[test]
fn metrics_are_what_the_format_allows_and_count_what_was_seen() {
    let (mut history, interval) = (History::begin(0.0), interval());
    history.add(&interval);
    let samples = parsed(&metrics::text(&history, Some(&interval), &interval.causes, 100.0));
    let path_loss = "{cause=\"path_loss\",direction=\"down\"}";
    for (series, value) in [
        ("shingle_watch_reads_total", 6000.0),
        ("shingle_watch_answered_reads_total", 5999.0),
        (&format!("shingle_watch_lost_reads_total{path_loss}"), 1.0),
        (&format!("shingle_watch_failed_reads_total{path_loss}"), 1.0),
        (&format!("shingle_watch_window_lost_reads{path_loss}"), 1.0),
        ("shingle_watch_lost_reads_total{cause=\"server_silent\",direction=\"host\"}", 0.0),
        ("shingle_watch_read_latency_seconds_bucket{le=\"0.0002\"}", 0.0),
        ("shingle_watch_read_latency_seconds_bucket{le=\"0.0003\"}", 5999.0),
        ("shingle_watch_read_latency_seconds_bucket{le=\"0.2\"}", 6000.0),
        ("shingle_watch_read_latency_seconds_bucket{le=\"+Inf\"}", 6000.0),
        ("shingle_watch_read_latency_seconds_count", 6000.0),
        ("shingle_watch_path_mtu_bytes", 1500.0),
        ("shingle_watch_server_answers", 1.0),
        ("shingle_watch_last_interval_timestamp_seconds", 1_795_352_770.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    let sum = samples["shingle_watch_read_latency_seconds_sum"];
    assert!((sum / (5999.0 * 250e-6 + 0.1) - 1.0).abs() < 0.01, "{sum}");
    let lost = samples.iter().filter(|(series, _)| series.starts_with("shingle_watch_lost_reads_total"));
    assert_eq!(lost.map(|(_, value)| value).sum::<f64>(), 1.0, "the sum over causes is all reads lost");
}

#[test]
fn scrapers_get_the_last_text_and_others_a_refusal() {
    use std::io::{Read as _, Write as _};
    let metrics = serve::Metrics::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    metrics.put("a 1\n".to_owned());
    let ask = |request: &str| {
        let mut stream = std::net::TcpStream::connect(metrics.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na 1\n"), "{answer}");
    assert!(ask("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    let address = metrics.address();
    drop(metrics);
    assert!(std::net::TcpStream::connect(address).is_err(), "it listens no more");
}
