//! Several sequences in one batch: each has the bits that it has alone, whatever is done with the others.
#![cfg(feature = "driver")]

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::model::{
    Batch, CacheType, Context, Error, Logits, Model, Pool, SequenceId, Session, SessionOptions,
};
use quintile::quantize::{FileType, Plan, WriteOptions};

/// Without biases, with them, with norms and windows of 16.
const MODELS: [&str; 3] = ["llama-linear", "qwen2", "gemma3"];

fn tiny(name: &str) -> PathBuf {
    Path::new("tests/data/tiny").join(format!("{name}.gguf"))
}

fn model(file: &Path, isa: Isa) -> Model {
    Model::load(Gguf::open(file, &OpenOptions::default()).unwrap(), isa).unwrap()
}

fn pool(threads: usize) -> Pool {
    Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()
}

/// A tiny model, quantised.
fn quantised(name: &str, file_type: FileType) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("batch-{name}-{file_type}-{}.gguf", std::process::id()));
    let source = Gguf::open(&tiny(name), &OpenOptions::default()).unwrap();
    let plan = Plan::new(&source, file_type).unwrap();
    plan.write(&Kernels::new(Isa::detect()), &pool(2), &file, &WriteOptions::default()).unwrap();
    file
}

/// Whether an emulator makes every case slow: `QUINTILE_CASES` is the share of the random cases, in percent.
fn emulated() -> bool {
    std::env::var("QUINTILE_CASES").is_ok_and(|n| n.parse::<u32>().is_ok_and(|n| n < 100))
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn tokens(&mut self, n: usize) -> Vec<u32> {
        (0..n).map(|_| self.below(300) as u32).collect()
    }
}

/// The logits after the last token of a text that is alone.
fn alone(model: &Model, pool: &Pool, cache: CacheType, text: &[u32]) -> Vec<u32> {
    let options = SessionOptions { context: Some(text.len()), cache, ..SessionOptions::default() };
    let mut session = Session::new(model, pool, &options).unwrap();
    session.forward(text).unwrap();
    bits(session.logits())
}

/// Lets sequences come, go, fork, forget and grow at random, and compares each logit that comes out with that of the text alone, which
/// is computed at the detected level.
fn interleave(file: &Path, isa: Isa, rounds: usize, seed: u64) {
    let reference = model(file, Isa::detect());
    let model = model(file, isa);
    let mut random = Random(seed);
    let threads = 1 + random.below(3);
    let pool = pool(threads);
    // Heads of Q8_0 are whole blocks.
    let takes = |cache: &CacheType| {
        *cache != CacheType::Q8_0 || reference.config().head_dim.is_multiple_of(32)
    };
    let caches: Vec<CacheType> = CacheType::ALL.into_iter().filter(takes).collect();
    let cache = caches[random.below(caches.len())];
    let size = [1, 7, 20, 64][random.below(4)];
    let options =
        SessionOptions { context: Some(90), cache, batch: size, ..SessionOptions::default() };
    let mut context = Context::new(&model, &pool, &options).unwrap();
    let mut texts: Vec<(SequenceId, Vec<u32>)> = Vec::new();
    let mut known: HashMap<Vec<u32>, Vec<u32>> = HashMap::new();
    let mut batch = Batch::new();
    for round in 0..rounds {
        let at = random.below(texts.len().max(1));
        match random.below(5) {
            0 if texts.len() > 6 => context.release(texts.swap_remove(at).0).unwrap(),
            1 if !texts.is_empty() => {
                let copy = texts[at].1.clone();
                texts.push((context.fork(texts[at].0).unwrap(), copy));
            }
            2 if !texts.is_empty() => {
                let kept = random.below(texts[at].1.len() + 1);
                context.truncate(texts[at].0, kept).unwrap();
                texts[at].1.truncate(kept);
            }
            _ => texts.push((context.add().unwrap(), Vec::new())),
        }
        batch.clear();
        let mut wanted = Vec::new();
        for (id, text) in &mut texts {
            // Most are given a token, some a prompt, some nothing.
            let count = [0, 1, 1, 1, 1 + random.below(30)][random.below(5)].min(90 - text.len());
            let logits = [Logits::None, Logits::Last, Logits::All][random.below(3)];
            let tokens = random.tokens(count);
            batch.push(*id, &tokens, logits);
            let start = text.len();
            text.extend_from_slice(&tokens);
            let indices = match logits {
                Logits::None => 0..0,
                Logits::Last => count.saturating_sub(1)..count,
                _ => 0..count,
            };
            wanted.extend(indices.map(|i| (*id, i, text[..=start + i].to_vec())));
        }
        let mut got = Vec::new();
        context.forward(&batch, |id, i, logits| got.push((id, i, bits(logits)))).unwrap();
        got.sort();
        wanted.sort();
        let what = format!("{file:?} at {}, {threads} threads, {cache}, {size}", isa.level());
        assert_eq!(got.len(), wanted.len(), "round {round}: {what}");
        for ((id, i, logits), (want_id, want_i, text)) in got.into_iter().zip(wanted) {
            assert_eq!((id, i), (want_id, want_i), "round {round}: {what}");
            let want =
                known.entry(text).or_insert_with_key(|text| alone(&reference, &pool, cache, text));
            assert!(logits == *want, "round {round}: {i} of sequence {id}: {what}");
        }
        for (id, text) in &texts {
            assert_eq!(context.tokens(*id).unwrap(), text, "round {round}: {what}");
        }
    }
}

