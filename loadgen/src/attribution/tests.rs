//! Attribution against books made by hand: each cause, mixtures, and the balance.

use proptest::prelude::*;

use super::*;

fn loss(sequence: u32, failed: bool, symptom: Symptom) -> Loss {
    Loss { flow: 1, sequence, intended_ns: 0, value_bytes: 300, failed, symptom }
}

fn silent(sequence: u32) -> Loss {
    loss(sequence, true, Symptom::Silent { part_arrived: false })
}

fn books(losses: &[Loss]) -> Books {
    Books {
        stage: StageFacts {
            reads_per_datagram: 1,
            timeout_ns: 100_000_000,
            duration_ns: 1_000_000_000,
            ..StageFacts::default()
        },
        losses: losses.to_vec(),
        server: Some(ServerBooks::default()),
        ..Books::default()
    }
}

fn receipt(sequence: u32, outcome: ReceiptOutcome) -> Receipt {
    Receipt { flow: 1, sequence, attempt: 0, outcome, datagrams: 1, bytes: 356, arrival_unix_us: 0 }
}

fn reads(shares: &Attribution, cause: Cause, direction: Direction) -> u64 {
    shares.get(&(cause, direction)).map_or(0, |share| share.reads)
}

#[test]
fn receipts_tell_upstream_from_downstream() {
    let losses: Vec<_> = (0..10).map(silent).collect();
    let mut receipts = Receipts::default();
    for sequence in 0..4 {
        receipts.all.push(receipt(sequence, ReceiptOutcome::Answered { residence_us: 20 }));
    }
    receipts.all.push(receipt(4, ReceiptOutcome::SendRefused));
    receipts.all.push(receipt(5, ReceiptOutcome::Answered { residence_us: 120_000 }));
    let mut books = Books { receipts: Some(receipts), ..books(&losses) };
    books.client.socket_drops = 3;
    books.server = Some(ServerBooks { socket_drops: 100, ..ServerBooks::default() });
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::ClientSocketBuffer, Direction::Down), 3);
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Down), 1);
    assert_eq!(reads(&shares, Cause::ServerSendQueue, Direction::Host), 1);
    assert_eq!(reads(&shares, Cause::ServerOverload, Direction::Host), 1);
    assert_eq!(reads(&shares, Cause::ServerSocketBuffer, Direction::Up), 4);
}

#[test]
fn of_what_a_server_counted_of_all_its_clients_ours_is_a_part() {
    let losses: Vec<_> = (0..12).map(silent).collect();
    let all = vec![receipt(100, ReceiptOutcome::Answered { residence_us: 20 })];
    let mut books = Books { receipts: Some(Receipts { all, overwritten: 0 }), ..books(&losses) };
    books.client.datagrams_sent = 1000;
    for (requests, ours) in [(1000, 12), (1_000_000, 1)] {
        books.server = Some(ServerBooks { requests, socket_drops: 1000, ..ServerBooks::default() });
        assert_eq!(reads(&attribute(&books), Cause::ServerSocketBuffer, Direction::Up), ours, "{requests}");
    }
}

#[test]
fn without_receipts_counts_tell_the_direction() {
    let losses: Vec<_> = (0..10).map(silent).collect();
    let mut books = books(&losses);
    books.client = ClientBooks { datagrams_sent: 1000, socket_drops: 50, ..ClientBooks::default() };
    books.server = Some(ServerBooks { requests: 994, socket_drops: 6, ..ServerBooks::default() });
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::ServerSocketBuffer, Direction::Up), 6);
    assert_eq!(reads(&shares, Cause::ClientSocketBuffer, Direction::Down), 4);
}

#[test]
fn pieces_that_found_no_memory_are_the_generators() {
    let losses: Vec<_> =
        (0..10).map(|sequence| loss(sequence, false, Symptom::Silent { part_arrived: true })).collect();
    let mut books = books(&losses);
    books.client.reassembly_full = 8;
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::GeneratorLimited, Direction::Host), 8);
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Down), 2);
}

#[test]
fn overwritten_receipts_prove_nothing() {
    let losses = [silent(1)];
    let receipts = Receipts { overwritten: 5, ..Receipts::default() };
    let mut books = Books { receipts: Some(receipts), ..books(&losses) };
    books.client.datagrams_sent = 10;
    books.server = Some(ServerBooks { requests: 10, ..ServerBooks::default() });
    assert_eq!(reads(&attribute(&books), Cause::Unexplained, Direction::Down), 1);
}

