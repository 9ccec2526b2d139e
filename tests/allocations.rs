//! Once a session has seen a batch and a token, it allocates nothing more.
//!
//! Alone in its program: the allocator counts what any thread does.
#![cfg(feature = "driver")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use quintile::formats::{ActBlock, Format};
use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::sgemm::Line;
use quintile::matmul::{Activations, Epilogue, Outputs, Plan};
use quintile::model::trace::Tracer;
use quintile::model::{
    Batch, CacheType, Context, Logits, Model, Pool, Sampler, SamplerOptions, Session,
    SessionOptions,
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` allocates.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Relaxed);
    work();
    ALLOCATIONS.load(Relaxed) - before
}

#[test]
fn a_decoded_token_and_a_batch_allocate_nothing_after_the_first() {
    assert_eq!(
        allocations(|| drop(std::hint::black_box(vec![1u8; 100]))),
        1,
        "the allocator counts"
    );
    assert_eq!(planned_product(), 0, "packing and multiplying");
    // A model without biases, one with them, one with norms and windows wherever there can be any, and one with experts.
    for name in ["llama-linear", "qwen2", "gemma3", "qwen2moe"] {
        let path = format!("tests/data/tiny/{name}.gguf");
        let file = Gguf::open(path.as_ref(), &OpenOptions::default()).unwrap();
        let model = Model::load(file, Isa::detect()).unwrap();
        for threads in [1, 3] {
            assert_eq!(mixed_batches(&model, threads), 0, "{name}, {threads} threads, batches");
        }
        for (threads, stats, traced, cache, len) in [
            (1, false, false, CacheType::F16, 100),
            (3, false, false, CacheType::F32, 100),
            (3, true, false, CacheType::F16, 100),
            (3, true, true, CacheType::F16, 100),
            (1, false, false, CacheType::Q8_0, 100),
            // Three chunks of keys, which threads share.
            (3, false, false, CacheType::F16, 1100),
        ] {
            if cache == CacheType::Q8_0 && !model.config().head_dim.is_multiple_of(32) {
                continue;
            }
            let pool = Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap();
            let options = SessionOptions {
                context: Some(len + 100),
                cache,
                batch: 100,
                stats,
                ..SessionOptions::default()
            };
            let mut session = Session::new(&model, &pool, &options).unwrap();
            session.set_tracer(traced.then(|| Arc::new(Tracer::new(pool.size(), 200_000))));
            let options =
                SamplerOptions { repeat_penalty: 1.1, seed: 1, ..SamplerOptions::default() };
            let mut sampler = Sampler::new(options).unwrap();
            let mut history: Vec<u32> = (0..len).map(|i| i as u32 * 7 % 300).collect();
            history.reserve(100);
            let prompt = history.clone();
            let mut pass = |tokens: usize| {
                session.truncate(0);
                session.forward(&prompt).unwrap();
                history.truncate(prompt.len());
                for _ in 0..tokens {
                    let token = sampler.sample(model.kernels(), session.logits(), &history);
                    history.push(token);
                    session.forward(&[token]).unwrap();
                }
            };
            pass(1);
            // A worker that the system starts late allocates for itself; whatever a token does, all passes do.
            let n = (0..5).map(|_| allocations(|| pass(50))).min();
            assert_eq!(
                n,
                Some(0),
                "{name}, {threads} threads, {cache} cache, {len} tokens, stats {stats}, {traced}"
            );
        }
    }
}

/// What mixed batches of a context allocate, the first of them aside: prompts beside single tokens, sequences that come, go and fork.
fn mixed_batches(model: &Model, threads: usize) -> usize {
    let pool = Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap();
    let options = SessionOptions { context: Some(64), batch: 32, ..SessionOptions::default() };
    let mut context = Context::new(model, &pool, &options).unwrap();
    let prompt: Vec<u32> = (0..40).map(|i| i * 7 % 300).collect();
    let (mut ids, mut batch, mut sum) = (Vec::new(), Batch::new(), 0.0);
    let mut round = || {
        ids.extend((0..6).map(|_| context.add().unwrap()));
        for step in 0..4 {
            batch.clear();
            for (i, id) in ids.iter().enumerate() {
                let tokens = if i == step { &prompt } else { &prompt[i..=i] };
                batch.push(*id, tokens, if i % 2 == 0 { Logits::Last } else { Logits::All });
            }
            context.forward(&batch, |_, _, logits| sum += logits[0]).unwrap();
            if step == 1 {
                ids.push(context.fork(ids[0]).unwrap());
            }
        }
        ids.drain(..).for_each(|id| context.release(id).unwrap());
    };
    round();
    (0..5).map(|_| allocations(&mut round)).min().unwrap()
}

/// What packing a matrix and multiplying it allocates, of every kind of plan.
fn planned_product() -> usize {
    let (rows, columns) = (40, 9);
    Format::ALL.into_iter().flat_map(|format| Isa::available().map(move |isa| (format, isa))).fold(
        0,
        |sum, (format, isa)| {
            let k = 256;
            let plan = Plan::new(&Kernels::new(isa), format, rows, k, columns).unwrap();
            let w = vec![0; rows * format.row_bytes(k).unwrap()];
            let mut packed = vec![Line::ZERO; plan.packed_lines()];
            let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
            let (x, blocks) = (vec![0.0; columns * k], vec![ActBlock::ZERO; columns]);
            let x = Activations::for_format(format, &x, &blocks, &blocks);
            let mut out = vec![0.0; columns * rows];
            sum + allocations(|| {
                plan.pack(0..rows, &w, &mut packed);
                let mut out = Outputs::new(&mut out, columns, rows);
                plan.run(&packed, x, &mut out, Epilogue::NONE, &mut scratch);
            })
        },
    )
}
