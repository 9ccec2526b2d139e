//! How many tokens are worth drafting: what they bring, for what they take.

use super::MAX_DRAFT;

/// Costs, probabilities and the account of one speculation; times in seconds.
#[derive(Debug, Default)]
pub struct Pace {
    /// Of a pass of `n + 1` tokens, where one was seen.
    passes: [Option<f64>; MAX_DRAFT + 1],
    /// Of drafting a token; 0 where that is free.
    draft: Option<f64>,
    classes: [Class; CLASSES],
    /// Time saved so far, against plain decoding; negative where it was lost.
    balance: f64,
    /// Time of all passes so far.
    time: f64,
}

/// Tries of tokens of which about equally much is known, the older the less they count.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    tried: f64,
    accepted: f64,
}

/// Tokens that do not come from a text; then by how many tokens before them agree: 1, 2, 3 to 4, 5 to 8, 9 to 16, more.
const CLASSES: usize = 7;

/// The probability of a class of which nothing is known: two tries of this outcome. Agreement of a token or two is mostly chance.
const PRIOR: [f64; CLASSES] = [0.6, 0.1, 0.25, 0.45, 0.65, 0.8, 0.9];
const PRIOR_TRIES: f64 = 2.0;

/// What a try counts after each later one: the last thirty or so matter.
const MEMORY: f64 = 0.97;

/// The weight of a new measurement in an average; preempted passes count at most twice the average.
const NEW: f64 = 0.15;

/// Of a pass of one, what each further token takes until it was measured. Row dots of four columns took 0.26 on Zen 3.
const FURTHER: f64 = 0.3;
/// The same of drafting one.
const DRAFT: f64 = 0.3;

/// A draft must promise so many times the tokens a second of plain decoding.
const WORTH: f64 = 1.04;

/// What may be lost: passes, and of the time so far.
const ALLOWANCE: (f64, f64) = (1.5, 0.012);
/// What was saved counts for so many passes at most: a text that changes its kind must not spend it all.
const SAVED: f64 = 8.0;

fn class(evidence: usize, i: usize) -> usize {
    if evidence == 0 {
        return 0;
    }
    match evidence + i {
        1 => 1,
        2 => 2,
        3..=4 => 3,
        5..=8 => 4,
        9..=16 => 5,
        _ => 6,
    }
}

impl Class {
    fn probability(self, prior: f64) -> f64 {
        (self.accepted + PRIOR_TRIES * prior) / (self.tried + PRIOR_TRIES)
    }
}

impl Pace {
    /// Of one token.
    pub fn plain_pass(&self) -> Option<f64> {
        self.passes[0]
    }

    /// What a pass with so many drafted tokens takes: measured, or on the line through the nearest ones that were.
    fn pass(&self, drafted: usize, plain: f64) -> f64 {
        if let Some(measured) = self.passes[drafted] {
            return measured;
        }
        let seen = |n: usize| self.passes[n].map(|time| (n as f64, time));
        let below = (0..drafted).rev().find_map(seen).unwrap_or((0.0, plain));
        let line = |(x0, y0): (f64, f64), slope: f64| y0 + slope * (drafted as f64 - x0);
        match (drafted + 1..=MAX_DRAFT).find_map(seen) {
            Some((x1, y1)) => line(below, (y1 - below.1) / (x1 - below.0)),
            None if below.0 > 0.0 => line(below, (below.1 - plain).max(0.0) / below.0),
            None => line(below, FURTHER * plain),
        }
    }

    /// How many tokens to draft, of at most so many: the i-th has the class of `evidence` and `i`.
    pub fn length(&self, evidence: usize, most: usize) -> usize {
        // What plain decoding takes comes first.
        let Some(plain) = self.plain_pass() else { return 0 };
        let (passes, part) = ALLOWANCE;
        let allowed = self.balance + passes * plain + part * self.time;
        let draft = if evidence > 0 { 0.0 } else { self.draft.unwrap_or(DRAFT * plain) };
        let mut best = (0, WORTH / plain);
        let (mut reach, mut tokens) = (1.0, 1.0);
        // What was never measured may take far longer than it seems: no step is more than about twice the longest so far.
        let longest = self.passes.iter().rposition(Option::is_some).unwrap_or(0);
        for n in 1..=most.min(MAX_DRAFT).min(2 * longest + 2) {
            let class = class(evidence, n - 1);
            reach *= self.classes[class].probability(PRIOR[class]);
            tokens += reach;
            let takes = self.pass(n, plain) + n as f64 * draft;
            let rate = tokens / takes;
            if rate > best.1 && takes - plain <= allowed {
                best = (n, rate);
            }
        }
        best.0
    }

    /// After the token `i` of a draft was compared with what came.
    pub fn tried(&mut self, evidence: usize, i: usize, accepted: bool) {
        let class = &mut self.classes[class(evidence, i)];
        class.tried = MEMORY * class.tried + 1.0;
        class.accepted = MEMORY * class.accepted + f64::from(u8::from(accepted));
    }