#[test]
fn a_list_of_receipts_that_was_cut_proves_nothing() {
    let losses: Vec<_> = (0..100).map(silent).collect();
    let mut books = books(&losses);
    books.client.datagrams_sent = 100;
    let all =
        (0..50).map(|sequence| receipt(sequence, ReceiptOutcome::Answered { residence_us: 20 })).collect();
    books.receipts = Some(Receipts { all, overwritten: 0 });
    books.server = None;
    let counts = Counts { reads: 200, first_try_lost: 100, failed: 100 };
    books.population.flows = vec![FlowCounts { flow: 1, counts, ..FlowCounts::default() }];
    let shares = attribute(&books);
    assert!(shares.keys().all(|(_, direction)| *direction != Direction::Up), "{shares:?}");
}

#[test]
fn one_burst_on_one_flow_makes_no_bad_flow() {
    for lost in [12, 16, 19, 40] {
        let losses: Vec<_> = (0..lost).map(silent).collect();
        let mut books = books(&losses);
        books.population.flows = (1..=8)
            .map(|flow| FlowCounts {
                flow,
                counts: Counts { reads: 1000, ..Counts::default() },
                last_whole_ns: Some(900_000_000),
                ..FlowCounts::default()
            })
            .collect();
        let shares = attribute(&books);
        assert!(shares.keys().all(|(cause, _)| *cause != Cause::FlowBlackHole), "{shares:?}");
    }
}

#[test]
fn unlisted_reads_that_contradict_themselves_balance_all_the_same() {
    let books = Books { unlisted: (10, 1000), ..books(&[silent(1)]) };
    assert_eq!(attribute(&books).values().map(|share| share.reads).sum::<u64>(), 11);
}

#[test]
fn a_part_that_answers_a_retry_does_not_prove_that_the_first_request_arrived() {
    let losses = [loss(1, false, Symptom::Silent { part_arrived: true })];
    let receipts = Receipts::default();
    let shares = attribute(&Books { receipts: Some(receipts), ..books(&losses) });
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Up), 1);
    let overwritten = Receipts { overwritten: 1, ..Receipts::default() };
    let shares = attribute(&Books { receipts: Some(overwritten), ..books(&losses) });
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Down), 1);
}

#[test]
fn late_answers_are_split_by_their_time_in_the_server() {
    let losses = [
        loss(1, true, Symptom::Late { residence_ns: Some(90_000_000) }),
        loss(2, true, Symptom::Late { residence_ns: Some(30_000) }),
        loss(3, true, Symptom::Late { residence_ns: None }),
    ];
    let shares = attribute(&books(&losses));
    assert_eq!(reads(&shares, Cause::ServerOverload, Direction::Host), 1);
    assert_eq!(reads(&shares, Cause::TimeoutTooShort, Direction::Down), 2);
}

#[test]
fn corruption_is_told_per_direction() {
    let losses: Vec<_> =
        (0..20).map(|n| loss(n, n % 2 == 0, Symptom::Silent { part_arrived: n < 10 })).collect();
    let mut books = books(&losses);
    books.client = ClientBooks { datagrams_sent: 1000, checksum_drops: 10, ..ClientBooks::default() };
    books.server = Some(ServerBooks { requests: 990, checksum_drops: 10, ..ServerBooks::default() });
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::PathCorruption, Direction::Up), 10);
    assert_eq!(reads(&shares, Cause::PathCorruption, Direction::Down), 10);
    assert!(!shares.keys().any(|(cause, _)| *cause == Cause::Unexplained));
}

#[test]
fn a_dropped_datagram_takes_all_its_reads_along() {
    let losses: Vec<_> = (0..24).map(|read| silent(read / 8)).collect();
    let mut books = books(&losses);
    books.stage.reads_per_datagram = 8;
    books.client.datagrams_sent = 100;
    books.server = Some(ServerBooks { requests: 97, socket_drops: 3, ..ServerBooks::default() });
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::ServerSocketBuffer, Direction::Up), 24);
}

#[test]
fn a_server_that_serves_others_too_tells_no_direction_by_its_count() {
    let losses: Vec<_> = (0..10).map(silent).collect();
    let mut books = books(&losses);
    books.client.datagrams_sent = 1000;
    books.server = Some(ServerBooks { requests: 1990, ..ServerBooks::default() });
    assert_eq!(reads(&attribute(&books), Cause::Unexplained, Direction::Host), 10);
}

