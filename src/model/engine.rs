//! The forward pass, over any sequences, and its scratch memory.
//!
//! Every step is a parallel loop over rows of output or over tokens; none divides a sum. So the bits
//! depend neither on the threads nor on how tokens were batched.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use super::columns::{Columns, quantize};
use super::divide::Chunks;
use super::layer::{Buffers, Pass, Pending, Segment};
use super::sequence::Sequence;
use super::session::SessionOptions;
use super::stats::{Clock, Operation, Stats, Timer};
use super::stop::Stop;
use super::trace::{Activity, Tracer};
use super::{Error, Model, Pool};
use crate::isa::DefaultEnvironment;

/// Rows whose logits are computed together: the vocabulary's weights are read once for all.
pub(super) const LOGIT_ROWS: usize = 32;

/// What runs passes: a model, threads, and scratch memory that grows to the largest pass seen.
pub(super) struct Engine<'m> {
    pub model: &'m Model,
    pool: &'m Pool,
    buffers: Buffers,
    logits: Vec<f32>,
    decode_threads: NonZeroUsize,
    batch_threads: NonZeroUsize,
    stats: Option<Box<Recorder>>,
    tracer: Option<Arc<Tracer>>,
    /// Whether no sequence had more than a token in the last pass: what its output counts as.
    last_was_single: bool,
    batch: usize,
    pub stop: Stop,
}

impl<'m> Engine<'m> {
    pub fn new(model: &'m Model, pool: &'m Pool, options: &SessionOptions) -> Result<Self, Error> {
        if options.batch == 0 {
            return Err(Error::Session("a batch of 0 tokens: it must be at least 1".into()));
        }
        let all = pool.size();
        Ok(Engine {
            model,
            pool,
            buffers: Buffers::default(),
            logits: Vec::new(),
            decode_threads: options.decode_threads.unwrap_or(all),
            batch_threads: options.batch_threads.unwrap_or(all),
            stats: options.stats.then(Box::default),
            tracer: None,
            last_was_single: false,
            batch: options.batch,
            stop: Stop::new(options.cancel.clone()),
        })
    }

    /// One with the same settings, and scratch memory of its own: for a text that has a row of this one's last pass for its last.
    pub fn fork(&self, last: Option<usize>) -> Self {
        let embedding = self.model.config().embedding;
        let mut buffers = Buffers::default();
        if let Some(row) = last {
            buffers.x.extend_from_slice(&self.buffers.x[row * embedding..][..embedding]);
        }
        Engine {
            buffers,
            logits: Vec::new(),
            stats: self.stats.as_ref().map(|_| Box::default()),
            tracer: self.tracer.clone(),
            stop: self.stop.fork(),
            ..*self
        }
    }

    /// Tokens of a pass, at most.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// That of the model: [`Model::fingerprint`].
    pub fn fingerprint(&self) -> u64 {
        self.pool.set_threads(self.batch_threads);
        self.model.fingerprint(self.pool)
    }

    /// The logits after some rows of the last pass, `[rows, vocab]`: at most [`LOGIT_ROWS`] of them, in the order given.
    pub fn output(&mut self, rows: &[usize]) -> &mut [f32] {
        self.compute_output(rows, false);
        &mut self.logits
    }

    /// As [`output`](Self::output).
    ///
    /// # Errors
    /// If it is stopped meanwhile.
    pub fn output_unless_stopped(&mut self, rows: &[usize]) -> Result<&mut [f32], Error> {
        self.compute_output(rows, true);
        self.stop.check()?;
        Ok(&mut self.logits)
    }

    /// Computes logits; or leaves them half done, where that may be stopped.
    fn compute_output(&mut self, rows: &[usize], may_stop: bool) {
        let _environment = DefaultEnvironment::enter();
        let (model, pool, timer) = (self.model, self.pool, timer(&self.stats, &self.tracer));
        let timer = if may_stop { timer.until(&self.stop) } else { timer };
        let (start, loops) = (timer.now(), pool.loops());
        let (config, s) = (model.config(), &mut self.buffers);
        let x = &s.x;
        s.h.resize(rows.len() * config.embedding, 0.0);
        let h =
            (Chunks::rows(&mut s.h, rows.len()), s.quantised.rows(rows.len(), &[&model.output]));
        pool.each(timer.tracer, h, |i, (h, blocks)| {
            let x = &x[rows[i] * config.embedding..][..config.embedding];
            timer.time(Operation::Norm, || {
                model.kernels().rms_norm(x, &model.output_norm, config.norm_epsilon, h);
            });
            timer.time(Operation::Quantise, || quantize(model.kernels(), h, blocks));
        });
        self.logits.resize(rows.len() * config.vocab, 0.0);
        let (workspaces, x, quantised) = (&s.workspaces, &s.h, &s.quantised);
        Columns { pool, model, workspaces, timer, columns: rows.len(), x, quantised }
            .multiply([(&model.output, &mut self.logits)]);
        if let Some(cap) = config.logit_soft_cap {
            /// Logits that are worth a claim.
            const CHUNK: usize = 4096;
            pool.each(timer.tracer, Chunks::of(&mut self.logits, CHUNK), |_, logits| {
                timer.time(Operation::Norm, || model.kernels().soft_cap(logits, cap));
            });
        }
        self.count(start, loops, Activity::Logits { tokens: small(rows.len()) });
    }

