//! How near a tie it was where two quantised files of one model continue a prompt differently:
//! `near_ties SOURCE A B < TEXTS`.
//!
//! SOURCE is what both files were made of. A line of TEXTS is `{"prompt": ..., "a": ..., "b": ...}`, with the greedy
//! texts of A and of B; `scripts/compare_texts.py` has them from llama.cpp. For each line a JSON object is printed, with
//! logits at the first token that differs, `a` being the token of A and `b` that of B there:
//!
//! ```text
//! margin_a, margin_b, margin_s   A(a) - A(b), B(b) - B(a), S(a) - S(b)
//! moved_a, moved_b               |(A(a) - A(b)) - (S(a) - S(b))|, and so for B
//! noise_a, noise_b               root of the mean of ((A(i) - A(j)) - (S(i) - S(j)))², of all pairs of the ten most
//!                                likely tokens of S: how far quantising moved differences of logits
//! kl_a, kl_b                     divergence of A's and of B's prediction from S's, in nats
//! ```

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::path::Path;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::sampler::{divergence, greedy};
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};
use quintile::model::{Model, Pool, Session, SessionOptions};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

/// Tokens whose pairs give the noise.
const TOP: usize = 10;

/// How far another engine's rounding (of activations to bytes, above all) may move a difference of logits.
const ROUNDING: f32 = 1.0;

/// Tokens of a greedy text, and at how many of them the model here would have taken another: ties that rounding in
/// another engine decides.
struct Greedy {
    tokens: Vec<u32>,
    forced: usize,
}

fn main() -> Result<(), Failure> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [source, a, b] = files.as_slice() else {
        return Err("usage: near_ties SOURCE A B < TEXTS".into());
    };
    let load = |file: &str| -> Result<Model, Failure> {
        Ok(Model::load(Gguf::open(Path::new(file), &OpenOptions::default())?, Isa::detect())?)
    };
    let models = [load(source)?, load(a)?, load(b)?];
    let tokenizer = Tokenizer::new(Vocab::from_gguf(models[0].file())?)?;
    let pool = Pool::new(NonZeroUsize::new(2).expect("two"))?;
    let options = SessionOptions { context: Some(512), ..SessionOptions::default() };
    let mut sessions = [
        Session::new(&models[0], &pool, &options)?,
        Session::new(&models[1], &pool, &options)?,
        Session::new(&models[2], &pool, &options)?,
    ];
    let encode = EncodeOptions { add_special: true, parse_special: true };
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let text = |key: &str| line[key].as_str().ok_or(format!("a line without {key}"));
        let prompt = tokenizer.encode(text("prompt")?, encode);
        let [_, of_a, of_b] = &mut sessions;
        let a = tokens_of(of_a, &tokenizer, &prompt, text("a")?)?;
        let b = tokens_of(of_b, &tokenizer, &prompt, text("b")?)?;
        println!("{}", compare(&mut sessions, &tokenizer, &prompt, [&a, &b])?);
    }
    Ok(())
}

/// The tokens of a text that another engine has continued `prompt` with, by a greedy choice: at each place one that
/// spells what comes there, and whose logit is the largest but for [`ROUNDING`]. Where the text ends because the
/// model ended it, that token comes last.
fn tokens_of(
    session: &mut Session,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    text: &str,
) -> Result<Greedy, Failure> {
    let mut found = Greedy { tokens: Vec::new(), forced: 0 };
    session.truncate(0);
    session.forward(prompt)?;
    if extend(session, tokenizer, text.as_bytes(), &mut found)? {
        Ok(found)
    } else {
        Err(format!("no greedy choice of tokens makes {text:?}").into())
    }
}

/// Appends the tokens of `rest`; whether there are such. A shorter token may be a dead end.
fn extend(
    session: &mut Session,
    tokenizer: &Tokenizer,
    rest: &[u8],
    found: &mut Greedy,
) -> Result<bool, Failure> {
    let logits = session.logits();
    let best = greedy(logits);
    if rest.is_empty() {
        if tokenizer.is_end_of_generation(best) {
            found.tokens.push(best);
        }
        return Ok(true);
    }
    let fits = |&id: &u32| {
        let bytes = tokenizer.token_bytes(id);
        logits[id as usize] >= logits[best as usize] - ROUNDING
            && !tokenizer.is_control(id)
            && !bytes.is_empty()
            && rest.starts_with(bytes)
    };
    let mut tokens: Vec<u32> = (0..logits.len() as u32).filter(fits).collect();
    tokens.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
    let position = session.position();
    for token in tokens {
        found.tokens.push(token);
        found.forced += usize::from(token != best);
        session.forward(&[token])?;
        let rest = &rest[tokenizer.token_bytes(token).len()..];
        if extend(session, tokenizer, rest, found)? {
            return Ok(true);
        }
        session.truncate(position);
        found.tokens.pop();
        found.forced -= usize::from(token != best);
    }
    Ok(false)
}

fn compare(
    sessions: &mut [Session; 3],
    tokenizer: &Tokenizer,
    prompt: &[u32],
    greedy_texts: [&Greedy; 2],
) -> Result<Value, Failure> {
    let [a, b] = greedy_texts;
    let forced = [a.forced, b.forced];
    let Some(at) = a.tokens.iter().zip(&b.tokens).position(|(a, b)| a != b) else {
        return Ok(json!({ "differs": false, "forced": forced }));
    };
    let prefix: Vec<u32> = prompt.iter().chain(&a.tokens[..at]).copied().collect();
    let mut logits = Vec::new();
    for session in sessions {
        session.truncate(0);
        session.forward(&prefix)?;
        logits.push(session.logits().to_vec());
    }
    let [in_s, in_a, in_b] = &logits[..] else { unreachable!("three sessions") };
    let (a, b) = (a.tokens[at], b.tokens[at]);
    let gap = |logits: &[f32], i: u32, j: u32| {
        f64::from(logits[i as usize]) - f64::from(logits[j as usize])
    };
    let moved = |logits: &[f32], i: u32, j: u32| gap(logits, i, j) - gap(in_s, i, j);
    let mut top: Vec<u32> = (0..in_s.len() as u32).collect();
    top.sort_by(|&i, &j| in_s[j as usize].total_cmp(&in_s[i as usize]));
    top.truncate(TOP);
    let noise = |logits: &[f32]| {
        let pairs =
            top.iter().enumerate().flat_map(|(n, &i)| top[..n].iter().map(move |&j| (i, j)));
        let squares: Vec<f64> = pairs.map(|(i, j)| moved(logits, i, j).powi(2)).collect();
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    };
    let text = |id: u32| String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned();
    let rank = |id: u32| in_s.iter().filter(|&&logit| logit > in_s[id as usize]).count();
    Ok(json!({
        "differs": true,
        "forced": forced,
        "at": at,
        "token_a": text(a),
        "token_b": text(b),
        "rank_in_s": [rank(a), rank(b)],
        "margin_a": gap(in_a, a, b),
        "margin_b": gap(in_b, b, a),
        "margin_s": gap(in_s, a, b),
        "moved_a": moved(in_a, a, b).abs(),
        "moved_b": moved(in_b, a, b).abs(),
        "noise_a": noise(in_a),
        "noise_b": noise(in_b),
        "kl_a": divergence(in_s, in_a, a).nats,
        "kl_b": divergence(in_s, in_b, a).nats,
        "tokens": prefix,
    }))
}
