//! `--trace`: what each thread did when, as trace events of the JSON object format that Chrome defined.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::gguf::{self, WholeFile};
use crate::model::Model;
use crate::model::stats::Operation;
use crate::model::trace::{Activity, Event, Trace, Tracer};

use super::output::{Failure, status};
use super::setup::Loaded;
use super::stats;

/// Options of commands that can be traced.
#[derive(clap::Args)]
pub struct TraceArgs {
    /// Write what each thread did when to a file, for Perfetto's UI or chrome://tracing
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Events that the trace keeps, an equal share for each thread: its first ones; the others are only counted
    #[arg(long, value_name = "N", default_value = "2000000", requires = "trace")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    trace_events: u32,
}

impl TraceArgs {
    /// Begins the file, if one is asked for: that it cannot be written should not be found out after the work.
    pub fn create(&self) -> Result<Option<TraceFile>, Failure> {
        let Some(path) = &self.trace else { return Ok(None) };
        let file = WholeFile::create(path).map_err(Failure::of)?;
        Ok(Some(TraceFile { file, events: self.trace_events as usize }))
    }
}

/// A file without contents, yet.
pub struct TraceFile {
    file: WholeFile,
    events: usize,
}

impl TraceFile {
    /// Begins to record.
    pub fn record(self, loaded: &Loaded) -> Recording<'_> {
        let tracer = Arc::new(Tracer::new(loaded.pool.size(), self.events));
        Recording { file: self.file, model: &loaded.model, tracer, spans: Vec::new() }
    }
}

/// What is to be written.
pub struct Recording<'a> {
    file: WholeFile,
    model: &'a Model,
    tracer: Arc<Tracer>,
    /// Names and times of what the passes were for.
    spans: Vec<(String, Instant, Duration)>,
}

impl Recording<'_> {
    /// Who is to be told of events.
    pub fn tracer(&self) -> Arc<Tracer> {
        Arc::clone(&self.tracer)
    }

    /// Adds what passes were for, to be shown above all threads.
    pub fn span(&mut self, name: String, start: Instant, time: Duration) {
        self.spans.push((name, start, time));
    }

    /// Writes the file, and says so on stderr.
    pub fn write(mut self) -> Result<(), Failure> {
        let trace = self.tracer.take();
        let kept: usize = trace.threads.iter().map(Vec::len).sum();
        self.write_all(&trace).map_err(Failure::of)?;
        let path = self.file.path().display().to_string();
        self.file.finish().map_err(Failure::of)?;
        let dropped = match trace.dropped {
            0 => String::new(),
            n => format!(", {n} dropped: see --trace-events"),
        };
        status(format_args!("trace: {kept} events in {path}{dropped}"));
        Ok(())
    }

    fn write_all(&mut self, trace: &Trace) -> Result<(), gguf::Error> {
        let Recording { file, model, tracer, spans } = self;
        let process = std::process::id();
        // The first line of all has no comma before it.
        let name = json!({ "name": "quintile" });
        file.write(
            format!(
                "{{\"traceEvents\":[\n{{\"ph\":\"M\",\"pid\":{process},\"tid\":1,\"name\":\"process_name\",\"args\":{name}}}"
            )
            .as_bytes(),
        )?;
        let mut lines = Lines { file, line: String::new(), process };
        let tests = trace.threads.len() + 1;
        for thread in 1..tests {
            // Those of the pool are called what the system calls them.
            let name = match thread - 1 {
                0 => "caller".to_owned(),
                number => format!("quintile-{number}"),
            };
            lines.thread(thread, &name, thread)?;
        }
        if !spans.is_empty() {
            lines.thread(tests, "tests", 0)?;
        }
        for (name, start, time) in spans {
            let start = start.saturating_duration_since(tracer.start());
            let times = [start, *time].map(|time| time.as_nanos() as u64);
            lines.event(tests, times, "test", &quoted(name), format_args!(""))?;
        }
        let words = Words::of(model);
        for (thread, events) in (1..).zip(&trace.threads) {
            for event in events {
                words.write(event, thread, &mut lines)?;
            }
        }
        let other = json!({
            "engine": concat!("quintile ", env!("CARGO_PKG_VERSION")),
            "model": model.file().path().map(|path| path.display().to_string()),
            "isa": model.kernels().isa().level().name(),
            "dropped_events": trace.dropped,
        });
        let end = format!("\n],\n\"displayTimeUnit\":\"ns\",\n\"otherData\":{other}}}\n");
        file.write(end.as_bytes())
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// Events, one a line, each behind another.
struct Lines<'a> {
    file: &'a mut WholeFile,
    line: String,
    process: u32,
}

