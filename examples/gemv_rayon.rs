//! A matrix times a vector on rayon's threads: `matmul::run` computes the rows it is given, and `Outputs::split_at` deals them out.
//!
//! Rows are stolen by whoever has nothing left to do, so which thread computes which is a matter of chance; the bits are not. The
//! example checks that, and exits with an error if it is wrong.
//!
//! ```sh
//! cargo run --release --example gemv_rayon
//! ```

use std::error::Error;

use quintile::formats::{ActBlock, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::matmul::{self, Activations, Outputs, Weights};

const FORMAT: Format = Format::Q4K;
const ROWS: usize = 3000;
const K: usize = 2048;
/// Rows that are not divided further: some dozen microseconds of work, where a fork costs one or two.
const FEW: usize = 64;

/// The rows of `out`, by halves.
fn gemv(kernels: &Kernels, w: &Weights<'_>, x: &[ActBlock], mut out: Outputs<'_>) {
    let rows = out.rows();
    if rows.len() <= FEW {
        return matmul::run(kernels, w, Activations::Blocks(x), &mut out, None);
    }
    let (upper, lower) = out.split_at(rows.start + rows.len() / 2);
    rayon::join(|| gemv(kernels, w, x, upper), || gemv(kernels, w, x, lower));
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernels = Kernels::new(Isa::detect());

    // Weights as a file would hold them.
    let values: Vec<f32> = (0..ROWS * K).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut bytes = vec![0; ROWS * FORMAT.row_bytes(K).ok_or("no whole blocks")?];
    kernels.quantize_weights(FORMAT, &values, &mut bytes);
    let w = Weights::new(FORMAT, ROWS, K, &bytes)?;

    // The vector is quantised once; all threads read it.
    let vector: Vec<f32> = (0..K).map(|i| (i as f32 * 0.1).cos()).collect();
    let mut x = vec![ActBlock::ZERO; ActBlock::count(K)];
    kernels.quantize(FORMAT.activation().ok_or("not quantised")?, &vector, &mut x);

    let mut shared = vec![0.0; ROWS];
    gemv(&kernels, &w, &x, Outputs::new(&mut shared, 1, ROWS));

    let row_bytes = bytes.len() / ROWS;
    for (r, (y, row)) in shared.iter().zip(bytes.chunks(row_bytes)).enumerate() {
        let alone = kernels.qdot(FORMAT, row, &x);
        if y.to_bits() != alone.to_bits() {
            return Err(format!("row {r} is {y}, and {alone} alone").into());
        }
    }
    let threads = rayon::current_num_threads();
    println!("{ROWS} rows of {K} on {threads} threads: the bits of each row alone");
    Ok(())
}
