//! `quintile run`: continues a prompt.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::model::sampler::LogProbs;
use crate::model::speculate::{Draft, DraftModel, Lookup, Speculation};
use crate::model::tokenizer::Tokenizer;
use crate::model::{Error, Finish, GenerateOptions, Generator, Model, Session, system};

use super::output::{self, Failure, bytes, progress, rate, status, write};
use super::prompt::PromptArgs;
use super::sampling::{Chooser, FormArgs, SamplingArgs};
use super::session::SessionArgs;
use super::setup::{Loaded, ModelArgs};
use super::stats;
use super::trace::TraceArgs;

/// Options of `run`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  quintile run -m model.gguf -p 'Once upon a time'
  quintile run -m model.gguf -p 'fn main() {' --temp 0 -n 64 --stop '}'
  cat prompt.txt | quintile run -m model.gguf -p - --json > answer.json
  quintile run -m model.gguf -f edit.txt --lookup --stats
  quintile run -m model.gguf -p 'Once upon a time' -n 16 --trace trace.json
  quintile run -m model.gguf --chat --system 'Be brief.' -p 'Why is the sky blue?'
  quintile run -m model.gguf --messages conversation.json --json-schema answer.schema.json
  quintile run -m model.gguf -f notes.txt --session notes.session

Without --chat or --messages no chat template is applied. The prompt is not repeated. The same seed gives the same text on every
CPU and with any number of threads.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Tokens to generate at most
    #[arg(short, long, value_name = "N", default_value_t = 128)]
    n_predict: usize,
    /// Positions to make room for [default: the smaller of 4096 and the model's]
    #[arg(short, long, value_name = "N")]
    context: Option<NonZeroUsize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    form: FormArgs,
    /// End before this text; may be given several times
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Go on after an end-of-text token
    #[arg(long)]
    ignore_eos: bool,
    /// Guess that the text goes on as it did at an earlier place, and verify several tokens at once: the same text, faster where
    /// it repeats itself
    #[arg(long)]
    lookup: bool,
    /// Have a smaller model with the same vocabulary guess, likewise
    #[arg(long, value_name = "FILE", conflicts_with = "lookup")]
    draft: Option<PathBuf>,
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

