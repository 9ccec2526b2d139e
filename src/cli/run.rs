//! `quintile run`: continues a prompt.

use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::model::sampler::{LogProbs, Sampler, SamplerOptions, log_probs};
use crate::model::tokenizer::{EncodeOptions, Tokenizer, Utf8Stream};
use crate::model::{Error, Session, system};

use super::output::{self, Failure, bytes, progress, rate, status, write};
use super::session::SessionArgs;
use super::setup::{Loaded, ModelArgs, TextArgs};
use super::stats;
use super::trace::TraceArgs;

/// Options of `run`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  quintile run -m model.gguf -p 'Once upon a time'
  quintile run -m model.gguf -p 'fn main() {' --temp 0 -n 64 --stop '}'
  cat prompt.txt | quintile run -m model.gguf -p - --json > answer.json
  quintile run -m model.gguf -p 'Once upon a time' -n 16 --trace trace.json
  quintile run -m model.gguf -f notes.txt --session notes.session

No chat template is applied, and the prompt is not repeated. The same seed gives the same text on every
CPU and with any number of threads.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: TextArgs,
    /// Tokens to generate at most
    #[arg(short, long, value_name = "N", default_value_t = 128)]
    n_predict: usize,
    /// Positions to make room for [default: the smaller of 4096 and the model's]
    #[arg(short, long, value_name = "N")]
    context: Option<NonZeroUsize>,
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    temp: f32,
    /// Draw from this many of the most likely tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Draw from the most likely tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 0.95)]
    top_p: f32,
    /// Draw from tokens at least this many times as likely as the most likely
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    min_p: f32,
    /// Makes recent tokens less likely; 1 for none
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repeat_penalty: f32,
    /// Seed of the draws [default: a new one each time, shown on stderr]
    #[arg(short, long, value_name = "S")]
    seed: Option<u64>,
    /// End before this text; may be given several times
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Go on after an end-of-text token
    #[arg(long)]
    ignore_eos: bool,
    /// Print one JSON object at the end: tokens, text, log-probabilities, timings
    #[arg(long)]
    json: bool,
    /// Tell on stderr what the time went to (and in the JSON object)
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

/// Why generation ended.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Eos,
    Length,
    String,
    Context,
    Interrupt,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Stop::Eos => "eos",
            Stop::Length => "length",
            Stop::String => "stop",
            Stop::Context => "context",
            Stop::Interrupt => "interrupt",
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let text = args.prompt.read()?;
    if args.stop.iter().any(String::is_empty) {
        return Err(Failure::Usage("--stop wants a text that is not empty".into()));
    }
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    let mut sampler = Sampler::new(SamplerOptions {
        temperature: args.temp,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repeat_penalty: args.repeat_penalty,
        seed,
        ..SamplerOptions::default()
    })
    .map_err(|e| Failure::Usage(e.to_string()))?;
    let trace = args.trace.create()?;
    let mut loaded = args.model.load(args.context)?;
    loaded.session.stats = args.stats;
    let tokenizer = loaded.tokenizer()?;
    let prompt = tokenizer.encode(&text, EncodeOptions { add_special: true, parse_special: true });
    if prompt.is_empty() {
        return Err(Failure::Failed(
            "the prompt is empty, and this model starts no text by itself: give a prompt".into(),
        ));
    }
    let mut session = loaded.session()?;
    let recording = trace.map(|file| file.record(&loaded));
    session.set_tracer(recording.as_ref().map(|recording| recording.tracer()));
    if prompt.len() > session.context() {
        return Err(Failure::Failed(format!(
            "the prompt has {} tokens and the context room for {}: give a larger -c",
            prompt.len(),
            session.context()
        )));
    }
    status(format_args!(
        "context {} ({} cache), prompt {} tokens, seed {seed}",
        session.context(),
        bytes(session.cache_bytes() as u64),
        prompt.len()
    ));

    let reused = args.session.load(&mut session, &prompt)?;
    let start = Instant::now();
    let prefilled = prefill(&mut session, &prompt[reused..], loaded.session.batch)?;
    let prefill_time = start.elapsed();
    let mut generation = Generation::new(args, &loaded, &tokenizer, prompt.clone());
    let stop =
        if prefilled { generation.run(&mut session, &mut sampler)? } else { Stop::Interrupt };
    if !args.json && std::io::stdout().is_terminal() {
        write(b"\n")?;
    }
    let decode_time = start.elapsed().saturating_sub(prefill_time);
    args.session.save(&session)?;

    let generated = generation.history.len() - prompt.len();
    // The first token comes out of the prefill: decoding computed one fewer.
    let computed = prompt.len() - reused;
    let prefill_rate = rate(computed, prefill_time);
    let decode_rate = rate(generated.saturating_sub(1), decode_time);
    let first = prefill_time + generation.first_token.unwrap_or_default();
    if stop == Stop::Context {
        let context = session.context();
        status(format_args!("the context of {context} is full: generation ends; see -c"));
    }
    status(format_args!(
        "load {:.3} s, first token {:.3} s, prefill {computed} tokens {prefill_rate:.2} t/s, decode {generated} \
         tokens {decode_rate:.2} t/s, peak memory {}",
        loaded.load_time.as_secs_f64(),
        first.as_secs_f64(),
        system::peak_memory().map_or_else(|| "unknown".into(), bytes),
    ));
    if let Some(stats) = session.stats() {
        stats::report(stats);
    }
    if let Some(recording) = recording {
        recording.write()?;
    }
    if args.json {
        output::json(&json!({
            "prompt_tokens": prompt,
            "text": generation.text,
            "tokens": generation.tokens,
            "stop": stop.name(),
            "seed": seed,
            "model": args.model.model.display().to_string(),
            "isa": loaded.model.kernels().isa().level().name(),
            "threads": loaded.threads[0],
            "threads_batch": loaded.threads[1],
            "timings": {
                "load_s": loaded.load_time.as_secs_f64(),
                "ttft_s": first.as_secs_f64(),
                "prefill_tokens": computed,
                "prefill_ts": prefill_rate,
                "decode_tokens": generated,
                "decode_ts": decode_rate,
                "peak_memory_bytes": system::peak_memory(),
            },
            "stats": session.stats().map(stats::record),
        }))?;
    }
    if stop == Stop::Interrupt { Err(Failure::Interrupted) } else { Ok(()) }
}

