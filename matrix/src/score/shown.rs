//! The score as people read it.

use std::fmt;

use super::Score;
use super::estimates::Figures;

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22}{:<48}{:<48}named", "true", "recall (95 %)", "precision (95 %)")?;
        for (truth, row) in &self.confusion {
            let show = |shares: &std::collections::BTreeMap<String, _>| {
                shares.get(truth).map_or("-".to_owned(), |share: &super::Proportion| share.to_string())
            };
            let mut named: Vec<_> = row.iter().collect();
            named.sort_by_key(|(name, runs)| (*name != truth, std::cmp::Reverse(**runs)));
            let named: Vec<_> = named.iter().map(|(name, runs)| format!("{name} {runs}")).collect();
            writeln!(
                f,
                "{truth:<22}{:<48}{:<48}{}",
                show(&self.recall),
                show(&self.precision),
                named.join(", ")
            )?;
        }
        writeln!(f)?;
        writeln!(f, "main cause right:          {}", self.main)?;
        writeln!(f, "healthy runs accused:      {}", self.accused)?;
        writeln!(f, "pairs with both shares:    {}", self.pairs)?;
        writeln!(f, "unexplained, median:       {:.1} % of the losses", 100.0 * self.unexplained_median)?;
        writeln!(f, "not judged:                {}", self.not_judged)?;
        writeln!(
            f,
            "time of a run:             {:.1} s at the median, {:.1} s at most",
            self.seconds.0, self.seconds.1
        )?;
        if !self.estimates.is_empty() {
            writeln!(
                f,
                "\n{:<34}{:>12}{:>12}{:>9}  {:<44}interval holds it",
                "estimate", "median off", "worst", "missing", "within its bound"
            )?;
        }
        for (kind, figures) in &self.estimates {
            let Figures { median, worst, missing, within, covered, .. } = figures;
            let (median, worst) = (error(*median, figures.relative), error(*worst, figures.relative));
            writeln!(
                f,
                "{kind:<34}{median:>12}{worst:>12}{missing:>9}  {:<44}{covered}",
                within.to_string()
            )?;
        }
        Ok(())
    }
}

fn error(error: f64, relative: bool) -> String {
    if relative { format!("{:.2} %", 100.0 * error) } else { format!("{error:.3}") }
}