    /// After so many tokens were drafted, in so much time.
    pub fn drafted(&mut self, tokens: usize, time: f64) {
        if tokens > 0 {
            average(&mut self.draft, time / tokens as f64);
            self.balance -= time;
            self.time += time;
        }
    }

    /// After a pass with so many drafted tokens that gave so many.
    pub fn passed(&mut self, drafted: usize, tokens: usize, time: f64, is_free: bool) {
        average(&mut self.passes[drafted], time);
        self.time += time;
        let Some(plain) = self.plain_pass() else { return };
        if drafted > 0 {
            self.balance += tokens as f64 * plain - time;
            self.balance = self.balance.min(SAVED * plain);
        } else if !is_free {
            // A model that is not asked cannot show that it has become better: what it showed is slowly forgotten.
            let class = &mut self.classes[0];
            class.tried *= MEMORY;
            class.accepted *= MEMORY;
        }
    }
}

fn average(average: &mut Option<f64>, new: f64) {
    *average = Some(average.map_or(new, |old| old + NEW * (new.min(2.0 * old) - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes take on a machine where `n` more tokens cost `further` of one.
    fn cost(drafted: usize, further: f64) -> f64 {
        0.05 * (1.0 + further * drafted as f64)
    }

    /// Decodes so many tokens of which each draft of so much evidence has `agreeing` that are right; the time, and that of plain decoding.
    fn decode(
        pace: &mut Pace,
        tokens: usize,
        further: f64,
        draft: impl Fn(usize) -> (usize, usize),
    ) -> (f64, f64) {
        let (mut time, mut done) = (0.0, 0);
        while done < tokens {
            let (evidence, right) = draft(done);
            let n = if evidence > 0 { pace.length(evidence, MAX_DRAFT) } else { 0 };
            let agreed = right.min(n);
            if evidence > 0 {
                for i in 0..(right.min(n.max(1)) + 1).min(n.max(1)) {
                    pace.tried(evidence, i, i < right);
                }
            }
            let takes = cost(n, further);
            pace.passed(n, agreed + 1, takes, true);
            (time, done) = (time + takes, done + agreed + 1);
        }
        (time, done as f64 * cost(0, further))
    }

    #[test]
    fn drafts_that_are_never_right_cost_less_than_three_percent_however_sure_they_seem() {
        for evidence in 1..40 {
            for further in [0.02, 0.3, 1.0] {
                let (time, plain) = decode(&mut Pace::default(), 128, further, |_| (evidence, 0));
                assert!(time < 1.03 * plain, "{evidence}, {further}: {time} for {plain}");
            }
        }
    }

    #[test]
    fn drafts_that_are_always_right_are_long_and_worth_what_a_batch_saves() {
        let (time, plain) = decode(&mut Pace::default(), 300, 0.1, |_| (20, usize::MAX));
        assert!(time < plain / 4.0, "{time} for {plain}");
        // Where a batch saves nothing, there is nothing to gain.
        let mut pace = Pace::default();
        let (time, plain) = decode(&mut pace, 300, 1.0, |_| (20, usize::MAX));
        assert!(time < 1.03 * plain, "{time} for {plain}");
        assert_eq!(pace.length(20, MAX_DRAFT), 0);
    }

    #[test]
    fn a_draft_is_as_long_as_its_tokens_are_likely() {
        let mut pace = Pace::default();
        pace.passed(0, 1, cost(0, 0.2), true);
        pace.passes[MAX_DRAFT] = Some(cost(MAX_DRAFT, 0.2));
        pace.balance = 1.0;
        let mut lengths = Vec::new();
        for accepted in [0, 5, 8, 9, 10] {
            pace.classes[4] = Class { tried: 1000.0, accepted: f64::from(accepted) * 100.0 };
            pace.classes[5] = pace.classes[4];
            pace.classes[6] = pace.classes[4];
            lengths.push(pace.length(5, MAX_DRAFT));
        }
        assert!(lengths.is_sorted() && lengths[0] == 0 && lengths[4] == MAX_DRAFT, "{lengths:?}");
    }

    #[test]
    fn a_text_that_becomes_unpredictable_does_not_lose_what_was_saved() {
        let mut pace = Pace::default();
        decode(&mut pace, 300, 0.1, |_| (20, usize::MAX));
        let (time, plain) = decode(&mut pace, 300, 0.1, |_| (20, 0));
        assert!(time < 1.05 * plain, "{time} for {plain}");
    }

    #[test]
    fn costs_between_and_beyond_those_measured_lie_on_a_line() {
        let mut pace = Pace::default();
        assert_eq!(pace.length(20, 8), 0);
        pace.passed(0, 1, 1.0, true);
        assert!((pace.pass(4, 1.0) - (1.0 + 4.0 * FURTHER)).abs() < 1e-9);
        pace.passes[8] = Some(2.0);
        assert!((pace.pass(4, 1.0) - 1.5).abs() < 1e-9);
        assert!((pace.pass(16, 1.0) - 3.0).abs() < 1e-9);
    }
}