impl Lines<'_> {
    fn write(&mut self, event: fmt::Arguments<'_>) -> Result<(), gguf::Error> {
        self.line.clear();
        // A text takes whatever it is given.
        let _ = self.line.write_fmt(event);
        self.file.write(self.line.as_bytes())
    }

    /// What a thread is called, and its place among all.
    fn thread(&mut self, thread: usize, name: &str, place: usize) -> Result<(), gguf::Error> {
        let (process, name) = (self.process, quoted(name));
        for (what, args) in [
            ("thread_name", format!("\"name\":{name}")),
            ("thread_sort_index", format!("\"sort_index\":{place}")),
        ] {
            self.write(format_args!(
                ",\n{{\"ph\":\"M\",\"pid\":{process},\"tid\":{thread},\"name\":\"{what}\",\"args\":{{{args}}}}}"
            ))?;
        }
        Ok(())
    }

    /// A stretch of a thread's time: its beginning and its length in nanoseconds, which are written as microseconds.
    fn event(
        &mut self,
        thread: usize,
        [start, time]: [u64; 2],
        category: &str,
        name: &str,
        args: fmt::Arguments<'_>,
    ) -> Result<(), gguf::Error> {
        let process = self.process;
        self.write(format_args!(
            ",\n{{\"ph\":\"X\",\"pid\":{process},\"tid\":{thread},\"ts\":{}.{:03},\"dur\":{}.{:03},\
             \"cat\":\"{category}\",\"name\":{name},\"args\":{{{args}}}}}",
            start / 1000,
            start % 1000,
            time / 1000,
            time % 1000,
        ))
    }
}

/// The words of events, as JSON.
struct Words {
    operations: Vec<(Operation, String)>,
    tensors: Vec<String>,
}

impl Words {
    fn of(model: &Model) -> Words {
        let tensors = model.file().tensors().iter().map(|tensor| quoted(&tensor.name)).collect();
        let operations = Operation::all().map(|o| (o, quoted(&stats::name(o)))).collect();
        Words { operations, tensors }
    }

    fn write(
        &self,
        event: &Event,
        thread: usize,
        lines: &mut Lines<'_>,
    ) -> Result<(), gguf::Error> {
        let Event { start_ns, duration_ns, activity } = *event;
        let mut event = |category, name, args: fmt::Arguments<'_>| {
            lines.event(thread, [start_ns, duration_ns], category, name, args)
        };
        match activity {
            Activity::Pass { tokens, position } => {
                let name = if tokens == 1 { "\"decode\"" } else { "\"prefill\"" };
                let args = format_args!("\"tokens\":{tokens},\"position\":{position}");
                event("pass", name, args)
            }
            Activity::Logits { tokens } => {
                event("pass", "\"logits\"", format_args!("\"tokens\":{tokens}"))
            }
            Activity::Barrier { number } => {
                event("barrier", "\"barrier\"", format_args!("\"loop\":{number}"))
            }
            Activity::Operation { operation, layer, tensor } => {
                let known = self.operations.iter().find(|(known, _)| *known == operation);
                let name = known.map_or("\"\"", |(_, name)| name);
                let tensor = tensor.and_then(|tensor| self.tensors.get(tensor as usize));
                match (layer, tensor) {
                    (Some(layer), Some(tensor)) => event(
                        "operation",
                        name,
                        format_args!("\"layer\":{layer},\"tensor\":{tensor}"),
                    ),
                    (Some(layer), None) => {
                        event("operation", name, format_args!("\"layer\":{layer}"))
                    }
                    (None, Some(tensor)) => {
                        event("operation", name, format_args!("\"tensor\":{tensor}"))
                    }
                    (None, None) => event("operation", name, format_args!("")),
                }
            }
        }
    }
}