#[test]
fn sequences_that_come_go_fork_and_forget_have_the_bits_that_each_has_alone() {
    for (m, name) in MODELS.into_iter().enumerate() {
        for (i, isa) in Isa::available().enumerate() {
            if emulated() && isa != Isa::detect() {
                continue;
            }
            let rounds = if emulated() { 4 } else { 12 };
            interleave(&tiny(name), isa, rounds, (100 * m + i) as u64);
        }
    }
    for (name, file_type) in [
        ("llama-3", FileType::Q5KM),
        ("qwen2", FileType::Q4KM),
        ("qwen2-narrow", FileType::Q8_0),
        ("gemma3", FileType::Q5_0),
    ] {
        if emulated() && name != "llama-3" {
            continue;
        }
        let file = quantised(name, file_type);
        for seed in 0..if emulated() { 1 } else { 4 } {
            interleave(&file, Isa::detect(), if emulated() { 4 } else { 16 }, 1000 + seed);
        }
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn many_single_tokens_beside_prompts_have_the_bits_of_each_alone() {
    // Threads take turns with single tokens where there are some for each; chunks of 512 keys end in between.
    let model = model(&tiny("llama-linear"), Isa::detect());
    let mut random = Random(5);
    let lens = if emulated() { vec![3, 20, 1, 7, 64] } else { vec![3, 511, 512, 513, 40, 1, 7] };
    let texts: Vec<Vec<u32>> = lens.into_iter().map(|n| random.tokens(n)).collect();
    let next = random.tokens(texts.len());
    let prompt = random.tokens(33);
    for threads in [1, 2, 3] {
        let pool = pool(threads);
        let options = SessionOptions { context: Some(600), ..SessionOptions::default() };
        let mut context = Context::new(&model, &pool, &options).unwrap();
        let ids: Vec<SequenceId> = texts.iter().map(|_| context.add().unwrap()).collect();
        let mut batch = Batch::new();
        ids.iter().zip(&texts).for_each(|(id, text)| batch.push(*id, text, Logits::None));
        context.forward(&batch, |_, _, _| panic!("no logits are wanted")).unwrap();
        batch.clear();
        let newcomer = context.add().unwrap();
        batch.push(newcomer, &prompt, Logits::Last);
        ids.iter().zip(&next).for_each(|(id, token)| batch.push(*id, &[*token], Logits::Last));
        let mut got = HashMap::new();
        let each = |id, _, logits: &mut [f32]| drop(got.insert(id, bits(logits)));
        context.forward(&batch, each).unwrap();
        assert_eq!(got[&newcomer], alone(&model, &pool, CacheType::F16, &prompt));
        for ((id, text), token) in ids.iter().zip(&texts).zip(&next) {
            let text = [text.as_slice(), &[*token]].concat();
            let want = alone(&model, &pool, CacheType::F16, &text);
            assert!(got[id] == want, "{} tokens, {threads} threads", text.len());
        }
    }
}

#[test]
fn a_sequence_that_cannot_go_on_leaves_the_others_as_they_were() {
    let model = model(&tiny("llama-linear"), Isa::detect());
    let pool = pool(2);
    let options = SessionOptions { context: Some(10), ..SessionOptions::default() };
    let mut context = Context::new(&model, &pool, &options).unwrap();
    let (full, other) = (context.add().unwrap(), context.add().unwrap());
    let mut batch = Batch::new();
    batch.push(full, &[1, 2, 3, 4, 5, 6, 7, 8], Logits::None);
    batch.push(other, &[9, 8], Logits::None);
    context.forward(&batch, |_, _, _| ()).unwrap();

    let mut refused = |batch: &Batch| {
        let error = context.forward(batch, |_, _, _| panic!("nothing is computed")).unwrap_err();
        assert_eq!(context.tokens(full).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(context.tokens(other).unwrap(), [9, 8]);
        error
    };
    batch.clear();
    batch.push(other, &[7], Logits::Last);
    batch.push(full, &[1, 2, 3], Logits::Last);
    let Error::Sequence { sequence, error } = refused(&batch) else { panic!() };
    assert!(sequence == full && matches!(*error, Error::ContextFull { position: 8, .. }));
    // Without the one that is named, the batch goes on.
    batch.remove(sequence);
    let mut twice = batch.clone();
    twice.push(other, &[1], Logits::Last);
    let message = refused(&twice).to_string();
    assert_eq!(message, "sequence 1: it is twice in the batch: push all its tokens at once");
    let mut outside = batch.clone();
    outside.push(full, &[320], Logits::Last);
    let message = refused(&outside).to_string();
    assert_eq!(message, "sequence 0: token 320 is outside the vocabulary of 320");
    let mut got = Vec::new();
    context.forward(&batch, |_, _, logits| got = bits(logits)).unwrap();
    assert_eq!(got, alone(&model, &pool, CacheType::F16, &[9, 8, 7]));
}

#[test]
fn an_id_is_good_for_one_sequence_of_one_life() {
    let model = model(&tiny("llama-linear"), Isa::detect());
    let pool = pool(1);
    let options = SessionOptions { context: Some(10), ..SessionOptions::default() };
    let mut context = Context::new(&model, &pool, &options).unwrap();
    let old = context.add().unwrap();
    let bytes = context.cache_bytes();
    context.release(old).unwrap();
    let new = context.add().unwrap();
    assert_ne!(old, new);
    assert_eq!(context.cache_bytes(), bytes, "the memory is used again");
    let message = context.release(old).unwrap_err().to_string();
    assert_eq!(message, "there is no sequence 0, or no more");
    assert!(matches!(context.fork(old), Err(Error::NoSequence(id)) if id == old));
    let mut batch = Batch::new();
    batch.push(old, &[1], Logits::Last);
    assert!(matches!(context.forward(&batch, |_, _, _| ()), Err(Error::NoSequence(_))));
    let mut other = Context::new(&model, &pool, &options).unwrap();
    assert!(matches!(other.truncate(new, 0), Err(Error::NoSequence(_))));
    // Nothing to do is no error.
    batch.clear();
    batch.push(old, &[], Logits::Last);
    assert!(batch.is_empty());
    context.forward(&batch, |_, _, _| panic!("no logits are wanted")).unwrap();
}

#[test]
fn a_batch_that_is_cancelled_between_passes_is_forgotten_by_all_sequences() {
    let model = model(&tiny("llama-linear"), Isa::detect());
    let pool = pool(2);
    let cancel = Arc::new(AtomicBool::new(false));
    let options = SessionOptions {
        context: Some(50),
        batch: 4,
        cancel: Some(Arc::clone(&cancel)),
        ..SessionOptions::default()
    };
    let mut context = Context::new(&model, &pool, &options).unwrap();
    let (long, short) = (context.add().unwrap(), context.add().unwrap());
    let mut batch = Batch::new();
    batch.push(long, &[5, 6], Logits::None);
    context.forward(&batch, |_, _, _| ()).unwrap();
    batch.clear();
    batch.push(long, &[1, 2, 3, 4, 5, 6, 7, 8, 9], Logits::Last);
    batch.push(short, &[1], Logits::Last);
    let mut calls = 0;
    let result = context.forward(&batch, |id, _, _| {
        assert_eq!(id, short, "single tokens come first");
        cancel.store(true, Relaxed);
        calls += 1;
    });
    assert!(matches!(result, Err(Error::Cancelled)) && calls == 1);
    assert_eq!(context.tokens(long).unwrap(), [5, 6]);
    assert!(context.tokens(short).unwrap().is_empty());
    cancel.store(false, Relaxed);
    let mut got = HashMap::new();
    context.forward(&batch, |id, _, logits| drop(got.insert(id, bits(logits)))).unwrap();
    let text = [5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(got[&long], alone(&model, &pool, CacheType::F16, &text));
    assert_eq!(got[&short], alone(&model, &pool, CacheType::F16, &[1]));
}

#[test]
fn a_fork_of_a_session_and_the_session_go_on_apart() {
    let model = model(&tiny("gemma3"), Isa::detect());
    let pool = pool(2);
    for cache in CacheType::ALL {
        let options = SessionOptions { context: Some(60), cache, ..SessionOptions::default() };
        let mut session = Session::new(&model, &pool, &options).unwrap();
        assert_eq!(session.fork().unwrap().position(), 0);
        let mut text = Random(9).tokens(37);
        session.forward(&text).unwrap();
        let mut fork = session.fork().unwrap();
        assert_eq!((fork.tokens(), fork.context()), (text.as_slice(), 60));
        let logits = alone(&model, &pool, cache, &text);
        assert_eq!(bits(fork.logits()), logits);
        fork.forward(&[1, 2]).unwrap();
        fork.truncate(20);
        fork.forward(&[3]).unwrap();
        session.forward(&[4]).unwrap();
        let branch = [&text[..20], &[3]].concat();
        assert_eq!(bits(fork.logits()), alone(&model, &pool, cache, &branch));
        text.push(4);
        assert_eq!(bits(session.logits()), alone(&model, &pool, cache, &text));
    }
}

#[test]
fn a_session_keeps_what_begins_the_next_text_and_leaves_a_token_to_compute() {
    let model = model(&tiny("llama-linear"), Isa::detect());
    let pool = pool(1);
    let mut session = Session::new(&model, &pool, &SessionOptions::default()).unwrap();
    session.forward(&[1, 2, 3, 4]).unwrap();
    for (text, kept) in [
        (&[1, 2, 3, 4, 5, 6][..], 4),
        (&[1, 2, 3, 4, 5, 6], 5),
        (&[1, 2, 3], 2),
        (&[1, 7, 3, 4], 1),
        (&[8, 7], 0),
        (&[], 0),
    ] {
        assert_eq!(session.reuse(text), kept, "{text:?}");
        session.forward(&text[kept..]).unwrap();
        assert_eq!(session.tokens(), text);
        if !text.is_empty() {
            assert_eq!(bits(session.logits()), alone(&model, &pool, CacheType::F16, text));
        }
    }
}
