//! What the protocol costs, by criterion: every scenario of the library under its name. `ratios` and `instructions` measure the same.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use shingle_benches::SCENARIOS;

fn proto(c: &mut Criterion) {
    for (name, make) in SCENARIOS {
        let mut scenario = make();
        c.bench_function(name, |b| {
            if !scenario.has_preparation() {
                return b.iter(|| scenario.run());
            }
            b.iter_custom(|runs| {
                let mut took = Duration::ZERO;
                for _ in 0..runs {
                    scenario.prepare();
                    let start = Instant::now();
                    scenario.run();
                    took += start.elapsed();
                }
                took
            });
        });
    }
}

criterion_group!(benches, proto);
criterion_main!(benches);
