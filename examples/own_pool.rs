//! A product on whatever pool of threads an engine has: all that the crate asks of it is to call a function some times.
//!
//! [`ForkJoin`] is that much of a pool; here with none, threads of the standard library, and rayon. Each call claims chunks of
//! rows until none is left, so threads that start late or are slow take fewer. The example checks that all give the same bits, and
//! exits with an error if not.
//!
//! ```sh
//! cargo run --release --example own_pool
//! ```

use std::error::Error;
use std::sync::Mutex;
use std::thread;

use quintile::formats::{ActBlock, Format};
use quintile::isa::Isa;
use quintile::kernels::sgemm::Line;
use quintile::kernels::{Kernels, gemm};
use quintile::matmul::{Activations, Epilogue, OutputChunks, Outputs, Plan, quantize_columns};

/// Calls `job` with each number below `threads`, at once if it can, and returns when all calls have.
trait ForkJoin {
    fn threads(&self) -> usize;
    fn run(&self, job: &(dyn Fn(usize) + Sync));
}

/// The caller's thread alone.
struct Alone;

impl ForkJoin for Alone {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        job(0);
    }
}

/// New threads each time.
struct Scoped(usize);

impl ForkJoin for Scoped {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        thread::scope(|scope| {
            for thread in 0..self.0 {
                scope.spawn(move || job(thread));
            }
        });
    }
}

struct Rayon(rayon::ThreadPool);

impl ForkJoin for Rayon {
    fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        self.0.broadcast(|context| job(context.index()));
    }
}

const FORMAT: Format = Format::Q5K;
const ROWS: usize = 1000;
const K: usize = 1536;
const COLUMNS: usize = 48;

/// A layer's weights, packed, and what its threads need beside.
struct Layer {
    plan: Plan,
    packed: Vec<Line>,
    scratch: Vec<Mutex<Vec<Line>>>,
}

impl Layer {
    fn new(kernels: &Kernels, bytes: &[u8], threads: usize) -> Result<Layer, Box<dyn Error>> {
        let plan = Plan::new(kernels, FORMAT, ROWS, K, COLUMNS)?;
        let mut packed = vec![Line::ZERO; plan.packed_lines()];
        plan.pack(0..ROWS, bytes, &mut packed);
        let scratch = || Mutex::new(vec![Line::ZERO; plan.scratch_lines()]);
        let scratch = (0..threads).map(|_| scratch()).collect();
        Ok(Layer { plan, packed, scratch })
    }

    /// Rows of all `COLUMNS` columns: output `r` of column `c` lies at `c * ROWS + r`.
    fn apply(&self, pool: &dyn ForkJoin, x: &[ActBlock], out: &mut [f32]) {
        const CHUNK: usize = 2 * gemm::ROWS;
        let chunks =
            OutputChunks::new(Outputs::new(out, COLUMNS, ROWS), pool.threads(), CHUNK..=8 * CHUNK);
        pool.run(&|thread| {
            let mut scratch = self.scratch[thread].lock().expect("no other call panicked");
            while let Some(mut part) = chunks.claim() {
                let x = Activations::Blocks(x);
                self.plan.run(&self.packed, x, &mut part, Epilogue::NONE, &mut scratch);
            }
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernels = Kernels::new(Isa::detect());
    let threads = thread::available_parallelism()?.get();

    // Weights as a file would hold them.
    let values: Vec<f32> = (0..ROWS * K).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut bytes = vec![0; ROWS * FORMAT.row_bytes(K).ok_or("no whole blocks")?];
    kernels.quantize_weights(FORMAT, &values, &mut bytes);
    let layer = Layer::new(&kernels, &bytes, threads)?;

    let floats: Vec<f32> = (0..COLUMNS * K).map(|i| (i as f32 * 0.1).cos()).collect();
    let mut x = vec![ActBlock::ZERO; COLUMNS * ActBlock::count(K)];
    let scale = FORMAT.activation().ok_or("not quantised")?;
    quantize_columns(&kernels, scale, &floats, K, K, &mut x);

    let product = |pool: &dyn ForkJoin| {
        let mut out = vec![0.0; COLUMNS * ROWS];
        layer.apply(pool, &x, &mut out);
        out.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
    };
    let want = product(&Alone);
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    for (name, pool) in [
        ("threads of the standard library", &Scoped(threads) as &dyn ForkJoin),
        ("rayon", &Rayon(rayon)),
    ] {
        if product(pool) != want {
            return Err(format!("{name}: the bits differ from one thread's").into());
        }
        println!("{name}, {} of them: the bits of one thread", pool.threads());
    }
    Ok(())
}
