//! Continues eight prompts together: `batch FILE [TOKENS]`.
//!
//! The first is continued alone before, to compare: its text is the same, and eight texts together take little more time
//! than one, since the weights are read once for all.

use std::path::Path;
use std::time::Instant;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::sampler::greedy;
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};
use quintile::model::{Batch, Context, Logits, Model, Pool, SessionOptions, system};

type Failure = Box<dyn std::error::Error>;

const PROMPTS: [&str; 8] = [
    "The capital of France is",
    "fn fibonacci(n: u64) -> u64 {",
    "# How to bake bread\n\n1.",
    "Once upon a time, there was a",
    "def quicksort(items):",
    "The three laws of thermodynamics are",
    "SELECT name, COUNT(*) FROM",
    "A haiku about rain:\n",
];

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: batch FILE [TOKENS]")?;
    let tokens = args.next().map_or(Ok(48), |n| n.parse())?;
    let model = Model::load(Gguf::open(Path::new(&file), &OpenOptions::default())?, Isa::detect())?;
    let tokenizer = Tokenizer::new(Vocab::from_gguf(model.file())?)?;
    let pool = Pool::new(system::default_threads())?;
    let options = SessionOptions { context: Some(tokens + 64), ..SessionOptions::default() };
    let mut context = Context::new(&model, &pool, &options)?;

    let (alone, one) = generate(&mut context, &tokenizer, &PROMPTS[..1], tokens)?;
    let (texts, eight) = generate(&mut context, &tokenizer, &PROMPTS, tokens)?;
    for (prompt, text) in PROMPTS.iter().zip(&texts) {
        println!("--- {prompt}{text}");
    }
    assert_eq!(alone[0], texts[0], "neighbours change nothing");
    eprintln!("1 sequence {one:.2} t/s, 8 sequences {eight:.2} t/s, {:.2} times", eight / one);
    Ok(())
}

/// What each prompt is continued with, and tokens a second of all of them, prompts aside.
fn generate(
    context: &mut Context<'_>,
    tokenizer: &Tokenizer,
    prompts: &[&str],
    tokens: usize,
) -> Result<(Vec<String>, f64), Failure> {
    let encode = EncodeOptions { add_special: true, parse_special: true };
    let mut batch = Batch::new();
    let mut ids = Vec::new();
    for prompt in prompts {
        let id = context.add()?;
        batch.push(id, &tokenizer.encode(prompt, encode), Logits::Last);
        ids.push(id);
    }
    let mut texts = vec![Vec::new(); prompts.len()];
    let mut next = Vec::new();
    let mut start = Instant::now();
    for step in 0..=tokens {
        context.forward(&batch, |id, _, logits| next.push((id, greedy(logits))))?;
        if step == 0 {
            start = Instant::now();
        }
        batch.clear();
        // A server would take out what has ended here, and put in what is new. Here all go on to the end.
        for (id, token) in next.drain(..) {
            let at = ids.iter().position(|other| *other == id).ok_or("a sequence of ours")?;
            texts[at].extend_from_slice(tokenizer.token_bytes(token));
            batch.push(id, &[token], Logits::Last);
        }
    }
    let rate = (tokens * prompts.len()) as f64 / start.elapsed().as_secs_f64();
    ids.into_iter().try_for_each(|id| context.release(id))?;
    Ok((texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(), rate))
}
