//! Several texts in progress, which are computed together.

use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Part, SequenceId};
use super::engine::{Engine, LOGIT_ROWS};
use super::layer::Segment;
use super::sequence::Sequence;
use super::session::SessionOptions;
use super::stats::Stats;
use super::trace::Tracer;
use super::{Error, Model, Pool};

/// Several texts of one model: a cache for each, and scratch memory for all.
///
/// A pass takes any tokens of any of them through the layers: prompts and single tokens, of texts of any length. Decoding is
/// bound by memory, and the weights are read once for all, so that eight texts take little more time than one. Each has the
/// bits that it has in a [`Session`](super::Session), whatever its neighbours are.
///
/// ```
/// use quintile::model::{Batch, Context, Logits, Model, Pool, SessionOptions};
/// # use quintile::{gguf::{Gguf, OpenOptions}, isa::Isa};
/// # let path = "tests/data/tiny/llama-linear.gguf";
/// # let model = Model::load(Gguf::open(path.as_ref(), &OpenOptions::default())?, Isa::detect())?;
/// # let pool = Pool::new(std::num::NonZeroUsize::MIN)?;
/// let mut context = Context::new(&model, &pool, &SessionOptions::default())?;
/// let (first, second) = (context.add()?, context.add()?);
/// let mut batch = Batch::new();
/// batch.push(first, &[1, 20, 300], Logits::Last);
/// batch.push(second, &[1, 44], Logits::Last);
/// for _ in 0..10 {
///     let mut next = Vec::new();
///     context.forward(&batch, |id, _, logits| {
///         let best = (0..logits.len()).fold(0, |b, i| if logits[i] > logits[b] { i } else { b });
///         next.push((id, best as u32));
///     })?;
///     batch.clear();
///     for (id, token) in next {
///         batch.push(id, &[token], Logits::Last);
///     }
/// }
/// assert_eq!(context.tokens(first)?.len(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Context<'m> {
    engine: Engine<'m>,
    options: SessionOptions,
    /// Those of released sequences stay, for the next to come.
    sequences: Vec<Sequence>,
    /// Whose each of them is.
    owners: Vec<Option<u64>>,
    next_number: u64,
    plan: Plan,
}

/// Of a pass: what is in it, and how far the parts of the batch are. Kept, so that passes allocate nothing.
#[derive(Default)]
struct Plan {
    tokens: Vec<u32>,
    segments: Vec<Segment>,
    /// The part that each segment is of.
    parts: Vec<usize>,
    /// Rows whose logits are wanted, and which token of which part each is.
    rows: Vec<usize>,
    wanted: Vec<(usize, usize)>,
    /// Tokens of each part that are computed.
    done: Vec<usize>,
}

