//! Contestants that take turns, round by round.

use std::time::Duration;

use super::error::Error;
use super::statistics::Interval;
use super::udp::Measured;

/// Somebody who can be measured for a while.
pub struct Contestant<M = Measured> {
    /// As it is printed.
    pub name: &'static str,
    run: Box<dyn FnMut(Duration) -> Result<M, Error>>,
}

/// What a contestant brought, round by round.
#[derive(Debug, Clone)]
pub struct Brought<M = Measured> {
    /// Who.
    pub name: &'static str,
    /// Each round.
    pub rounds: Vec<M>,
}

impl<M> Contestant<M> {
    /// One that is measured by calling `run`.
    pub fn new(name: &'static str, run: impl FnMut(Duration) -> Result<M, Error> + 'static) -> Self {
        Contestant { name, run: Box::new(run) }
    }
}

impl Brought {
    /// Reads a second, each round.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|round| round.reads_per_s).collect()
    }

    /// Requests lost in all rounds.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rounds.iter().map(|round| round.lost).sum()
    }

    /// Ratio of this one's rates to the other's, round by round.
    #[must_use]
    pub fn over(&self, other: &Brought) -> Interval {
        Interval::of_ratios(&self.rates(), &other.rates())
    }
}

/// Measures all of them `rounds` times. Each round begins with another one, so that none always comes after the same.
///
/// # Errors
/// The first failure of any.
pub fn run<M>(
    contestants: &mut [Contestant<M>],
    rounds: usize,
    span: Duration,
) -> Result<Vec<Brought<M>>, Error> {
    let mut brought: Vec<_> = contestants
        .iter()
        .map(|contestant| Brought { name: contestant.name, rounds: Vec::with_capacity(rounds) })
        .collect();
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let measured = (contestants[index].run)(span)?;
            brought[index].rounds.push(measured);
        }
    }
    Ok(brought)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn turns_rotate_and_rounds_stay_together() {
        let order = Rc::new(RefCell::new(String::new()));
        let one = |name: &'static str, rate: f64| {
            let order = Rc::clone(&order);
            Contestant::new(name, move |_| {
                order.borrow_mut().push_str(name);
                Ok(Measured { reads_per_s: rate, lost: 1, ..Measured::default() })
            })
        };
        let brought = run(&mut [one("a", 3.0), one("b", 2.0)], 3, Duration::ZERO).expect("none fails");
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!(brought[0].over(&brought[1]), Interval { low: 1.5, median: 1.5, high: 1.5 });
        assert_eq!(brought[0].lost(), 3);
    }
}
