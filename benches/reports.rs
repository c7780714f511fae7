//! How fast a 100 MB JUnit report becomes the model. `cargo bench --bench reports`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qastack::reports::{Limits, NameRules, read_with};
use std::hint::black_box;
use std::time::Duration;

mod report_file;
use report_file::{Mix, report};

fn junit(criterion: &mut Criterion) {
    // Building the rules compiles their patterns; the exporter does that once, not once a report.
    let (names, limits) = (NameRules::default(), Limits { cases: u64::MAX, ..Limits::default() });
    let mut group = criterion.benchmark_group("junit");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
    for (name, mix) in [("usual", Mix::Usual), ("cases-only", Mix::CasesOnly)] {
        let xml = report(100 << 20, mix);
        group.throughput(Throughput::Bytes(xml.len() as u64));
        group.bench_function(name, |bencher| {
            // The model is dropped outside of the measured time, as the reading alone is asked for.
            bencher.iter_with_large_drop(|| read_with(black_box(xml.as_bytes()), &limits, &names));
        });
    }
    group.finish();
}

criterion_group!(benches, junit);
criterion_main!(benches);
