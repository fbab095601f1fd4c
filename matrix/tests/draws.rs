//! All that is drawn can be run: over many seeds every run is one that `loadgen` and the laboratory take, within the bounds of its recipe.

use clap::Parser as _;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::options::Options;
use shingle_matrix::limits;
use shingle_matrix::recipes::{self, HEALTHY};
use shingle_matrix::scenario::Source;
use shingle_matrix::whole::{self, Planned};

const SEEDS: std::ops::Range<u64> = 0..20;
const RUNS: u32 = 10;

#[test]
fn every_draw_is_a_run_that_loadgen_takes() {
    for recipe in recipes::all() {
        for (seed, number) in SEEDS.flat_map(|seed| (0..RUNS).map(move |number| (seed, number))) {
            let run = recipe.draw(seed, number);
            let words = ["loadgen".to_owned()].into_iter().chain(run.arguments());
            let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", run.command()));
            let Command::Run(typed) = cli.command else { panic!("{} is no run", run.command()) };
            let options = Options::resolve(&typed.common);
            let options = options.unwrap_or_else(|error| panic!("{}: {error}", run.command()));
            assert!(options.lab.is_some() && options.generator_cpus.len() == 1);
            assert_eq!(run.is_healthy(), recipe.name == HEALTHY);
            for cause in &run.causes {
                assert!(cause.lost >= limits::LOST_MIN, "{}: {} lost", run.command(), cause.lost);
                assert!(!cause.accepted.is_empty());
                let sane = |source: &Source| !matches!(source, Source::Set(value) if *value <= 0.0);
                assert!(cause.numbers.iter().all(|number| sane(&number.truth)), "{cause:?}");
            }
            assert!(run.rate as f64 <= limits::READS_PER_S_MAX, "{}", run.command());
        }
    }
}

#[test]
fn draws_use_both_families_and_all_topologies() {
    for recipe in recipes::all().iter().filter(|recipe| recipe.name != recipes::PAIR) {
        let runs: Vec<_> = (0..200).map(|number| recipe.draw(1, number)).collect();
        for ipv6 in [false, true] {
            let share = runs.iter().filter(|run| run.ipv6 == ipv6).count();
            assert!(share > 50, "{}: {share} of 200 with ipv6 {ipv6}", recipe.name);
        }
        for topology in recipe.topologies {
            assert!(runs.iter().any(|run| run.lab == *topology), "{} never draws {topology}", recipe.name);
        }
    }
}

#[test]
fn a_run_is_its_seed_recipe_and_number() {
    let planned = whole::plan(7, 2, 3, None);
    assert_eq!(planned.len(), 2 * (recipes::all().len() - 1) + 3);
    for run in planned {
        let again = Planned::of_id(&run.id()).expect("an id names a run");
        assert_eq!(again.recipe.draw(again.seed, again.number), run.recipe.draw(run.seed, run.number));
    }
    let recipe = recipes::all()[6].name;
    let draw = |seed, number| recipes::Recipe::named(recipe).expect("a recipe").draw(seed, number);
    assert_ne!(draw(7, 0), draw(7, 1));
    assert_ne!(draw(7, 0), draw(8, 0));
    assert!(
        ["", "7", "7:path_loss", "x:path_loss:1", "7:nothing:1", "7:path_loss:1:2"]
            .iter()
            .all(|id| Planned::of_id(id).is_none())
    );
}