/// The name of a reason in the JSON object.
fn stop_name(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(Finish::End) => "eos",
        Some(Finish::Length) => "length",
        Some(Finish::StopString) => "stop",
        Some(Finish::ContextFull) => "context",
        _ => "interrupt",
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let prompt = args.prompt.read()?;
    if args.stop.iter().any(String::is_empty) {
        return Err(Failure::Usage("--stop wants a text that is not empty".into()));
    }
    if args.ignore_eos && !args.form.is_free() {
        return Err(Failure::Usage(
            "--ignore-eos goes on after the end, and output of a given form ends there: give one of both".into(),
        ));
    }
    let (sampler, seed) = args.sampling.sampler()?;
    let trace = args.trace.create()?;
    let mut loaded = args.model.load(args.context)?;
    loaded.session.stats = args.stats;
    let tokenizer = loaded.tokenizer()?;
    let prompt = args.prompt.tokens(&prompt, &loaded, &tokenizer)?;
    let mut chooser = Chooser::new(sampler, &args.form, &tokenizer)?;
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
    // A context that the prompt fills has room for one token more, which is not computed.
    chooser.begin(args.n_predict.min(session.context() - prompt.len() + 1))?;
    status(format_args!(
        "context {} ({} cache), prompt {} tokens, seed {seed}",
        session.context(),
        bytes(session.cache_bytes() as u64),
        prompt.len()
    ));

    let reused = args.session.load(&mut session, &prompt)?;
    let draft =
        args.draft.as_deref().map(|path| args.model.load_beside(&loaded, path)).transpose()?;
    let mut speculation = speculation(args, &loaded, draft.as_ref(), &tokenizer)?;
    let start = Instant::now();
    let options = GenerateOptions {
        max_tokens: args.n_predict,
        stop: args.stop.clone(),
        ignore_end: args.ignore_eos,
        log_probs: args.json.then_some(5),
    };
    let mut generator =
        Generator::new(&mut session, &tokenizer, &mut chooser, prompt.clone(), options)?;
    if let Some(speculation) = &mut speculation {
        generator = generator.speculate(&mut **speculation);
    }
    let prefilled = prefill(&mut generator)?;
    let prefill_time = start.elapsed();
    let mut answer = Answer::new(&tokenizer, args.json);
    if prefilled {
        answer.write(&mut generator)?;
    }
    let finish = generator.finish();
    drop(generator);
    if !args.json && std::io::stdout().is_terminal() {
        write(b"\n")?;
    }
    let decode_time = start.elapsed().saturating_sub(prefill_time);
    args.session.save(&session)?;

    let generated = answer.tokens;
    // The first token comes out of the prefill: decoding computed one fewer.
    let computed = prompt.len() - reused;
    let prefill_rate = rate(computed, prefill_time);
    let decode_rate = rate(generated.saturating_sub(1), decode_time);
    let first = prefill_time + answer.first_token.unwrap_or_default();
    if finish == Some(Finish::ContextFull) {
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
    let speculation = speculation.map(|speculation| speculation.stats());
    if let Some(speculated) = speculation.as_ref().filter(|_| args.stats) {
        stats::report_speculation(speculated);
    }
    if let Some(recording) = recording {
        recording.write()?;
    }
    if args.json {
        let mut record = json!({
            "prompt_tokens": prompt,
            "text": answer.text,
            "tokens": answer.described,
            "stop": stop_name(finish),
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
        });
        if let Some(speculated) = &speculation {
            record["speculation"] = stats::record_speculation(speculated);
        }
        output::json(&record)?;
    }
    chooser.check()?;
    match finish {
        Some(Finish::End | Finish::Length | Finish::ContextFull) if !chooser.is_complete() => {
            Err(Failure::Failed("the output is cut off: it is not of the form asked for".into()))
        }
        finish if stop_name(finish) == "interrupt" => Err(Failure::Interrupted),
        _ => Ok(()),
    }
}

/// The speculation that is asked for.
fn speculation<'m>(
    args: &Args,
    loaded: &'m Loaded,
    draft: Option<&'m Model>,
    tokenizer: &Tokenizer,
) -> Result<Option<Box<Speculation<dyn Draft + 'm>>>, Failure> {
    let Some((path, draft)) = args.draft.as_deref().zip(draft) else {
        return Ok(args.lookup.then(|| Box::new(Speculation::new(Lookup::new())) as _));
    };
    let session = Session::new(draft, &loaded.pool, &loaded.session)?;
    let of_draft = draft.tokenizer()?;
    let draft = DraftModel::new(session, tokenizer, &of_draft)
        .map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
    Ok(Some(Box::new(Speculation::new(draft))))
}

/// Computes the prompt; false if it was interrupted.
fn prefill(generator: &mut Generator<'_, '_, Chooser>) -> Result<bool, Failure> {
    let bar = progress(generator.tokens().len() as u64, "prompt");
    match generator.prefill(|tokens| bar.inc(tokens as u64)) {
        Err(Error::Cancelled) => return Ok(false),
        other => other?,
    }
    bar.finish_and_clear();
    Ok(true)
}

/// The continuation so far.
struct Answer<'a> {
    tokenizer: &'a Tokenizer,
    json: bool,
    /// What was shown.
    text: String,
    tokens: usize,
    described: Vec<Json>,
    /// From the prompt's end.
    first_token: Option<Duration>,
}

impl<'a> Answer<'a> {
    fn new(tokenizer: &'a Tokenizer, json: bool) -> Self {
        let (text, described) = (String::new(), Vec::new());
        Answer { tokenizer, json, text, tokens: 0, described, first_token: None }
    }

    /// Shows what is generated, up to the end.
    fn write(&mut self, generator: &mut Generator<'_, '_, Chooser>) -> Result<(), Failure> {
        let start = Instant::now();
        for piece in &mut *generator {
            let piece = piece?;
            self.first_token.get_or_insert_with(|| start.elapsed());
            self.tokens += 1;
            if let Some(probs) = &piece.log_probs {
                self.described.push(self.describe(piece.token, probs));
            }
            self.show(&piece.text)?;
        }
        self.show(&generator.take_held())
    }

    fn show(&mut self, text: &str) -> Result<(), Failure> {
        self.text += text;
        if self.json || text.is_empty() { Ok(()) } else { write(text.as_bytes()) }
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
