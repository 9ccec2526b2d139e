//! What the time of a session went to.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::formats::Format;

use super::stop::Stop;
use super::trace::{Activity, Tracer};

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Products by weights of a format.
    Matmul(Format),
    /// Attention to the cached keys.
    Attention,
    /// Sums with the residual stream, and its norms.
    Norm,
    /// Biases, norms and rotation of queries, keys and values, and storing them in the cache.
    Rope,
    /// Activations to bytes.
    Quantise,
    /// The activation function of the feed-forward network.
    Gate,
    /// Rows of the embedding table, and the angles of the rotation.
    Embed,
}

const PRODUCTS: usize = Format::ALL.len();
const OTHERS: [Operation; 6] = [
    Operation::Attention,
    Operation::Norm,
    Operation::Rope,
    Operation::Quantise,
    Operation::Gate,
    Operation::Embed,
];
const OPERATIONS: usize = PRODUCTS + OTHERS.len();

impl Operation {
    /// Every operation.
    pub fn all() -> impl Iterator<Item = Operation> {
        Format::ALL.into_iter().map(Operation::Matmul).chain(OTHERS)
    }

    /// Its name, and the format of a product.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Matmul(format) => format.name(),
            Operation::Attention => "attention",
            Operation::Norm => "norms",
            Operation::Rope => "rope and cache",
            Operation::Quantise => "quantising",
            Operation::Gate => "gate",
            Operation::Embed => "embedding",
        }
    }

    /// Its place among all.
    fn index(self) -> usize {
        match self {
            Operation::Matmul(format) => format as usize,
            Operation::Attention => PRODUCTS,
            Operation::Norm => PRODUCTS + 1,
            Operation::Rope => PRODUCTS + 2,
            Operation::Quantise => PRODUCTS + 3,
            Operation::Gate => PRODUCTS + 4,
            Operation::Embed => PRODUCTS + 5,
        }
    }
}

/// Passes of one kind: of batches, or of single tokens.
#[derive(Clone, Debug, Default)]
pub struct Passes {
    /// Passes through the layers.
    pub passes: u64,
    /// Tokens that they took along.
    pub tokens: u64,
    /// From their beginnings to their ends, logits included.
    pub wall: Duration,
    /// The same, of every thread that was to take part.
    pub threads_wall: Duration,
    /// Parallel loops: at the end of each, threads wait for each other.
    pub barriers: u64,
    /// Bytes of weights that the products read.
    pub weight_bytes: u64,
    /// In nanoseconds, of all threads together.
    times: [u64; OPERATIONS],
}

impl Passes {
    /// The time of all threads that an operation took.
    pub fn time(&self, operation: Operation) -> Duration {
        Duration::from_nanos(self.times[operation.index()])
    }

    /// The time of all threads that no operation took: waiting for each other, and for work to be handed out.
    pub fn waiting(&self) -> Duration {
        self.threads_wall.saturating_sub(Duration::from_nanos(self.times.iter().sum()))
    }
}

/// What the time of a session went to, so far.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Passes that took more than a token of some sequence.
    pub prefill: Passes,
    /// Passes that took a token of each sequence in them.
    pub decode: Passes,
}

impl AddAssign<&Stats> for Stats {
    fn add_assign(&mut self, other: &Stats) {
        self.prefill += &other.prefill;
        self.decode += &other.decode;
    }
}

impl AddAssign<&Passes> for Passes {
    fn add_assign(&mut self, other: &Passes) {
        self.passes += other.passes;
        self.tokens += other.tokens;
        self.wall += other.wall;
        self.threads_wall += other.threads_wall;
        self.barriers += other.barriers;
        self.weight_bytes += other.weight_bytes;
        for (sum, time) in self.times.iter_mut().zip(&other.times) {
            *sum += time;
        }
    }
}

/// What threads add to while they work.
#[derive(Default)]
pub(super) struct Clock {
    times: [AtomicU64; OPERATIONS],
    weight_bytes: AtomicU64,
}

impl Clock {
    /// Adds to `passes` what was counted since the last call.
    pub fn take(&self, passes: &mut Passes) {
        for (sum, time) in passes.times.iter_mut().zip(&self.times) {
            *sum += time.swap(0, Relaxed);
        }
        passes.weight_bytes += self.weight_bytes.swap(0, Relaxed);
    }
}

/// Takes the time of operations, if anyone asked for it; and begins none once the session is to stop.
#[derive(Clone, Copy)]
pub(super) struct Timer<'a> {
    clock: Option<&'a Clock>,
    pub tracer: Option<&'a Tracer>,
    stop: Option<&'a Stop>,
    /// What the tracer is told besides.
    layer: Option<u16>,
    tensor: Option<u32>,
}

impl<'a> Timer<'a> {
    pub fn new(clock: Option<&'a Clock>, tracer: Option<&'a Tracer>) -> Self {
        Timer { clock, tracer, stop: None, layer: None, tensor: None }
    }

    /// The same, of work that is left out from when `stop` is reached on.
    pub fn until(self, stop: &'a Stop) -> Self {
        Timer { stop: Some(stop), ..self }
    }

    /// The same for operations of a layer.
    pub fn of_layer(self, layer: usize) -> Self {
        Timer { layer: u16::try_from(layer).ok(), ..self }
    }

    /// The same for products by a tensor.
    pub fn of_tensor(self, tensor: usize) -> Self {
        Timer { tensor: u32::try_from(tensor).ok(), ..self }
    }

    /// The time, if anyone asked for it.
    pub fn now(self) -> Option<Instant> {
        (self.clock.is_some() || self.tracer.is_some()).then(Instant::now)
    }

    /// Does `work`, and adds its time to that of the operation; nothing, once the session is to stop.
    #[inline]
    pub fn time(self, operation: Operation, work: impl FnOnce()) {
        if self.stop.is_some_and(Stop::is_reached) {
            return;
        }
        let Some(start) = self.now() else { return work() };
        work();
        let end = Instant::now();
        if let Some(clock) = self.clock {
            let time = u64::try_from((end - start).as_nanos()).unwrap_or(u64::MAX);
            clock.times[operation.index()].fetch_add(time, Relaxed);
        }
        if let Some(tracer) = self.tracer {
            let Timer { layer, tensor, .. } = self;
            tracer.record(start, end, Activity::Operation { operation, layer, tensor });
        }
    }

    /// Adds bytes of weights that a product reads.
    pub fn weights(self, bytes: usize) {
        if let Some(clock) = self.clock {
            clock.weight_bytes.fetch_add(bytes as u64, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_place_and_no_other_has_it() {
        for (i, operation) in Operation::all().enumerate() {
            assert_eq!(operation.index(), i, "{operation:?}");
        }
        assert_eq!(Operation::all().count(), OPERATIONS);
    }

    #[test]
    fn time_that_no_operation_took_is_waiting() {
        let clock = Clock::default();
        let wait = || std::thread::sleep(Duration::from_millis(2));
        let timer = Timer::new(Some(&clock), None);
        timer.time(Operation::Gate, wait);
        Timer::new(None, None).time(Operation::Norm, wait);
        timer.weights(5);
        let mut passes = Passes { threads_wall: Duration::from_secs(1), ..Passes::default() };
        clock.take(&mut passes);
        clock.take(&mut passes);
        assert!(passes.time(Operation::Gate) >= Duration::from_millis(2));
        assert_eq!(passes.time(Operation::Norm), Duration::ZERO);
        assert_eq!(passes.waiting(), Duration::from_secs(1) - passes.time(Operation::Gate));
        assert_eq!(passes.weight_bytes, 5);
    }
}
