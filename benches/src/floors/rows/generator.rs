//! The load generator beside a bare driver: same server, same request datagrams.

use std::rc::Rc;

use crate::floors::case::Case;
use crate::floors::contest::{self, Contestant};
use crate::floors::error::Error;
use crate::floors::generator::Generator;
use crate::floors::judge::Judge;
use crate::floors::report::RowReport;
use crate::floors::servers::Process;
use crate::floors::setup::{FLOOR, FLOOR_AGAIN, Setup};
use crate::floors::udp::Driver;

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    // The generator always asks for telemetry: it is what attributes losses.
    let case = Case { telemetry: true, ..Case::PLAIN };
    let process = Rc::new(Process::shingle(Setup::shingle_args(&case), &[setup.server_cpu])?);
    let mut generator = Generator::new(&process, &case)?;
    let bare = |name, train| -> Result<Contestant, Error> {
        let built = generator.requests(&process, &case)?;
        let mut driver = Driver::new(
            "the cache server",
            process.udp[0],
            built,
            Judge::shingle(&case),
            train,
            case.in_flight,
        )?;
        Ok(Contestant::new(name, move |span| driver.closed_loop(span)))
    };
    let (single, trains) = (bare("bare driver", 1)?, bare("bare driver, trains of 16", 16)?);
    let mut contestants = [
        setup.floor(FLOOR, &case)?,
        single,
        Contestant::new("generator", move |span| Ok(generator.closed_loop(span)?.0)),
        trains,
        setup.floor(FLOOR_AGAIN, &case)?,
    ];
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.book(&brought);
    report.control = Some(brought[4].over(&brought[0]));
    report.ratio("generator / bare driver", brought[2].over(&brought[1]), Some(0.9));
    report.ratio("generator / bare driver that sends trains", brought[2].over(&brought[3]), None);
    report.notes.push(
        "one thread, one flow, 128 reads in flight; server on the other CPU, the same for all but the floor"
            .into(),
    );
    Ok(report)
}
