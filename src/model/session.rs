//! One text in progress: the forward pass.
//!
//! Every step is a parallel loop over rows of output or over tokens; none divides a sum. So the bits
//! depend neither on the threads nor on how tokens were batched.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::cache::{AnyCache, padded};
use super::columns::{Columns, quantize};
use super::divide::Chunks;
use super::layer::{Batch, Buffers, Pending};
use super::stats::{Clock, Operation, Stats, Timer};
use super::system;
use super::trace::{Activity, Tracer};
use super::{CacheType, Error, Model, Pool};

/// How a session is to be set up.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Positions to make room for; the smaller of 4096 and the model's where not given.
    pub context: Option<usize>,
    /// How keys and values are stored.
    pub cache: CacheType,
    /// Tokens that pass through the layers together, at most: more need more scratch memory.
    pub batch: usize,
    /// When this is set, from any thread, a computation ends after the layer at hand with
    /// [`Error::Cancelled`]; the batch at hand is forgotten.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Threads of the pool that decode single tokens; all where not given.
    pub decode_threads: Option<NonZeroUsize>,
    /// Threads of the pool that compute batches of more than one; all where not given.
    pub batch_threads: Option<NonZeroUsize>,
    /// Whether to take the time of every operation: [`Session::stats`].
    pub stats: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            context: None,
            cache: CacheType::F16,
            batch: 512,
            cancel: None,
            decode_threads: None,
            batch_threads: None,
            stats: false,
        }
    }
}

/// The context of a session that does not ask for one.
const DEFAULT_CONTEXT: usize = 4096;

/// A text in progress: what its tokens left in the cache, and scratch memory.
pub struct Session<'m> {
    model: &'m Model,
    pool: &'m Pool,
    cache: AnyCache,
    cache_bytes: usize,
    buffers: Buffers,
    logits: Vec<f32>,
    decode_threads: NonZeroUsize,
    batch_threads: NonZeroUsize,
    stats: Option<Box<Recorder>>,
    tracer: Option<Arc<Tracer>>,
    /// Whether the last batch was one token: what its output counts as.
    last_was_single: bool,
    context: usize,
    batch: usize,
    cancel: Option<Arc<AtomicBool>>,
    position: usize,
    /// The row of `buffers.x` that holds the last token.
    last: Option<usize>,
}

