//! Running the tests, in turns.

use std::time::{Duration, Instant, SystemTime};

use crate::cli::output::{Failure, progress};
use crate::cli::setup::Loaded;
use crate::cli::trace::Recording;
use crate::model::stats::Stats;
use crate::model::{Session, SessionOptions};

use super::Args;
use super::plan::{Setup, Test};

/// What a test gave.
pub struct Samples {
    pub setup: Setup,
    pub test: Test,
    pub start: SystemTime,
    /// Of each repetition.
    pub ns: Vec<u64>,
    /// Until the first token could be chosen, of each repetition that reads a prompt.
    pub first_token_ns: Vec<u64>,
    /// Of each decoded token.
    pub token_ns: Vec<u64>,
    pub stats: Stats,
}

impl Samples {
    pub fn tokens_per_second(&self) -> Vec<f64> {
        let tokens = self.test.tokens() as f64;
        self.ns.iter().map(|&ns| tokens * 1e9 / ns as f64).collect()
    }

    /// Of what the test spends its time with.
    pub fn threads(&self) -> usize {
        self.setup.threads[usize::from(self.test.n_gen == 0 && self.test.n_prompt > 1)].get()
    }
}

/// Runs every test in every setup. In each round all take their turn, in another order.
pub fn measure(
    loaded: &Loaded,
    setups: &[Setup],
    tests: &[Test],
    args: &Args,
    mut recording: Option<&mut Recording<'_>>,
) -> Result<Vec<Samples>, Failure> {
    let context = tests.iter().map(|test| test.n_depth + test.tokens()).max();
    let mut sessions = Vec::new();
    for setup in setups {
        let [decode_threads, batch_threads] = setup.threads.map(Some);
        let options = SessionOptions {
            context,
            cache: setup.cache,
            batch: setup.ubatch.get(),
            decode_threads,
            batch_threads,
            stats: args.stats,
            ..loaded.session.clone()
        };
        sessions.push(Session::new(&loaded.model, &loaded.pool, &options)?);
    }
    let start = SystemTime::now();
    let mut results: Vec<Samples> = setups
        .iter()
        .flat_map(|&setup| tests.iter().map(move |&test| (setup, test)))
        .map(|(setup, test)| Samples {
            setup,
            test,
            start,
            ns: Vec::new(),
            first_token_ns: Vec::new(),
            token_ns: Vec::new(),
            stats: Stats::default(),
        })
        .collect();
    let rounds = args.repetitions.get();
    let bar = progress((rounds * results.len()) as u64, "bench");
    let mut order: Vec<usize> = (0..results.len()).collect();
    for round in usize::from(args.no_warmup)..=rounds {
        shuffle(&mut order, round as u64);
        for &at in &order {
            let (session, samples) = (&mut sessions[at / tests.len()], &mut results[at]);
            // What is not timed is not recorded either.
            let recording = recording.as_deref_mut().filter(|_| round > 0);
            one(session, samples, loaded.model.config().vocab, round > 0, recording)?;
            if round > 0 {
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(results)
}

/// Runs a test once.
fn one(
    session: &mut Session<'_>,
    samples: &mut Samples,
    vocab: usize,
    counts: bool,
    recording: Option<&mut Recording<'_>>,
) -> Result<(), Failure> {
    // Any tokens do: the time does not depend on which. Those of a position are always the same, so that what one
    // test has read serves the next as its depth.
    let token = |position: usize| ((position * 7919 + 31) % vocab) as u32;
    let Test { n_prompt, n_gen, n_depth } = samples.test;
    session.truncate(n_depth);
    let before: Vec<u32> = (session.position()..n_depth).map(token).collect();
    session.forward(&before)?;
    let tokens: Vec<u32> = (n_depth..n_depth + n_prompt + n_gen).map(token).collect();
    let (prompt, generated) = tokens.split_at(n_prompt);
    session.reset_stats();
    session.set_tracer(recording.as_ref().map(|recording| recording.tracer()));
    if samples.ns.is_empty() {
        samples.start = SystemTime::now();
    }
    let mut times = Vec::with_capacity(n_gen + 1);
    let start = Instant::now();
    for step in std::iter::once(prompt).filter(|p| !p.is_empty()).chain(generated.chunks(1)) {
        session.forward(step)?;
        std::hint::black_box(session.logits());
        times.push(start.elapsed());
    }
    session.set_tracer(None);
    if let Some(recording) = recording {
        let name = format!("{}, {} threads", samples.test.name(), samples.threads());
        recording.span(name, start, start.elapsed());
    }
    if !counts {
        return Ok(());
    }
    samples.ns.extend(times.last().copied().map(nanoseconds));
    if n_prompt > 0 {
        samples.first_token_ns.push(nanoseconds(times[0]));
    } else {
        times.insert(0, Duration::ZERO);
    }
    samples.token_ns.extend(times.windows(2).map(|pair| nanoseconds(pair[1] - pair[0])));
    if let Some(stats) = session.stats() {
        samples.stats += stats;
    }
    Ok(())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Another order for each round, the same in every run (Fisher and Yates; the numbers by a multiplication).
fn shuffle(order: &mut [usize], round: u64) {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..order.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_each_test_once_and_orders_differ() {
        let mut orders = Vec::new();
        for round in 0..6 {
            let mut order: Vec<usize> = (0..7).collect();
            shuffle(&mut order, round);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
            assert!(!orders.contains(&order), "{order:?}");
            orders.push(order);
        }
    }
}
