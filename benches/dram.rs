//! What reads far more than every cache holds, beside loops that only read it: `cargo bench --bench dram`. The f32 dot, one thread, in
//! large pages where they can be had; and quantised rows times a column, as decoding multiplies them, on one thread and on as many
//! as there are processors, in pages of 4 KiB, as a mapped file has.
//!
//! 512 MiB each. All take turns, since the bandwidth of a shared memory changes from second to second; printed are the best and the
//! median of the rounds, and the ratio of the latter to that of the loop that reads fastest. `two streams` reads both rows of the
//! dot side by side, as it does.

mod filter;

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use memmap2::MmapMut;
use quintile::formats::{ActBlock, Format};
use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;

const ROUNDS: usize = 21;

struct Variant<'a> {
    name: String,
    reads_only: bool,
    run: Box<dyn Fn() + 'a>,
}

fn main() {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let bytes: usize = if measure { 512 << 20 } else { 512 << 10 };
    if filter::wants("dram dot_f32") {
        dots(bytes, measure);
    }
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    for threads in if processors > 1 { vec![1, processors] } else { vec![1] } {
        products(bytes, threads, measure);
    }
}

/// Two rows of f32, one thread.
fn dots(bytes: usize, measure: bool) {
    let mut memory = MmapMut::map_anon(bytes).expect("memory for two rows");
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    for (i, value) in memory.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *value = ((i * 7919 % 1009) as f32 / 504.5 - 1.0).to_le_bytes();
    }
    // SAFETY: any four bytes are an f32; a mapping begins at a page.
    let (_, floats, _) = unsafe { memory.align_to::<f32>() };
    let (a, b) = floats.split_at(bytes / 8);

    let mut variants = Vec::new();
    for isa in Isa::available().filter(|isa| isa.level() != Level::Scalar) {
        let kernels = Kernels::new(isa);
        let run = move || {
            black_box(kernels.dot_f32(black_box(a), black_box(b)));
        };
        let name = format!("dot_f32, {}", isa.level());
        variants.push(Variant { name, reads_only: false, run: Box::new(run) });
    }
    variants.extend(reads(&memory, 1));
    report("f32 dot, 1 thread", &variants, bytes, measure);
}

/// Rows of some formats times a column, each thread a part of them.
fn products(bytes: usize, threads: usize, measure: bool) {
    /// As f16, a scale near 0.06; as anything else, ordinary.
    const BYTE: u8 = 0x2b;
    let mut memory = MmapMut::map_anon(bytes).expect("memory for rows");
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::NoHugePage);
    memory.fill(BYTE);
    let memory = &memory[..];

    let mut variants = reads(memory, threads);
    let kernels = Kernels::new(Isa::detect());
    let formats = [Format::Q4K, Format::Q5K, Format::Q6K, Format::Q8_0];
    let formats = formats.into_iter().filter(|format| filter::wants(&format!("dram {format}")));
    for format in formats {
        for k in [1536, 8960] {
            let scale = format.activation().expect("a quantised format");
            let mut x = vec![ActBlock::ZERO; ActBlock::count(k)];
            kernels.quantize(scale, &vec![0.5; k], &mut x);
            let row_bytes = format.row_bytes(k).expect("whole blocks");
            let run = move || {
                in_parts(memory, threads, |part| {
                    let rows = part.len() / row_bytes;
                    let mut out = vec![0.0; rows];
                    kernels.gemv(format, &part[..rows * row_bytes], &x, &mut out);
                    black_box(out);
                });
            };
            let name = format!("{format} rows of {k}");
            variants.push(Variant { name, reads_only: false, run: Box::new(run) });
        }
    }
    if variants.iter().all(|variant| variant.reads_only) {
        return;
    }
    let level = kernels.isa().level();
    report(&format!("rows times a column, {level}, threads: {threads}"), &variants, bytes, measure);
}

fn reads(memory: &[u8], threads: usize) -> Vec<Variant<'_>> {
    let variant = |(name, read): (&str, Read)| Variant {
        name: name.into(),
        reads_only: true,
        run: Box::new(move || {
            in_parts(memory, threads, |part| {
                black_box(read(black_box(part)));
            });
        }),
    };
    READS.into_iter().map(variant).collect()
}

/// Each thread a part.
fn in_parts(memory: &[u8], threads: usize, run: impl Fn(&[u8]) + Sync) {
    thread::scope(|scope| {
        let mut parts = memory.chunks_exact(memory.len() / threads);
        let first = parts.next();
        parts.for_each(|part| drop(scope.spawn(|| run(part))));
        first.into_iter().for_each(&run);
    });
}

fn report(title: &str, variants: &[Variant], bytes: usize, measure: bool) {
    if !measure {
        return variants.iter().for_each(|variant| (variant.run)());
    }
    let mut rates = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for round in 0..ROUNDS {
        for turn in 0..variants.len() {
            let v = (round + turn) % variants.len();
            let start = Instant::now();
            (variants[v].run)();
            rates[v].push(bytes as f64 / start.elapsed().as_nanos() as f64);
        }
    }
    rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
    let median = |v: usize| rates[v][ROUNDS / 2];
    let reads = (0..variants.len()).filter(|&v| variants[v].reads_only).map(median);
    let fastest = reads.fold(0.0, f64::max);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    println!("{title}; CPU{}", name.unwrap_or(": not named by /proc/cpuinfo"));
    println!("{:<28}{:>12}{:>14}{:>22}", "", "best, GB/s", "median, GB/s", "to the fastest read");
    for (v, variant) in variants.iter().enumerate() {
        let (best, median) = (rates[v][ROUNDS - 1], median(v));
        println!("{:<28}{best:>12.1}{median:>14.1}{:>22.3}", variant.name, median / fastest);
    }
    println!();
}

/// Reads a slice, and returns something of it.
type Read = fn(&[u8]) -> u64;

const READS: [(&str, Read); 6] = [
    ("read, one stream", read::<1, 0>),
    ("read, two streams", read::<2, 0>),
    ("read, four streams", read::<4, 0>),
    ("read, one, 2 KiB ahead", read::<1, 2048>),
    ("read, two, 2 KiB ahead", read::<2, 2048>),
    ("read, two, 4 KiB ahead", read::<2, 4096>),
];

/// Reads `N` parts of a slice side by side, and asks for lines `AHEAD` bytes before they are read, if that is not 0.
fn read<const N: usize, const AHEAD: usize>(bytes: &[u8]) -> u64 {
    // Eight registers of SSE, which every x86-64 has.
    let (mut words, part) = ([0; 16], bytes.len() / N);
    for at in (0..part - part % 128).step_by(128) {
        for stream in 0..N {
            let piece = &bytes[stream * part + at..][..128];
            if AHEAD > 0 {
                (0..128).step_by(64).for_each(|line| prefetch(&piece[line], AHEAD));
            }
            for (word, bytes) in words.iter_mut().zip(piece.as_chunks::<8>().0) {
                *word |= u64::from_ne_bytes(*bytes);
            }
        }
    }
    words.into_iter().fold(0, |all, word| all | word)
}

/// Asks for the line `ahead` of a byte: a hint, of any address.
fn prefetch(byte: &u8, ahead: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is the architecture's baseline; a prefetch reads nothing that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *byte).wrapping_add(ahead).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (byte, ahead);
}