impl<'m> Session<'m> {
    /// Makes room for the cache, after checking that the memory is there.
    pub fn new(model: &'m Model, pool: &'m Pool, options: &SessionOptions) -> Result<Self, Error> {
        let config = model.config();
        let context = options.context.unwrap_or_else(|| config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || options.batch == 0 {
            return Err(Error::Session(format!(
                "a context of {context} and a batch of {} tokens: both must be at least 1",
                options.batch
            )));
        }
        let cache_bytes =
            [config.layers, config.kv_heads, config.head_dim, options.cache.bytes(), 2]
                .into_iter()
                .try_fold(padded(context.min(1 << 40)), |bytes, n| bytes.checked_mul(n))
                .filter(|&bytes| bytes <= isize::MAX as usize)
                .ok_or_else(|| {
                    Error::Session(format!("a context of {context} is beyond all memory"))
                })?;
        if let Some(available) = system::memory_available()
            && cache_bytes as u64 > available
        {
            return Err(Error::Session(format!(
                "a context of {context} needs {} MiB for keys and values, and {} MiB of memory are \
                 available: choose a smaller context",
                cache_bytes >> 20,
                available >> 20
            )));
        }
        let all = pool.size();
        Ok(Session {
            model,
            pool,
            cache: AnyCache::new(options.cache, config, context),
            cache_bytes,
            buffers: Buffers::default(),
            logits: Vec::new(),
            decode_threads: options.decode_threads.unwrap_or(all),
            batch_threads: options.batch_threads.unwrap_or(all),
            stats: options.stats.then(Box::default),
            tracer: None,
            last_was_single: false,
            context,
            batch: options.batch,
            cancel: options.cancel.clone(),
            position: 0,
            last: None,
        })
    }

    /// Positions that the cache has room for.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.position {
            self.position = positions;
            self.last = None;
        }
    }

    /// Appends tokens to the text.
    ///
    /// # Errors
    /// If they do not fit the context, or one is outside the vocabulary; nothing is changed then.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<(), Error> {
        self.forward_each(tokens, 0..0, |_, _| {})
    }

    /// Appends tokens to the text, and calls `each` with the logits after every token whose index in
    /// `tokens` lies in `rows`, in order.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and if the session is cancelled.
    pub fn forward_each(
        &mut self,
        tokens: &[u32],
        rows: Range<usize>,
        mut each: impl FnMut(usize, &mut [f32]),
    ) -> Result<(), Error> {
        /// Tokens whose logits are computed together: the vocabulary's weights are read once for all.
        const LOGIT_ROWS: usize = 32;
        let vocab = self.model.config().vocab;
        self.append(tokens, |session, batch| {
            let wanted = rows.start.max(batch.start)..rows.end.min(batch.end);
            for start in wanted.clone().step_by(LOGIT_ROWS) {
                let end = wanted.end.min(start + LOGIT_ROWS);
                let logits = session.output(start - batch.start..end - batch.start);
                for (i, logits) in logits.chunks_mut(vocab).enumerate() {
                    each(start + i, logits);
                }
            }
        })
    }

    /// Appends tokens to the text, and calls `each` with what the last norm makes of every one of them, `[embedding]`, in
    /// order: what logits are computed from, and [embeddings](super::embed).
    ///
    /// # Errors
    /// As [`forward_each`](Self::forward_each).
    pub fn forward_states(
        &mut self,
        tokens: &[u32],
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        self.append(tokens, |session, batch| {
            let (model, s) = (session.model, &mut session.buffers);
            let config = model.config();
            s.h.resize(s.x.len(), 0.0);
            for (i, x) in s.x.chunks(config.embedding).enumerate() {
                let state = &mut s.h[..config.embedding];
                model.kernels().rms_norm(x, &model.output_norm, config.norm_epsilon, state);
                each(batch.start + i, state);
            }
        })
    }

    /// Takes tokens through the layers, and calls `after` with the range of each batch.
    fn append(
        &mut self,
        tokens: &[u32],
        mut after: impl FnMut(&mut Self, Range<usize>),
    ) -> Result<(), Error> {
        let vocab = self.model.config().vocab;
        if tokens.len() > self.context - self.position {
            let (position, context) = (self.position, self.context);
            return Err(Error::ContextFull { tokens: tokens.len(), position, context });
        }
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= vocab) {
            return Err(Error::Token { token, vocab });
        }
        let mut done = 0;
        for batch in tokens.chunks(self.batch) {
            self.last = None;
            self.layers(batch)?;
            after(self, done..done + batch.len());
            done += batch.len();
            self.position += batch.len();
            self.last = Some(batch.len() - 1);
        }
        Ok(())
    }

    /// The logits after the last token, `[vocab]`.
    ///
    /// # Panics
    /// If no token was appended since the session was made or truncated.
    pub fn logits(&mut self) -> &mut [f32] {
        let last = self.last.expect("logits: no token was appended");
        self.output(last..last + 1)
    }

    /// The logits of some rows of the last batch.
    fn output(&mut self, rows: Range<usize>) -> &mut [f32] {
        let (model, pool, timer) = (self.model, self.pool, timer(&self.stats, &self.tracer));
        let (start, loops) = (timer.now(), pool.loops());
        let (config, s) = (model.config(), &mut self.buffers);
        let x = &s.x[rows.start * config.embedding..rows.end * config.embedding];
        s.h.resize(x.len(), 0.0);
        let h =
            (Chunks::rows(&mut s.h, rows.len()), s.quantised.rows(rows.len(), &[&model.output]));
        pool.each(timer.tracer, h, |row, (h, blocks)| {
            let x = &x[row * config.embedding..(row + 1) * config.embedding];
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
        &mut self.logits
    }

    /// Takes a batch of tokens through all layers; the residual stream is left in `buffers.x`.
    fn layers(&mut self, tokens: &[u32]) -> Result<(), Error> {
        let threads = if tokens.len() == 1 { self.decode_threads } else { self.batch_threads };
        self.pool.set_threads(threads);
        let (model, pool, timer) = (self.model, self.pool, timer(&self.stats, &self.tracer));
        let (start, loops) = (timer.now(), pool.loops());
        let s = &mut self.buffers;
        s.workspaces.reserve(pool.active(), tokens.len());
        let batch = Batch { model, pool, timer, tokens: tokens.len(), position: self.position };
        batch.embed(tokens, &mut s.x);
        let frequencies = model.frequencies(self.context);
        for (frequencies, angles) in frequencies.into_iter().zip(&mut s.angles) {
            batch.rope_angles(frequencies, angles);
        }
        let mut pending = Pending::Nothing;
        for (i, layer) in model.layers.iter().enumerate() {
            if self.cancel.as_ref().is_some_and(|flag| flag.load(Relaxed)) {
                return Err(Error::Cancelled);
            }
            pending = match &mut self.cache {
                AnyCache::F16(cache) => batch.layer(s, cache, (i, layer), pending),
                AnyCache::F32(cache) => batch.layer(s, cache, (i, layer), pending),
            };
        }
        batch.advance(s, pending, None, &[]);
        self.last_was_single = tokens.len() == 1;
        let (tokens, position) = (small(tokens.len()), small(self.position));
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

    /// What the time went to so far, if the options asked for it.
    pub fn stats(&self) -> Option<&Stats> {
        self.stats.as_ref().map(|recorder| &recorder.stats)
    }

    /// Begins the stats anew.
    pub fn reset_stats(&mut self) {
        if let Some(recorder) = &mut self.stats {
            **recorder = Recorder::default();
        }
    }

    /// From now on, tells a tracer what threads do, or nobody: [`trace`](super::trace).
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
