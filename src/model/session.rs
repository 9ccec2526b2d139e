//! One text in progress.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use twox_hash::XxHash64;

use super::cache::AnyCache;
use super::engine::{Engine, LOGIT_ROWS};
use super::layer::Segment;
use super::sequence::Sequence;
use super::stats::Stats;
use super::trace::Tracer;
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
    /// When this is set, from any thread, a computation ends with [`Error::Cancelled`] as soon as every thread has done the piece of
    /// work at hand, a few milliseconds of one matrix product or of attention; the batch at hand is forgotten.
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

/// A text in progress: what its tokens left in the cache, and scratch memory.
///
/// Several texts that are to be computed together are a [`Context`](super::Context).
pub struct Session<'m> {
    engine: Engine<'m>,
    sequence: Sequence,
    /// The row of the engine's last pass that holds the last token.
    last: Option<usize>,
}

impl<'m> Session<'m> {
    /// Makes room for the cache, after checking that the memory is there.
    pub fn new(model: &'m Model, pool: &'m Pool, options: &SessionOptions) -> Result<Self, Error> {
        let engine = Engine::new(model, pool, options)?;
        let sequence = Sequence::new(model.config(), options.context, options.cache)?;
        Ok(Session { engine, sequence, last: None })
    }

    /// A session that goes on from the same text, apart from this one: either has the bits that it would have
    /// alone. [`logits`](Self::logits) are there at once, if this session's are.
    ///
    /// What the filled positions left in the cache is copied: of a model with 28 layers and two heads of 128 keys and values each,
    /// as f16, 28 KiB a position, and so about 5 ms for a thousand. The rest of the context takes no memory until it is filled.
    ///
    /// # Errors
    /// If the memory is not there.
    pub fn fork(&self) -> Result<Self, Error> {
        let mut sequence = Sequence::new(
            self.engine.model.config(),
            Some(self.sequence.context()),
            self.sequence.cache.cache_type(),
        )?;
        sequence.copy(&self.sequence);
        let engine = self.engine.fork(self.last);
        Ok(Session { engine, sequence, last: self.last.map(|_| 0) })
    }

