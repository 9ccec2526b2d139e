//! Shows that speculation changes no bit: `speculation FILE... [--prompts N] [--tokens N]`.
//!
//! Continues each of so many prompts (100) greedily by so many tokens (24) with each model: plainly; by prompt lookup, as long as it pays; and with four
//! tokens of lookup before every token, right or wrong. Tokens and the bits of their log-probabilities must be the same. Ends with an error at
//! the first that is not.

use std::time::{Duration, Instant};

use quintile::model::speculate::{Lookup, Speculation};
use quintile::model::{
    GenerateOptions, Generator, Model, Piece, Pool, Sampler, Session, SessionOptions, system,
};

type Failure = Box<dyn std::error::Error>;

const TASKS: [&str; 10] = [
    "Once upon a time there was",
    "The capital of France is Paris, the capital of Spain is Madrid, the capital of Italy is",
    "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\nfn sub(a: i32, b: i32) -> i32 {",
    "def greet(name):\n    print('hello', name)\n\n# The same with types:\ndef greet(name: str) -> None:",
    "1, 2, 3, 4, 5, 6, 7,",
    "Copy this sentence: the quick brown fox jumps over the lazy dog. The sentence is:",
    "{\"name\": \"Ann\", \"age\": 31}\n{\"name\": \"Bob\", \"age\": 27}\n{\"name\":",
    "A recipe for pancakes: take flour, eggs and milk,",
    "Water boils at 100 degrees because",
    "SELECT id, name FROM users WHERE id = 1;\nSELECT id, name FROM users WHERE",
];
const BEGINNINGS: [&str; 10] = [
    "",
    "# Notes\n",
    "Q: ",
    "In short: ",
    "// ",
    "1. ",
    "Dear reader,\n",
    "> ",
    "Test. ",
    "And so: ",
];

fn main() -> Result<(), Failure> {
    let (mut files, mut prompts, mut tokens) = (Vec::new(), 100, 24);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--prompts" => prompts = args.next().ok_or("--prompts wants a number")?.parse()?,
            "--tokens" => tokens = args.next().ok_or("--tokens wants a number")?.parse()?,
            _ => files.push(arg),
        }
    }
    if files.is_empty() {
        return Err("usage: speculation FILE... [--prompts N] [--tokens N]".into());
    }
    let pool = Pool::new(system::default_threads())?;
    for file in files {
        let model = Model::open(&file)?;
        let mut lookups = [
            Speculation::new(Lookup::new()),
            Speculation::new(Lookup::with_least(1)).with_fixed_length(4),
        ];
        let mut times = [Duration::ZERO; 3];
        for i in 0..prompts {
            let prompt = format!("{}{}", BEGINNINGS[i / 10 % 10], TASKS[i % 10]);
            let (want, time) = continuation(&model, &pool, &prompt, tokens, None)?;
            times[0] += time;
            for (lookup, sum) in lookups.iter_mut().zip(&mut times[1..]) {
                let (got, time) = continuation(&model, &pool, &prompt, tokens, Some(lookup))?;
                *sum += time;
                if got != want {
                    return Err(
                        format!("{file}: {prompt:?} goes on as {got:?}, plainly {want:?}").into()
                    );
                }
            }
        }
        println!("{file}: {prompts} prompts, {tokens} tokens each: all bits are the same");
        for ((name, lookup), time) in
            ["as it pays", "always four"].iter().zip(&lookups).zip(&times[1..])
        {
            let stats = lookup.stats();
            println!(
                "  {name}: {} of {} drafted tokens accepted, {:.2} x plain decoding",
                stats.accepted,
                stats.drafted,
                times[0].as_secs_f64() / time.as_secs_f64()
            );
        }
    }
    Ok(())
}

/// Tokens and bits, and the time after the prompt.
type Continuation = (Vec<(u32, u64)>, Duration);

fn continuation(
    model: &Model,
    pool: &Pool,
    prompt: &str,
    tokens: usize,
    lookup: Option<&mut Speculation<Lookup>>,
) -> Result<Continuation, Failure> {
    let options = SessionOptions { context: Some(512), ..SessionOptions::default() };
    let mut session = Session::new(model, pool, &options)?;
    let tokenizer = model.tokenizer()?;
    let mut sampler = Sampler::greedy();
    let options = GenerateOptions {
        max_tokens: tokens,
        ignore_end: true,
        log_probs: Some(1),
        ..GenerateOptions::default()
    };
    let mut generator =
        quintile::model::generate(&mut session, &tokenizer, &mut sampler, prompt, options)?;
    generator.prefill(|_| {})?;
    let start = Instant::now();
    let pieces = match lookup {
        Some(lookup) => pieces(generator.speculate(lookup)),
        None => pieces(generator),
    }?;
    let bits = |piece: &Piece| piece.log_probs.as_ref().map_or(0, |p| p.chosen.to_bits());
    Ok((pieces.iter().map(|piece| (piece.token, bits(piece))).collect(), start.elapsed()))
}

fn pieces(generator: Generator<'_, '_, Sampler>) -> Result<Vec<Piece>, Failure> {
    generator.map(|piece| Ok(piece?)).collect()
}