#[test]
fn sound_values_of_somebody_else_are_no_corruption() {
    let losses = [
        loss(1, true, Symptom::OtherValue),
        loss(2, true, Symptom::NoRoute),
        loss(3, true, Symptom::NotSent),
    ];
    let shares = attribute(&books(&losses));
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Host), 2);
    assert!(shares[&(Cause::Unexplained, Direction::Host)].remedy.is_some());
    assert_eq!(reads(&shares, Cause::ClientSendQueue, Direction::Host), 1);
}

#[test]
fn what_a_late_generator_cannot_explain_is_its_own() {
    let losses: Vec<_> = (0..10).map(silent).collect();
    let mut books = books(&losses);
    books.stage.generator_late = true;
    books.client = ClientBooks { datagrams_sent: 10, socket_drops: 4, ..ClientBooks::default() };
    books.server = Some(ServerBooks { requests: 10, ..ServerBooks::default() });
    let shares = attribute(&books);
    assert_eq!(reads(&shares, Cause::ClientSocketBuffer, Direction::Down), 4);
    assert_eq!(reads(&shares, Cause::GeneratorLimited, Direction::Host), 6);
}

#[test]
fn nothing_known_is_called_unexplained() {
    let losses = [silent(1), silent(2)];
    let shares = attribute(&Books { server: None, ..books(&losses) });
    assert_eq!(reads(&shares, Cause::Unexplained, Direction::Host), 2);
    assert_eq!(shares[&(Cause::Unexplained, Direction::Host)].confidence, 0.0);
}

fn any_symptom() -> impl Strategy<Value = Symptom> {
    prop_oneof![
        Just(Symptom::NotSent),
        Just(Symptom::NoRoom),
        Just(Symptom::LeftLate),
        Just(Symptom::Corrupt),
        Just(Symptom::NoRoute),
        Just(Symptom::OtherValue),
        Just(Symptom::Refused),
        Just(Symptom::ServerError),
        Just(Symptom::ConnectionLost),
        any::<bool>().prop_map(|part_arrived| Symptom::Silent { part_arrived }),
        proptest::option::of(0..200_000_000u64).prop_map(|residence_ns| Symptom::Late { residence_ns }),
    ]
}

proptest! {
    /// The sum over causes is the reads lost, first-try and failed each, whatever the counters claim.
    #[test]
    fn the_books_balance(
        symptoms in proptest::collection::vec((any_symptom(), any::<bool>()), 0..200),
        counters in proptest::array::uniform12(0..300u64),
        told in any::<(bool, bool)>(),
        unlisted in (0..500u64, 0..500u64),
    ) {
        let losses: Vec<_> =
            symptoms.iter().enumerate().map(|(n, (symptom, failed))| loss(n as u32, *failed, *symptom)).collect();
        let unlisted = (unlisted.0 + unlisted.1, unlisted.1);
        let mut receipts = Receipts { overwritten: counters[11] % 2, ..Receipts::default() };
        for n in (0..losses.len() as u32).step_by(3) {
            receipts.all.push(receipt(n, ReceiptOutcome::Answered { residence_us: n * 1000 }));
        }
        let client = ClientBooks {
            datagrams_sent: counters[0], socket_drops: counters[1], checksum_drops: counters[2],
            kernel_checksum_drops: counters[3], reassembly_full: counters[4], ..ClientBooks::default()
        };
        let server = ServerBooks {
            requests: counters[5], socket_drops: counters[6], checksum_drops: counters[7],
            kernel_checksum_drops: counters[8], sends_refused: counters[9], keys_not_told_of: counters[10],
            ..ServerBooks::default()
        };
        let books = Books {
            unlisted,
            receipts: told.0.then_some(receipts),
            client,
            server: told.1.then_some(server),
            ..books(&losses)
        };
        let shares = attribute(&books);
        let failed = losses.iter().filter(|loss| loss.failed).count() as u64;
        prop_assert_eq!(shares.values().map(|share| share.reads).sum::<u64>(), losses.len() as u64 + unlisted.0);
        prop_assert_eq!(shares.values().map(|share| share.failed).sum::<u64>(), failed + unlisted.1);
    }
}
