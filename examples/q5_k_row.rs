//! One quantised row of a mapped GGUF file, read in place and multiplied by activations.
//!
//! The row is dotted twice: as it lies in the file, with activations of eight bits, which is how
//! models run; and dequantised to f32, which shows how little the eight bits cost. Any quantised
//! tensor does, Q5_K or another.
//!
//! ```sh
//! cargo run --release --example q5_k_row -- model.gguf token_embd.weight 42
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use quintile::formats::ActBlock;
use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, name, row] = args.as_slice() else {
        eprintln!("usage: q5_k_row FILE TENSOR ROW");
        return ExitCode::from(2);
    };
    match run(file, name, row) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("q5_k_row: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &str, name: &str, row: &str) -> Result<(), Box<dyn Error>> {
    let row: usize = row.parse().map_err(|error| format!("ROW {row:?}: {error}"))?;

    // Opening maps the file and checks its header; no weight is read before it is used.
    let gguf = Gguf::open(Path::new(file), &OpenOptions::default())?;
    let tensor = gguf.tensor(name)?;
    let (format, k) = (tensor.format(), tensor.k());
    let scale = format
        .activation()
        .ok_or_else(|| format!("{name} is {format}, which is not quantised: no integer dot"))?;

    // The values of the row, by `Tensor`. This also refuses a row that the tensor does not have.
    let weights = tensor.row(row)?;
    println!("{name}: {format}, {} rows of {k} values", tensor.rows());
    println!("row {row} begins with {:?}", &weights[..weights.len().min(4)]);

    // Activations as a model has them, about 1 in size, quantised as the format asks.
    let x: Vec<f32> = (0..k).map(|i| (i as f32 * 0.37).sin()).collect();
    let kernels = Kernels::new(Isa::detect());
    let mut blocks = vec![ActBlock::ZERO; ActBlock::count(k)];
    kernels.quantize(scale, &x, &mut blocks);

    let quantised = kernels.qdot(format, tensor.row_bytes(row), &blocks);
    let exact = kernels.dot_f32(&weights, &x);
    println!("dot with 8-bit activations {quantised}, with f32 {exact}");
    Ok(())
}
