#!/usr/bin/env bash
# Links two versions of the crate into one program, which calls both from 64 threads at once: their symbols must not collide, nor their
# threads disturb each other, and the bits must be those of one thread.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/two-versions
mkdir -p "$folder/src"
# The other version: this one under an earlier number.
rm -rf "$folder/earlier"
mkdir -p "$folder/earlier"
cp -r Cargo.toml README.md build.rs src asm examples benches "$folder/earlier"
sed -i '0,/^version = .*/s//version = "0.0.1"/' "$folder/earlier/Cargo.toml"
cp Cargo.lock "$folder/"
cat >"$folder/Cargo.toml" <<TOML
[package]
name = "two-versions"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
now = { package = "quintile", path = "../..", default-features = false }
earlier = { package = "quintile", path = "earlier", default-features = false }

[profile.dev]
opt-level = 0
debug = "line-tables-only"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::sync::Barrier;

const K: usize = 4096;

/// What one version computes at every level of this CPU: in f32, and of a quantised row.
macro_rules! results {
    ($quintile:ident) => {{
        use $quintile::formats::{ActBlock, Format};
        use $quintile::isa::Isa;
        use $quintile::kernels::Kernels;
        let x: Vec<f32> = (0..K).map(|i| (i as f32 * 0.1).sin()).collect();
        let mut results = Vec::new();
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            results.push(kernels.dot_f32(&x, &x).to_bits());
            for format in [Format::Q4K, Format::Q5K, Format::Q6K, Format::Q8_0] {
                let mut row = vec![0; format.row_bytes(K).unwrap()];
                kernels.quantize_weights(format, &x, &mut row);
                let mut column = vec![ActBlock::ZERO; ActBlock::count(K)];
                kernels.quantize(format.activation().unwrap(), &x, &mut column);
                results.push(kernels.qdot(format, &row, &column).to_bits());
            }
        }
        results
    }};
}

fn main() {
    let (now, earlier) = (results!(now), results!(earlier));
    assert_eq!(now, earlier);
    assert!(now.chunks(5).all(|level| level == &now[..5]), "levels differ: {now:x?}");
    let start = Barrier::new(64);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2 {
                    assert_eq!(results!(now), now);
                    assert_eq!(results!(earlier), earlier);
                }
            });
        }
    });
    println!("two versions, 64 threads, {} levels: the same bits", now.len() / 5);
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"