/// Computes the prompt; false if it was interrupted.
fn prefill(session: &mut Session<'_>, prompt: &[u32], batch: usize) -> Result<bool, Failure> {
    let bar = progress(prompt.len() as u64, "prompt");
    for tokens in prompt.chunks(batch) {
        match session.forward(tokens) {
            Err(Error::Cancelled) => return Ok(false),
            other => other?,
        }
        bar.inc(tokens.len() as u64);
    }
    bar.finish_and_clear();
    Ok(true)
}

/// The continuation so far.
struct Generation<'a> {
    args: &'a Args,
    loaded: &'a Loaded,
    tokenizer: &'a Tokenizer,
    /// The prompt's tokens, then those that were generated.
    history: Vec<u32>,
    stream: Utf8Stream,
    stops: StopStrings<'a>,
    /// What was shown.
    text: String,
    tokens: Vec<Json>,
    scratch: Vec<f32>,
    first_token: Option<Duration>,
}

impl<'a> Generation<'a> {
    fn new(args: &'a Args, loaded: &'a Loaded, tokenizer: &'a Tokenizer, prompt: Vec<u32>) -> Self {
        Generation {
            args,
            loaded,
            tokenizer,
            history: prompt,
            stream: Utf8Stream::default(),
            stops: StopStrings { stops: &args.stop, held: String::new() },
            text: String::new(),
            tokens: Vec::new(),
            scratch: Vec::new(),
            first_token: None,
        }
    }

    fn run(&mut self, session: &mut Session<'_>, sampler: &mut Sampler) -> Result<Stop, Failure> {
        let start = Instant::now();
        let mut left = self.args.n_predict;
        let stop = loop {
            if left == 0 {
                break Stop::Length;
            }
            if self.loaded.interrupted() {
                break Stop::Interrupt;
            }
            let logits = session.logits();
            let kernels = self.loaded.model.kernels();
            // The sampler may change the logits: what is reported comes first.
            let unchanged = self.args.json.then(|| logits.to_vec());
            let token = sampler.sample(kernels, logits, &self.history);
            self.first_token.get_or_insert_with(|| start.elapsed());
            if let Some(logits) = unchanged {
                let probs = log_probs(kernels, &logits, &mut self.scratch, token, 5);
                self.tokens.push(self.describe(token, &probs));
            }
            self.history.push(token);
            left -= 1;
            if self.tokenizer.is_end_of_generation(token) && !self.args.ignore_eos {
                break Stop::Eos;
            }
            if !self.tokenizer.is_control(token) {
                let text = self.stream.push(self.tokenizer.token_bytes(token));
                let (text, stopped) = self.stops.push(&text);
                self.show(&text)?;
                if stopped {
                    return Ok(Stop::String);
                }
            }
            if left > 0 {
                if session.position() == session.context() {
                    break Stop::Context;
                }
                match session.forward(&[token]) {
                    Err(Error::Cancelled) => break Stop::Interrupt,
                    other => other?,
                }
            }
        };
        let (mut rest, stopped) = self.stops.push(&self.stream.flush());
        if !stopped {
            rest += &std::mem::take(&mut self.stops.held);
        }
        self.show(&rest)?;
        Ok(stop)
    }

    fn show(&mut self, text: &str) -> Result<(), Failure> {
        self.text += text;
        if self.args.json || text.is_empty() { Ok(()) } else { write(text.as_bytes()) }
    }

    fn describe(&self, token: u32, probs: &LogProbs) -> Json {
        let text = |id: u32| String::from_utf8_lossy(self.tokenizer.token_bytes(id)).into_owned();
        let alternative =
            |&(id, p): &(u32, f64)| json!({ "id": id, "text": text(id), "logprob": p });
        json!({
            "id": token,
            "text": text(token),
            "logprob": probs.chosen,
            "top": probs.top.iter().map(alternative).collect::<Vec<_>>(),
        })
    }
}

/// Finds stop strings in text that comes in pieces; holds back what may be the start of one.
struct StopStrings<'a> {
    stops: &'a [String],
    held: String,
}

impl StopStrings<'_> {
    /// Takes the next piece; returns the text that may be shown, and whether a stop string was found
    /// after it.
    fn push(&mut self, text: &str) -> (String, bool) {
        self.held += text;
        if let Some(at) = self.stops.iter().filter_map(|s| self.held.find(s.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let may_start = |at: usize| self.stops.iter().any(|s| s.starts_with(&self.held[at..]));
        let keep = self.held.char_indices().map(|(at, _)| at).find(|&at| may_start(at));
        let rest = self.held.split_off(keep.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, rest), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_is_found_across_pieces_and_never_shown() {
        let stops = ["END".to_owned(), "\n\n".to_owned()];
        let mut found = StopStrings { stops: &stops, held: String::new() };
        assert_eq!(found.push("one E"), ("one ".into(), false));
        assert_eq!(found.push("N"), (String::new(), false));
        assert_eq!(found.push("T\n"), ("ENT".into(), false));
        assert_eq!(found.push("EN"), ("\n".into(), false));
        assert_eq!(found.push("D tail"), (String::new(), true));
    }
}
