//! A matrix times a vector on threads of your own: `matmul::run` computes the rows it is given.
//!
//! An output depends on its row and its column alone, so any split of the rows over any number of
//! threads gives the same bits. The example checks that it does, and exits with an error if not.
//!
//! ```sh
//! cargo run --release --example gemv_threads -- 4
//! ```

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread;

use quintile::formats::{ActBlock, Format, f16_bits};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::matmul::{self, Activations, Outputs, Weights};

const ROWS: usize = 1000;
const K: usize = 2048;

/// `w` times `x`, the rows shared evenly among `threads`.
fn gemv(kernels: &Kernels, w: &Weights<'_>, x: &[ActBlock], threads: NonZeroUsize) -> Vec<f32> {
    let mut y = vec![0.0; w.rows()];
    let mut rest = Outputs::new(&mut y, 1, w.rows());
    thread::scope(|scope| {
        for t in 1..=threads.get() {
            let (mut part, after) = rest.split_at(w.rows() * t / threads);
            scope.spawn(move || matmul::run(kernels, w, Activations::Blocks(x), &mut part, None));
            rest = after;
        }
    });
    y
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads: NonZeroUsize = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|error| format!("THREADS {text:?}: {error}"))?,
        None => thread::available_parallelism()?,
    };
    if threads.get() > ROWS {
        return Err(format!("{threads} threads for {ROWS} rows").into());
    }

    // Weights as a file would hold them: blocks of a scale in f16 and 32 signed bytes.
    let format = Format::Q8_0;
    let blocks = ROWS * K / format.block_len();
    let block = |b: usize| {
        let scale = f16_bits(0.001 * (1 + b % 9) as f32);
        scale.into_iter().chain((0..32).map(move |i| (b * 31 + i * 17) as u8))
    };
    let bytes: Vec<u8> = (0..blocks).flat_map(block).collect();
    let w = Weights::new(format, ROWS, K, &bytes)?;

    // The vector is quantised once; all threads read it.
    let kernels = Kernels::new(Isa::detect());
    let vector: Vec<f32> = (0..K).map(|i| (i as f32 * 0.1).cos()).collect();
    let mut x = vec![ActBlock::ZERO; ActBlock::count(K)];
    kernels.quantize(format.activation().expect("Q8_0 is quantised"), &vector, &mut x);

    let alone = gemv(&kernels, &w, &x, NonZeroUsize::MIN);
    let shared = gemv(&kernels, &w, &x, threads);
    if alone.iter().map(|y| y.to_bits()).ne(shared.iter().map(|y| y.to_bits())) {
        return Err(format!("{threads} threads and one thread differ").into());
    }
    println!("{ROWS} rows of {K} on {threads} threads: the bits of one thread");
    Ok(())
}