    /// The model that reads the text.
    pub fn model(&self) -> &'m Model {
        self.engine.model
    }

    /// Tokens that pass through the layers together, at most.
    pub fn batch(&self) -> usize {
        self.engine.batch()
    }

    /// Whether [`logits`](Self::logits) has a token to give them after: one was appended since the session was made or truncated.
    pub fn has_logits(&self) -> bool {
        self.last.is_some()
    }

    /// From now on, [`forward`](Self::forward) ends at this time with [`Error::Deadline`], as it ends when it is cancelled; or whenever
    /// it is done.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.engine.stop.deadline = deadline;
    }

    /// # Errors
    /// If the session is cancelled, or its deadline has passed: what [`forward`](Self::forward) would answer.
    pub fn check(&self) -> Result<(), Error> {
        self.engine.stop.begin();
        self.engine.stop.check()
    }

    /// Positions that the cache has room for.
    pub fn context(&self) -> usize {
        self.sequence.context()
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.sequence.position()
    }

    /// The text so far: a token for each filled position.
    pub fn tokens(&self) -> &[u32] {
        self.sequence.tokens()
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        self.sequence.cache_bytes()
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.position() {
            self.sequence.truncate(positions);
            self.last = None;
        }
    }

    /// Forgets whatever does not begin a text of these tokens, and returns how many of them are left to be its beginning: all but
    /// one at most, since the [logits](Self::logits) after the last take computing it. Append the others.
    pub fn reuse(&mut self, tokens: &[u32]) -> usize {
        let same = self.tokens().iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let kept = same.min(tokens.len().saturating_sub(1));
        self.truncate(kept);
        kept
    }

    /// Appends tokens to the text.
    ///
    /// # Errors
    /// If they do not fit the context, or one is outside the vocabulary; nothing is changed then. If the session is cancelled or its
    /// deadline passes: then the batches that were done stay, and the one at hand is forgotten.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<(), Error> {
        self.forward_each(tokens, 0..0, |_, _| {})
    }

    /// Appends tokens to the text, and calls `each` with the logits after every token whose index in
    /// `tokens` lies in `rows`, in order.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and if the session is cancelled or its deadline passes: then the batches that were done stay, and
    /// the one at hand is forgotten.
    pub fn forward_each(
        &mut self,
        tokens: &[u32],
        rows: Range<usize>,
        mut each: impl FnMut(usize, &mut [f32]),
    ) -> Result<(), Error> {
        let vocab = self.engine.model.config().vocab;
        self.append(tokens, |engine, batch| {
            let wanted = rows.start.max(batch.start)..rows.end.min(batch.end);
            for start in wanted.clone().step_by(LOGIT_ROWS) {
                let count = LOGIT_ROWS.min(wanted.end - start);
                let wanted: [usize; LOGIT_ROWS] = std::array::from_fn(|i| start - batch.start + i);
                let logits = engine.output_unless_stopped(&wanted[..count])?;
                for (i, logits) in logits.chunks_mut(vocab).enumerate() {
                    each(start + i, logits);
                }
            }
            Ok(())
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
        self.append(tokens, |engine, batch| {
            let start = batch.start;
            engine.states(|i, state| each(start + i, state));
            Ok(())
        })
    }

    /// Takes tokens through the layers, and calls `after` with the range of each batch.
    fn append(
        &mut self,
        tokens: &[u32],
        mut after: impl FnMut(&mut Engine<'_>, Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Session { engine, sequence, last } = self;
        sequence.check(engine.model, tokens)?;
        engine.stop.begin();
        let mut done = 0;
        for batch in tokens.chunks(engine.batch()) {
            *last = None;
            let segment =
                Segment { sequence: 0, position: sequence.position(), rows: 0..batch.len() };
            engine.layers(std::slice::from_mut(sequence), batch, &[segment])?;
            after(engine, done..done + batch.len())?;
            done += batch.len();
            sequence.append(batch);
            *last = Some(batch.len() - 1);
        }
        Ok(())
    }

    /// The logits after the last token, `[vocab]`.
    ///
    /// # Panics
    /// If no token was appended since the session was made or truncated.
    pub fn logits(&mut self) -> &mut [f32] {
        let last = self.last.expect("logits: no token was appended");
        self.engine.output(&[last])
    }

    pub(super) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// Tokens of the vocabulary.
    pub(super) fn vocab(&self) -> usize {
        self.engine.model.config().vocab
    }

    /// That of the model; in a context that rotates otherwise, another.
    pub(super) fn fingerprint(&self) -> u64 {
        let fingerprint = self.engine.fingerprint();
        match self.engine.model.long_frequencies(self.context()) {
            Some(long) => fingerprint ^ XxHash64::oneshot(0, format!("{long:?}").as_bytes()),
            None => fingerprint,
        }
    }

    /// Becomes a text whose cache is read from somewhere: as much of it as there is room for.
    pub(super) fn restore(
        &mut self,
        tokens: impl Iterator<Item = u32>,
        read: impl FnOnce(&mut AnyCache, usize),
    ) {
        self.last = None;
        self.sequence.restore(tokens);
        let positions = self.sequence.position();
        read(&mut self.sequence.cache, positions);
    }

    /// What the time went to so far, if the options asked for it.
    pub fn stats(&self) -> Option<&Stats> {
        self.engine.stats()
    }

    /// Begins the stats anew.
    pub fn reset_stats(&mut self) {
        self.engine.reset_stats();
    }

    /// From now on, tells a tracer what threads do, or nobody: [`trace`](super::trace).
    pub fn set_tracer(&mut self, tracer: Option<Arc<Tracer>>) {
        self.engine.set_tracer(tracer);
    }
}
