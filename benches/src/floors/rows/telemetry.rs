//! What telemetry in every answer and receipts of every request cost.

use crate::floors::case::Case;
use crate::floors::contest::{self, Contestant};
use crate::floors::error::Error;
use crate::floors::report::RowReport;
use crate::floors::serve::ShingleArgs;
use crate::floors::setup::{FLOOR, FLOOR_AGAIN, Setup};

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let without = Case::PLAIN;
    let with = Case { telemetry: true, ..without };
    let args = ShingleArgs { receipts: true, ..Setup::shingle_args(&with) };
    let process = setup.shingle(&with, args, &[setup.server_cpu])?;
    let mut driver = setup.drive(&process, &with, process.udp[0])?;
    let told = move |span| {
        let _alive = &process;
        driver.closed_loop(span)
    };
    let mut contestants = [
        setup.floor(FLOOR, &without)?,
        setup.ours("shingle without", &without)?,
        Contestant::new("shingle with both", told),
        setup.floor(FLOOR_AGAIN, &without)?,
    ];
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.book(&brought);
    report.control = Some(brought[3].over(&brought[0]));
    report.ratio("with / without telemetry and receipts", brought[2].over(&brought[1]), Some(0.95));
    report.notes.push("answers with telemetry are 24 B longer: that is part of what it costs".into());
    Ok(report)
}