impl<'m> Context<'m> {
    /// One without sequences, each of which will have the context and the cache that the options say.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn new(model: &'m Model, pool: &'m Pool, options: &SessionOptions) -> Result<Self, Error> {
        let engine = Engine::new(model, pool, options)?;
        let (sequences, owners) = (Vec::new(), Vec::new());
        let options = options.clone();
        Ok(Context { engine, options, sequences, owners, next_number: 0, plan: Plan::default() })
    }

    /// Adds a sequence without tokens; one that was released leaves its memory to it.
    ///
    /// # Errors
    /// If the memory for its cache is not there.
    pub fn add(&mut self) -> Result<SequenceId, Error> {
        let slot = match self.owners.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                let SessionOptions { context, cache, .. } = self.options;
                let config = self.engine.model.config();
                self.sequences.push(Sequence::new(config, context, cache)?);
                self.owners.push(None);
                self.owners.len() - 1
            }
        };
        let number = self.next_number;
        self.next_number += 1;
        self.owners[slot] = Some(number);
        self.sequences[slot].truncate(0);
        Ok(SequenceId { number, slot })
    }

    /// Adds a sequence that begins with the text of another, so that a prompt that several share is computed once. Its cost is that of
    /// [`Session::fork`](super::Session::fork): a copy of what is filled.
    ///
    /// # Errors
    /// If there is no such sequence, or the memory for another cache is not there.
    pub fn fork(&mut self, id: SequenceId) -> Result<SequenceId, Error> {
        let from = self.slot(id)?;
        let new = self.add()?;
        let pair = self.sequences.get_disjoint_mut([from, new.slot]);
        let [from, to] = pair.expect("a new sequence has a slot of its own");
        to.copy(from);
        Ok(new)
    }

    /// Ends a sequence. Its memory is kept for the next; nobody else has its id.
    ///
    /// # Errors
    /// If there is no such sequence.
    pub fn release(&mut self, id: SequenceId) -> Result<(), Error> {
        let slot = self.slot(id)?;
        self.owners[slot] = None;
        Ok(())
    }

    /// Forgets every position of a sequence from `positions` on.
    ///
    /// # Errors
    /// If there is no such sequence.
    pub fn truncate(&mut self, id: SequenceId, positions: usize) -> Result<(), Error> {
        let slot = self.slot(id)?;
        self.sequences[slot].truncate(positions);
        Ok(())
    }

    /// The text of a sequence: a token for each filled position.
    ///
    /// # Errors
    /// If there is no such sequence.
    pub fn tokens(&self, id: SequenceId) -> Result<&[u32], Error> {
        Ok(self.sequences[self.slot(id)?].tokens())
    }

    /// Positions that each sequence has room for; none where there has never been a sequence.
    pub fn context(&self) -> Option<usize> {
        self.sequences.first().map(Sequence::context)
    }

    /// Bytes of all caches.
    pub fn cache_bytes(&self) -> usize {
        self.sequences.iter().map(Sequence::cache_bytes).sum()
    }

    fn slot(&self, id: SequenceId) -> Result<usize, Error> {
        match self.owners.get(id.slot) {
            Some(&Some(number)) if number == id.number => Ok(id.slot),
            _ => Err(Error::NoSequence(id)),
        }
    }

    /// Appends the batch's tokens to their sequences, and calls `each` with the logits that are wanted, the sequence they are of,
    /// and the place of the token before them among those that the sequence was given. Of one sequence they come in order.
    ///
    /// As many tokens as the options say pass through the layers together; of a larger batch, first those of sequences that are
    /// given one alone, then the others as they were pushed.
    ///
    /// # Errors
    /// If a sequence is none of this context or twice in the batch, or its tokens do not fit the context or are outside
    /// the vocabulary, which is said before anything is computed; or if the computation is cancelled. No sequence is changed then:
    /// the batch may be given again, without the one that [`Error::Sequence`] names.
    pub fn forward(
        &mut self,
        batch: &Batch,
        mut each: impl FnMut(SequenceId, usize, &mut [f32]),
    ) -> Result<(), Error> {
        self.check(batch)?;
        let Context { engine, sequences, plan, .. } = self;
        engine.stop.begin();
        plan.done.clear();
        plan.done.resize(batch.parts().len(), 0);
        let vocab = engine.model.config().vocab;
        while plan.next(batch, sequences, engine.batch()) {
            if let Err(error) = engine.layers(sequences, &plan.tokens, &plan.segments) {
                for (part, &done) in batch.parts().iter().zip(&plan.done) {
                    let sequence = &mut sequences[part.id.slot];
                    sequence.truncate(sequence.position() - done);
                }
                return Err(error);
            }
            for (segment, &part) in plan.segments.iter().zip(&plan.parts) {
                sequences[segment.sequence].append(&plan.tokens[segment.rows.clone()]);
                plan.done[part] += segment.rows.len();
            }
            let wanted = plan.rows.chunks(LOGIT_ROWS).zip(plan.wanted.chunks(LOGIT_ROWS));
            for (rows, wanted) in wanted {
                let logits = engine.output(rows).chunks_mut(vocab);
                for (logits, &(part, index)) in logits.zip(wanted) {
                    each(batch.parts()[part].id, index, logits);
                }
            }
        }
        Ok(())
    }

    /// Whether the batch can be computed.
    fn check(&self, batch: &Batch) -> Result<(), Error> {
        for (i, part) in batch.parts().iter().enumerate() {
            let of_sequence = |error| Error::Sequence { sequence: part.id, error: Box::new(error) };
            let sequence = &self.sequences[self.slot(part.id)?];
            sequence.check(self.engine.model, batch.tokens(part)).map_err(of_sequence)?;
            if batch.parts()[..i].iter().any(|other| other.id == part.id) {
                let twice = "it is twice in the batch: push all its tokens at once";
                return Err(of_sequence(Error::Session(twice.into())));
            }
        }
        Ok(())
    }

    /// From now on, [`forward`](Self::forward) ends at this time with [`Error::Deadline`], as it ends when it is cancelled; or whenever
    /// it is done.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.engine.stop.deadline = deadline;
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

impl Plan {
    /// Plans the next pass, of at most so many tokens; false if all is done.
    fn next(&mut self, batch: &Batch, sequences: &[Sequence], most: usize) -> bool {
        self.tokens.clear();
        self.segments.clear();
        self.parts.clear();
        self.rows.clear();
        self.wanted.clear();
        // Single tokens first: attention divides them among threads.
        for singles in [true, false] {
            for (i, part) in batch.parts().iter().enumerate() {
                let left = part.tokens.len() - self.done[i];
                if left > 0 && (part.tokens.len() == 1) == singles && self.tokens.len() < most {
                    let count = left.min(most - self.tokens.len());
                    self.add(batch, (i, part), count, sequences[part.id.slot].position());
                }
            }
        }
        !self.segments.is_empty()
    }

    /// Adds the next tokens of a part.
    fn add(&mut self, batch: &Batch, (i, part): (usize, &Part), count: usize, position: usize) {
        let (first, start) = (self.done[i], self.tokens.len());
        self.tokens.extend_from_slice(&batch.tokens(part)[first..first + count]);
        self.segments.push(Segment {
            sequence: part.id.slot,
            position,
            rows: start..start + count,
        });
        self.parts.push(i);
        for index in (first..first + count).filter(|&index| part.wants(index)) {
            self.rows.push(start + index - first);
            self.wanted.push((i, index));
        }
    }
}
