//! The dot product of two f32 slices, by every level of kernels that this CPU has.
//!
//! A level is a matter of speed alone: each prints the same bits.
//!
//! ```sh
//! cargo run --release --example dot
//! ```

use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;

fn main() {
    let n = 1000;
    let a: Vec<f32> = (0..n).map(|i| 1.0 / (i + 1) as f32).collect();
    let b: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 3.0).collect();

    for level in Level::ALL {
        match Isa::force(level) {
            Ok(isa) => {
                let dot = Kernels::new(isa).dot_f32(&a, &b);
                println!("{:<9} {dot} ({:#010x})", level.name(), dot.to_bits());
            }
            Err(reason) => println!("{:<9} {reason}", level.name()),
        }
    }
    // What a program calls: the best level, found once.
    let kernels = Kernels::new(Isa::detect());
    println!("detected: {}", kernels.isa().level().name());
}
