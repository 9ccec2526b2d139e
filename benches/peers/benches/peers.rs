//! The groups under criterion: `cargo bench [-- FILTER]`, in the folder of this crate.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quintile_peers::{groups, held_to};

fn peers(c: &mut Criterion) {
    println!("{}", held_to());
    for mut group in groups(4096) {
        let mut criterion = c.benchmark_group(&group.name);
        criterion.throughput(Throughput::Elements(group.values as u64));
        for kernel in &mut group.kernels {
            criterion.bench_function(&kernel.name, |bench| bench.iter(|| (kernel.run)()));
        }
    }
}

fn configured() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500))
        .without_plots()
}

criterion_group! {
    name = all;
    config = configured();
    targets = peers
}
criterion_main!(all);
