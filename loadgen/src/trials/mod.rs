//! Experiments after a stage, where its books leave open who lost its reads: asked for by [`attribution::doubts`], made on flows of their
//! own and at no more reads a second than the stage had, and judged together with the books. One that counts fragments asks for up to eight
//! times as many of those as the stage did; no other asks for more packets or bytes, but where all answers are small.

mod dont_fragment;
mod largest;
mod sizes;
mod stages;
mod words;

use std::time::{Duration, Instant};

pub(crate) use dont_fragment::serves_probes;

use crate::attribution::{self, Attribution, Books, Experiment, HostCounters, Trial};
use crate::engine::Pace;
use crate::error::Error;
use crate::limits;
use crate::progress::Progress;
use crate::record::{Stage, TrialReport};
use crate::rig::Rig;
use crate::stage::{self, StageResult};

/// What an experiment brought, before it is written down.
#[derive(Debug, Default)]
struct Outcome {
    counts: attribution::Counts,
    lost_up: Option<u64>,
    bounds_bytes: Option<(u32, u32)>,
    icmp: Option<u64>,
    control: Option<attribution::Counts>,
    shown: attribution::Shown,
    flows: Vec<attribution::FlowCounts>,
    failed: Option<String>,
}

impl Outcome {
    /// It cannot be made.
    fn impossible(because: impl Into<String>) -> Self {
        Self { failed: Some(because.into()), ..Self::default() }
    }
}

impl Rig {
    /// Makes experiments while the books of a stage leave open who lost its reads, a few at most, and puts its losses down anew with
    /// what they showed. A stage that lost nothing, or whose server is gone, stays as it is.
    ///
    /// # Errors
    /// A generator thread that could not go on, or a server in this process that lost a thread.
    pub fn explain(&mut self, result: &mut StageResult, progress: &Progress) -> Result<(), Error> {
        if result.server_gone {
            return Ok(());
        }
        let Some(mut books) = result.books.take() else { return Ok(()) };
        let mut held = attribution::attribute(&books);
        while books.trials.len() < limits::TRIALS_MAX && !self.is_cut_short() {
            let asked = attribution::doubts(&books, &held);
            let made =
                |experiment: &Experiment| books.trials.iter().any(|trial| trial.experiment == *experiment);
            let Some((experiment, because)) = asked.into_iter().find(|(experiment, _)| !made(experiment))
            else {
                break;
            };
            progress.note(&format!("experiment: {} ({because})", words::done(&experiment)));
            let trial = self.trial(&experiment, because, &result.stage, &books)?;
            if self.is_cut_short() {
                // It ended early, and shows less than it says.
                break;
            }
            books.trials.push(trial);
            let now = attribution::attribute(&books);
            let trial = books.trials.last().expect("pushed just now").clone();
            result.trials.push(report(trial, &held, &now));
            held = now;
        }
        if !result.trials.is_empty() {
            result.causes = stage::blame(&mut result.stage, &held, &books, self.load.keeps_receipts());
        }
        result.books = Some(books);
        Ok(())
    }

    /// Makes one experiment after this stage, of which this is known of all reads.
    ///
    /// # Errors
    /// Those of [`explain`](Self::explain). What keeps the experiment from being made is no error: the trial says so.
    pub fn trial(
        &mut self,
        experiment: &Experiment,
        because: String,
        stage: &Stage,
        books: &Books,
    ) -> Result<Trial, Error> {
        if let Some(lab) = self.load.lab() {
            lab.drain(limits::TRIAL_DRAIN_MAX)?;
        }
        let begun = Instant::now();
        let Outcome { counts, lost_up, bounds_bytes, icmp, control, shown, flows, failed } = match *experiment
        {
            Experiment::Rate { share } => self.rate_trial(share, stage)?,
            Experiment::AnswersOf { bytes, share } => self.answers_of_trial(bytes, share, stage, books)?,
            Experiment::OtherFlows { flows } => self.other_flows_trial(flows as usize, stage)?,
            Experiment::LargestAnswer { passed_bytes, lost_bytes } => {
                self.largest_trial(passed_bytes, lost_bytes, stage, &books.population)?
            }
            Experiment::DontFragment { bytes } => self.dont_fragment_trial(bytes)?,
        };
        Ok(Trial {
            experiment: *experiment,
            because,
            counts,
            lost_up,
            duration_ns: begun.elapsed().as_nanos() as u64,
            bounds_bytes,
            icmp,
            control,
            limit: shown.limit,
            limits: shown.by_charging,
            starved: shown.starved,
            flows,
            failed,
        })
    }

    /// Does `work`, and counts the ICMP that says that something did not get through and that either host received meanwhile; none where
    /// the far host could not be asked.
    fn counting_icmp<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<(T, Option<u64>), Error> {
        let before = self.load.reading();
        let done = work(self)?;
        let risen = self.load.reading().since(&before, self.load.placement());
        let server = risen.server.as_ref().map(|server| &server.host);
        Ok((done, icmp(&risen.client.host, server, self.load.path_facts().ipv6)))
    }
}

/// ICMP that both hosts received and that says that a datagram did not get through; none where a host's is not known, unless the other's is
/// proof enough.
fn icmp(client: &HostCounters, server: Option<&HostCounters>, ipv6: bool) -> Option<u64> {
    let of = |host: &HostCounters| {
        let count = |name| host.of_version(ipv6, "Icmp", name);
        let too_big = if ipv6 { count("InPktTooBigs")? } else { 0 };
        Some(count("InDestUnreachs")? + too_big)
    };
    let (client, server) = (of(client), server.and_then(of));
    let known = client.unwrap_or(0) + server.unwrap_or(0);
    (known > 0 || (client.is_some() && server.is_some())).then_some(known)
}

fn report(trial: Trial, before: &Attribution, after: &Attribution) -> TrialReport {
    TrialReport {
        done: words::done(&trial.experiment),
        outcome: words::outcome(&trial),
        decided: words::decided(before, after),
        trial,
    }
}

/// The stage's pace, or what a closed loop reached of it.
fn tps(stage: &Stage) -> f64 {
    stage.tps().max(1.0)
}

/// How long single reads and probes are waited for: longer than the answers of the stage took, and than a busy machine keeps a thread
/// from its CPU.
fn patience(stage: &Stage) -> Duration {
    let answers = Duration::from_secs_f64(4.0 * stage.service_us.p999.max(0.0) / 1e6);
    answers.clamp(limits::TRIAL_PATIENCE_MIN, limits::TRIAL_PATIENCE_MAX)
}

/// A rate as a pace.
fn pace(tps: f64) -> Pace {
    Pace::PerSecond(tps.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_counters_that_were_not_read_is_not_known() {
        let host = |counters: &[(&str, u64)]| HostCounters {
            risen: counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..HostCounters::default()
        };
        let (known, heard) = (host(&[("Icmp.InDestUnreachs", 0)]), host(&[("Icmp.InDestUnreachs", 2)]));
        let other_version = host(&[("Icmp6.InDestUnreachs", 0), ("Icmp6.InPktTooBigs", 0)]);
        assert_eq!(icmp(&known, Some(&known), false), Some(0));
        assert_eq!(icmp(&known, None, false), None);
        assert_eq!(icmp(&known, Some(&other_version), false), None);
        assert_eq!(icmp(&known, Some(&heard), false), Some(2));
        assert_eq!(icmp(&heard, None, false), Some(2));
        assert_eq!(icmp(&other_version, Some(&other_version), true), Some(0));
    }
}
