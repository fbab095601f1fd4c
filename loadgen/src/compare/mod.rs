//! Strategies compared over one path in one run: in each round every strategy has its turn, in rotated order and from a fresh start;
//! after the rounds the highest rate within the service level is searched for in the same way, by turns.

pub mod advice;
mod climb;
pub mod figures;
pub mod meaning;
mod path;

use std::time::Duration;

use shingle_proto::wire::Strategy;

use crate::cold::{self, ColdSpec, Fresh};
use crate::engine::Pace;
use crate::error::Error;
use crate::hdr;
use crate::limits;
use crate::load::Load;
use crate::progress::Progress;
use crate::record::{Cold, Comparison, Stage, StrategyFigures};
use crate::report::strategies as lines;
use crate::report::terminal::rate;
use crate::rig::{self, Rig};
use crate::target::Target;
use climb::Climb;
use figures::{Setting, Turn};

/// How strategies are compared.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Rate of the rounds, reads/s.
    pub tps: f64,
    /// Length of a turn.
    pub turn: Duration,
    /// Rounds.
    pub rounds: usize,
    /// Whether the highest rate within the service level is searched for.
    pub search: bool,
}

/// One strategy with a rig of its own.
struct Arm {
    strategy: Strategy,
    rig: Rig,
    turns: Vec<Turn>,
    climb: Climb,
    cold: Option<Cold>,
}

/// A comparison under way.
pub struct Contest<'a> {
    spec: Spec,
    arms: Vec<Arm>,
    fresh: Fresh,
    progress: &'a Progress,
    stages: Vec<Stage>,
    log: hdr::Log,
    server_gone: bool,
}

/// What a comparison brought.
pub struct Outcome {
    /// What was compared, and on which path.
    pub comparison: Comparison,
    /// The figures of each strategy, in the order in which they were given.
    pub strategies: Vec<StrategyFigures>,
    /// Every stage, in order of time.
    pub stages: Vec<Stage>,
    /// The latency of each of their intervals.
    pub log: hdr::Log,
    /// The server went away, which ended it.
    pub server_gone: bool,
    /// Some turns began with fragments of the turn before in memory.
    pub crowded: bool,
}

impl<'a> Contest<'a> {
    /// A contest of these strategies, each on a rig of its own whose items are stored.
    ///
    /// # Panics
    /// Without a rig, or with one that does not load a Shingle server.
    pub fn new(rigs: Vec<(Strategy, Rig)>, spec: Spec, progress: &'a Progress) -> Self {
        let started = rigs.first().expect("strategies to compare").1.started();
        let arm = |(strategy, rig)| Arm { strategy, rig, turns: Vec::new(), climb: Climb::new(), cold: None };
        Self {
            spec,
            arms: rigs.into_iter().map(arm).collect(),
            fresh: Fresh::default(),
            progress,
            stages: Vec::new(),
            log: hdr::Log::new(started),
            server_gone: false,
        }
    }