    /// What the last norm makes of each row of the last pass, `[embedding]`, in order.
    pub fn states(&mut self, mut each: impl FnMut(usize, &[f32])) {
        let (model, s) = (self.model, &mut self.buffers);
        let config = model.config();
        s.h.resize(s.x.len(), 0.0);
        for (i, x) in s.x.chunks(config.embedding).enumerate() {
            let state = &mut s.h[..config.embedding];
            model.kernels().rms_norm(x, &model.output_norm, config.norm_epsilon, state);
            each(i, state);
        }
    }

    /// Takes tokens of some sequences through all layers, to which the segments divide them. Their keys and values are in the
    /// caches then, behind what the sequences count, and the residual stream is left in the buffers.
    ///
    /// # Errors
    /// If it is stopped: sequences are as they were.
    pub fn layers(
        &mut self,
        sequences: &mut [Sequence],
        tokens: &[u32],
        segments: &[Segment],
    ) -> Result<(), Error> {
        let _environment = DefaultEnvironment::enter();
        let threads = if tokens.len() == 1 { self.decode_threads } else { self.batch_threads };
        self.pool.set_threads(threads);
        let (model, pool, timer) = (self.model, self.pool, timer(&self.stats, &self.tracer));
        let timer = timer.until(&self.stop);
        let (start, loops) = (timer.now(), pool.loops());
        let s = &mut self.buffers;
        s.workspaces.reserve(pool.active(), tokens.len());
        s.positions.clear();
        let positions = segments.iter().flat_map(|s| (s.position..).take(s.rows.len()));
        s.positions.extend(positions);
        let pass = Pass { model, pool, timer, tokens: tokens.len(), segments };
        pass.embed(tokens, &mut s.x);
        // Contexts of one engine's sequences are alike.
        let frequencies = model.frequencies(sequences[segments[0].sequence].context());
        for (frequencies, angles) in frequencies.into_iter().zip(&mut s.angles) {
            pass.rope_angles(frequencies, &s.positions, angles);
        }
        let mut pending = Pending::Nothing;
        for (i, layer) in model.layers.iter().enumerate() {
            self.stop.check()?;
            pending = pass.layer(s, sequences, (i, layer), pending);
        }
        pass.advance(s, pending, None, &[]);
        self.stop.check()?;
        self.last_was_single = segments.iter().all(|segment| segment.rows.len() == 1);
        let (tokens, position) = (small(tokens.len()), small(segments[0].position));
        self.count(start, loops, Activity::Pass { tokens, position });
        Ok(())
    }

    /// Adds to the stats what was done since `start`: of tokens that went through the layers, or of the output
    /// after them.
    fn count(&mut self, start: Option<Instant>, loops: u64, activity: Activity) {
        let Some(start) = start else { return };
        let end = Instant::now();
        if let Some(tracer) = &self.tracer {
            tracer.record(start, end, activity);
        }
        let Some(recorder) = &mut self.stats else { return };
        let Recorder { clock, stats } = &mut **recorder;
        let passes = if self.last_was_single { &mut stats.decode } else { &mut stats.prefill };
        let wall = end - start;
        if let Activity::Pass { tokens, .. } = activity {
            passes.passes += 1;
            passes.tokens += u64::from(tokens);
        }
        passes.wall += wall;
        passes.threads_wall += wall * u32::try_from(self.pool.active()).unwrap_or(u32::MAX);
        passes.barriers += u64::from((self.pool.loops() as u32).wrapping_sub(loops as u32));
        clock.take(passes);
    }

    pub fn stats(&self) -> Option<&Stats> {
        self.stats.as_ref().map(|recorder| &recorder.stats)
    }

    pub fn reset_stats(&mut self) {
        if let Some(recorder) = &mut self.stats {
            **recorder = Recorder::default();
        }
    }

    pub fn set_tracer(&mut self, tracer: Option<Arc<Tracer>>) {
        self.tracer = tracer;
    }
}

#[derive(Default)]
struct Recorder {
    clock: Clock,
    stats: Stats,
}

fn timer<'a>(stats: &'a Option<Box<Recorder>>, tracer: &'a Option<Arc<Tracer>>) -> Timer<'a> {
    Timer::new(stats.as_ref().map(|recorder| &recorder.clock), tracer.as_deref())
}

/// A number of tokens, of which no context has more.
fn small(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
