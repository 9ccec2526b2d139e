//! A matrix times many columns on threads of your own: packed once, multiplied again and again.
//!
//! `Plan` tells how much memory the packed weights and a thread's scratch take; threads pack and multiply ranges of rows that
//! they take from a counter, each whenever it has done its last. Nothing but the caller allocates or waits. The second product is
//! added to the first, with a bias (`C += A B + bias`). The example checks that the bits are those of one thread and of rows that
//! are multiplied one by one, and exits with an error if not.
//!
//! ```sh
//! cargo run --release --example packed_matmul -- 4
//! ```

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use quintile::formats::{ActBlock, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::gemm;
use quintile::kernels::sgemm::{Line, Start};
use quintile::matmul::{
    self, Activations, Epilogue, OutputChunks, Outputs, Plan, Weights, quantize_columns,
};

const FORMAT: Format = Format::Q5K;
const ROWS: usize = 1000;
const K: usize = 1536;
const COLUMNS: usize = 64;

/// Rows that a thread takes at a time.
const CHUNK: usize = 3 * gemm::ROWS;

/// All rows, packed by some threads.
fn pack(plan: &Plan, bytes: &[u8], threads: NonZeroUsize) -> Vec<Line> {
    let mut packed = vec![Line::ZERO; plan.packed_lines()];
    let row_bytes = bytes.len() / ROWS;
    let chunks = packed
        .chunks_mut(plan.lines(0..CHUNK).len())
        .zip(bytes.chunks(CHUNK * row_bytes))
        .enumerate()
        .map(|(i, (lines, bytes))| (CHUNK * i..CHUNK * i + bytes.len() / row_bytes, bytes, lines));
    let chunks = Mutex::new(chunks);
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    // Not in the condition of a loop, which would hold the lock.
                    let chunk = chunks.lock().expect("no thread panics").next();
                    let Some((rows, bytes, lines)) = chunk else { break };
                    plan.pack(rows, bytes, lines);
                }
            });
        }
    });
    packed
}

/// One product, by threads that each have their scratch.
fn multiply(
    plan: &Plan,
    packed: &[Line],
    x: &[ActBlock],
    out: &mut [f32],
    epilogue: Epilogue<'_>,
    scratch: &mut [Vec<Line>],
) {
    let outputs = Outputs::new(out, COLUMNS, ROWS);
    let chunks = OutputChunks::new(outputs, scratch.len(), CHUNK..=CHUNK);
    thread::scope(|scope| {
        for scratch in scratch {
            scope.spawn(|| {
                while let Some(mut part) = chunks.claim() {
                    plan.run(packed, Activations::Blocks(x), &mut part, epilogue, scratch);
                }
            });
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads: NonZeroUsize = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|error| format!("THREADS {text:?}: {error}"))?,
        None => thread::available_parallelism()?,
    };
    let kernels = Kernels::new(Isa::detect());

    // Weights as a file would hold them.
    let row: Vec<f32> = (0..ROWS * K).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut bytes = vec![0; ROWS * FORMAT.row_bytes(K).ok_or("no whole blocks")?];
    kernels.quantize_weights(FORMAT, &row, &mut bytes);

    let plan = Plan::new(&kernels, FORMAT, ROWS, K, COLUMNS)?;
    println!(
        "{FORMAT} {ROWS} x {K}: {} KiB, packed {} KiB, scratch of a thread {} KiB",
        bytes.len() >> 10,
        plan.packed_lines() >> 4,
        plan.scratch_lines() >> 4,
    );
    let packed = pack(&plan, &bytes, threads);

    // Columns are quantised once a batch; all threads read them.
    let floats: Vec<f32> = (0..COLUMNS * K).map(|i| (i as f32 * 0.1).cos()).collect();
    let mut x = vec![ActBlock::ZERO; COLUMNS * ActBlock::count(K)];
    let scale = FORMAT.activation().ok_or("not quantised")?;
    quantize_columns(&kernels, scale, &floats, K, K, &mut x);

    let bias: Vec<f32> = (0..ROWS).map(|r| r as f32).collect();
    let more = Epilogue { start: Start::Output, bias: Some(&bias) };
    let both = |packed: &[Line], threads: NonZeroUsize| {
        let mut scratch = vec![vec![Line::ZERO; plan.scratch_lines()]; threads.get()];
        let mut out = vec![0.0; COLUMNS * ROWS];
        multiply(&plan, packed, &x, &mut out, Epilogue::NONE, &mut scratch);
        multiply(&plan, packed, &x, &mut out, more, &mut scratch);
        out
    };
    let start = Instant::now();
    let shared = both(&packed, threads);
    println!("two products on {threads} threads: {:.2?}", start.elapsed());

    // The same from one thread, and from rows as they are.
    let alone = both(&pack(&plan, &bytes, NonZeroUsize::MIN), NonZeroUsize::MIN);
    let w = Weights::new(FORMAT, ROWS, K, &bytes)?;
    let mut plain = vec![0.0; COLUMNS * ROWS];
    for epilogue in [Epilogue::NONE, more] {
        let mut out = Outputs::new(&mut plain, COLUMNS, ROWS);
        matmul::run_with(&kernels, &w, Activations::Blocks(&x), &mut out, None, epilogue);
    }
    let bits = |out: &[f32]| out.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    if bits(&shared) != bits(&alone) || bits(&shared) != bits(&plain) {
        return Err("the bits differ".into());
    }
    println!("the bits of one thread, and of rows multiplied one by one");
    Ok(())
}