    /// About how long [`run`](Self::run) takes, where little is lost.
    pub fn estimate(&self) -> Duration {
        let turns =
            (self.spec.turn + limits::TURN_BESIDE) * self.spec.rounds as u32 + limits::COMPARE_WARM_UP;
        let climb = (limits::CLIMB_STAGE + limits::TURN_BESIDE) * limits::CLIMB_STAGES_TYPICAL;
        (turns + if self.spec.search { climb } else { Duration::ZERO }) * self.arms.len() as u32
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// A generator thread that could not go on, or a server in this process that lost a thread.
    pub fn run(mut self) -> Result<(Outcome, Rig), Error> {
        let path = path::Path::of(self.arms.iter().map(|arm| (arm.strategy, arm.rig.target())));
        for arm in &mut self.arms {
            arm.rig.stage(Pace::PerSecond(self.spec.tps), limits::COMPARE_WARM_UP, &Progress::new(true))?;
        }
        self.read_cold(&path)?;
        self.arms[0].rig.start_clock();
        self.rounds()?;
        if self.spec.search {
            self.search()?;
        }
        Ok(self.finish(&path))
    }

    fn read_cold(&mut self, path: &path::Path) -> Result<(), Error> {
        let Some(item) = path.an_item_above(&self.arms[0].rig.space) else { return Ok(()) };
        for (index, arm) in self.arms.iter_mut().enumerate() {
            let options = &arm.rig.options;
            let number = cold::spare_flow(&arm.rig, index as u32);
            let Load::Shingle(target, _) = &mut arm.rig.load else {
                unreachable!("rigs of a contest load Shingle")
            };
            let flow = rig::flow_spec(options, target);
            let spec = ColdSpec { space: &arm.rig.space, item, timeout: options.timeout };
            let server = target.ports[0].0;
            arm.cold = cold::measure(&spec, server, (number, &flow), &mut target.control, &mut self.fresh)?;
        }
        if let Some(line) = self.fresh.refused() {
            self.progress.note(&format!("cold behaviour not measured: {line}"));
        }
        Ok(())
    }

    fn rounds(&mut self) -> Result<(), Error> {
        self.progress.note(&lines::turn_header());
        for round in 0..self.spec.rounds {
            for index in order(self.arms.len(), round) {
                let mut turn = self.turn(index, self.spec.tps, self.spec.turn)?;
                if !turn.stage.valid && !self.server_gone {
                    // Spoiled by a stall of the host: once more, and then it counts as it is.
                    turn = self.turn(index, self.spec.tps, self.spec.turn)?;
                }
                self.arms[index].turns.push(turn);
                if self.server_gone {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn search(&mut self) -> Result<(), Error> {
        for index in 0..self.arms.len() {
            let figures = self.figures(index);
            // Beyond what a laboratory carries the search would find the laboratory.
            let highest = self.arms[index].rig.lab_tps_max().unwrap_or(limits::QUALIFY_RATE_MAX_TPS);
            self.arms[index].climb = Climb::from(self.spec.tps, figures.broke.is_none(), highest);
        }
        let mut round = 0;
        while !self.server_gone && self.arms.iter().any(|arm| arm.climb.next_tps().is_some()) {
            for index in order(self.arms.len(), round) {
                let Some(tps) = self.arms[index].climb.next_tps().filter(|_| !self.server_gone) else {
                    continue;
                };
                let turn = self.turn(index, tps, limits::CLIMB_STAGE)?;
                self.arms[index].climb.record(&turn.stage);
            }
            round += 1;
        }
        Ok(())
    }

    /// One turn from a fresh start.
    fn turn(&mut self, index: usize, tps: f64, duration: Duration) -> Result<Turn, Error> {
        let arm = &mut self.arms[index];
        let Load::Shingle(target, _) = &mut arm.rig.load else {
            unreachable!("rigs of a contest load Shingle")
        };
        self.fresh.start(&mut target.control);
        let mut result = arm.rig.stage(Pace::PerSecond(tps), duration, self.progress)?;
        result.stage.strategy = Some(arm.strategy.name().to_owned());
        self.progress.note(&lines::turn_line(&result.stage));
        self.log.add(&result);
        self.server_gone |= result.server_gone;
        self.stages.push(result.stage.clone());
        Ok(Turn { stage: result.stage, causes: result.causes })
    }

    fn figures(&self, index: usize) -> StrategyFigures {
        let arm = &self.arms[index];
        let setting = Setting {
            slo: arm.rig.options.slo,
            shared_namespace: arm.rig.load.placement().shares_counters(),
            ipv6: path::is_ipv6(arm.rig.target()),
        };
        let mut figures = figures::figures(arm.strategy, &arm.turns, &setting);
        figures.cold = arm.cold;
        if self.spec.search {
            (figures.tps_at_slo, figures.broken_at_tps) =
                (Some(arm.climb.knee_tps()), arm.climb.broken_tps());
            figures.broke_first = arm.climb.broke_first();
        }
        figures
    }

    fn finish(self, path: &path::Path) -> (Outcome, Rig) {
        let had_turns = |index: &usize| !self.arms[*index].turns.is_empty();
        let strategies: Vec<_> =
            (0..self.arms.len()).filter(had_turns).map(|index| self.figures(index)).collect();
        let space = &self.arms[0].rig.space;
        let compressed = self.arms.iter().any(|arm| arm.strategy == Strategy::Compressed);
        let sample = compressed.then(|| path.compressed(space));
        let comparison = Comparison {
            offered_tps: self.spec.tps,
            rounds: self.spec.rounds,
            round_s: self.spec.turn.as_secs_f64(),
            ipv6: path.ipv6,
            interface_mtu: path.interface_mtu,
            path_mtu: path.path_mtu(),
            answers_above_path: path.answers_above(space),
            answer_bytes_max: path::answer_bytes_max(space),
            compressed_share: sample.map(|sample| sample.share),
            compressed_above_path: sample.map(|sample| sample.above),
            cold_measured: self.fresh.refused().is_none(),
            cold_not_measured_because: self.fresh.refused().map(str::to_owned),
            searched: self.spec.search,
            recommended: None,
        };
        let outcome = Outcome {
            comparison,
            strategies,
            stages: self.stages,
            log: self.log,
            server_gone: self.server_gone,
            crowded: self.fresh.was_crowded(),
        };
        let rig = self.arms.into_iter().next().expect("strategies to compare").rig;
        (outcome, rig)
    }
}

impl Rig {
    /// The Shingle server it loads.
    ///
    /// # Panics
    /// If it loads another one.
    pub(crate) fn target(&self) -> &Target {
        match &self.load {
            Load::Shingle(target, _) => target,
            Load::MemcachedUdp(..) | Load::MemcachedTcp(..) => unreachable!("rigs of a contest load Shingle"),
        }
    }
}

/// Everybody's turn in this round: whoever was first goes last in the next one, so that nobody always follows the same.
fn order(arms: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..arms).map(move |place| (place + round) % arms)
}

/// The line that says what is about to be done, and how long it takes.
pub fn announcement(spec: &Spec, strategies: usize, estimate: Duration) -> String {
    let search = if spec.search {
        ", then the highest rate of each within the service level is searched for"
    } else {
        ""
    };
    format!(
        "comparing {strategies} strategies: {} rounds at {} reads/s, {:.1} s each{search}; about {:.0} s in all, longer where much is lost",
        spec.rounds,
        rate(spec.tps),
        spec.turn.as_secs_f64(),
        estimate.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_once() {
        let rounds: Vec<Vec<_>> = (0..3).map(|round| order(3, round).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }
}
