//! Chooses the next token from logits: greedily, or by a seeded draw.
//!
//! The same seed gives the same text on every CPU and for any number of threads: the logits have the same
//! bits, the exponentials are the crate's own, every sum has a fixed order (candidates sorted by
//! logit, ties by token), and the random numbers are those of a generator that is written here.

use crate::kernels::Kernels;

/// How tokens are chosen. The steps, in order: repeat penalty, top-k, softmax, top-p, min-p, temperature, draw.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits of the candidates that are left; 0 takes the most likely token.
    pub temperature: f32,
    /// Only this many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the fewest most likely tokens whose probabilities reach this sum; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this many times as likely as the most likely; 0 for all.
    pub min_p: f32,
    /// Divides the positive logits of recent tokens, and multiplies the negative; 1 for none
    /// (Keskar et al., 2019).
    pub repeat_penalty: f32,
    /// How many tokens count as recent.
    pub repeat_last: usize,
    /// Seeds the draws.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        SamplerOptions {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last: 64,
            seed: 0,
        }
    }
}

/// An option outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{option} is {value}; expected {expected}")]
pub struct Error {
    /// The option's name.
    pub option: &'static str,
    /// Its value.
    pub value: f32,
    /// Its range.
    pub expected: &'static str,
}

/// Chooses tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    random: Xoshiro256,
    candidates: Vec<u32>,
    weights: Vec<f32>,
}

impl Sampler {
    /// Checks the options.
    pub fn new(options: SamplerOptions) -> Result<Sampler, Error> {
        let o = &options;
        let not_negative = "a finite number that is not negative";
        for (option, value, fits, expected) in [
            ("temperature", o.temperature, o.temperature >= 0.0, not_negative),
            ("top-p", o.top_p, o.top_p > 0.0 && o.top_p <= 1.0, "above 0, at most 1"),
            ("min-p", o.min_p, (0.0..=1.0).contains(&o.min_p), "0 to 1"),
            (
                "repeat penalty",
                o.repeat_penalty,
                o.repeat_penalty > 0.0,
                "a finite positive number",
            ),
        ] {
            if !(fits && value.is_finite()) {
                return Err(Error { option, value, expected });
            }
        }
        let random = Xoshiro256::new(options.seed);
        Ok(Sampler { options, random, candidates: Vec::new(), weights: Vec::new() })
    }

    /// One that takes the most likely token.
    pub fn greedy() -> Sampler {
        let options = SamplerOptions { temperature: 0.0, ..SamplerOptions::default() };
        Sampler::new(options).expect("each is in its range")
    }

    /// The options.
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Chooses the token after `history`. The logits may be changed (by the repeat penalty).
    ///
    /// NaN is never chosen, unless every logit is NaN: then token 0.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn sample(&mut self, kernels: &Kernels, logits: &mut [f32], history: &[u32]) -> u32 {
        assert!(!logits.is_empty(), "sample: no logits");
        self.penalise(logits, history);
        if self.options.temperature == 0.0 {
            return greedy(logits);
        }
        self.keep_top_k(logits);
        let kept = self.cut(kernels, logits);
        self.candidates.truncate(kept);
        // The weights again, now at the temperature; candidates are still sorted.
        self.weights.clear();
        let temperature = self.options.temperature;
        self.weights.extend(self.candidates.iter().map(|&id| logits[id as usize] / temperature));
        kernels.exp_sum(&mut self.weights);
        let total: f64 = self.weights.iter().map(|&w| f64::from(w)).sum();
        let mut left = self.random.unit() * total;
        for (&id, &weight) in self.candidates.iter().zip(&self.weights) {
            left -= f64::from(weight);
            if left < 0.0 {
                return id;
            }
        }
        // Rounding, or no candidate with a positive weight.
        self.candidates.first().copied().unwrap_or_else(|| greedy(logits))
    }

    fn penalise(&mut self, logits: &mut [f32], history: &[u32]) {
        let penalty = self.options.repeat_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent = &history[history.len().saturating_sub(self.options.repeat_last)..];
        self.candidates.clear();
        self.candidates.extend_from_slice(recent);
        self.candidates.sort_unstable();
        self.candidates.dedup();
        for &id in &self.candidates {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// Leaves the most likely tokens in `candidates`, sorted.
    fn keep_top_k(&mut self, logits: &[f32]) {
        // Tokens are ids of 32 bits throughout.
        let ids = 0..u32::try_from(logits.len()).expect("at most 2^32 tokens");
        self.candidates.clear();
        self.candidates.extend(ids.filter(|&id| !logits[id as usize].is_nan()));
        let by_logit =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let k = self.options.top_k;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, by_logit);
            self.candidates.truncate(k);
        }
        self.candidates.sort_unstable_by(by_logit);
    }

    /// How many of the candidates top-p and min-p leave: at least one, where there is one.
    fn cut(&mut self, kernels: &Kernels, logits: &[f32]) -> usize {
        self.weights.clear();
        self.weights.extend(self.candidates.iter().map(|&id| logits[id as usize]));
        kernels.exp_sum(&mut self.weights);
        let total: f64 = self.weights.iter().map(|&w| f64::from(w)).sum();
        let mut kept = self.weights.len();
        if self.options.top_p < 1.0 {
            let enough = f64::from(self.options.top_p) * total;
            let mut sum = 0.0;
            let reached = self.weights.iter().position(|&w| {
                sum += f64::from(w);
                sum >= enough
            });
            kept = reached.map_or(kept, |at| at + 1);
        }
        // The most likely has the weight 1: exp(0).
        let likely = self.weights.iter().take_while(|&&w| w >= self.options.min_p).count();
        kept.min(likely.max(1))
    }
}

/// The first of the largest logits; NaN is never larger.
pub fn greedy(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0 as u32
}

/// Natural logarithms of probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct LogProbs {
    /// Of the token asked for.
    pub chosen: f64,
    /// Of the most likely tokens, most likely first.
    pub top: Vec<(u32, f64)>,
}

/// The log-probability of `chosen`, and those of the `n` most likely tokens.
///
/// `logit - max - ln Σ exp(logit - max)`: the sum is that of [`Kernels::exp_sum`], in f32; the rest in f64. `scratch` is
/// overwritten.
///
/// # Panics
/// If `chosen` is not a token.
pub fn log_probs(
    kernels: &Kernels,
    logits: &[f32],
    scratch: &mut Vec<f32>,
    chosen: u32,
    n: usize,
) -> LogProbs {
    scratch.clear();
    scratch.extend_from_slice(logits);
    let (max, sum) = kernels.exp_sum(scratch);
    let ln_sum = libm::log(f64::from(sum));
    let log_prob = |id: u32| f64::from(logits[id as usize]) - f64::from(max) - ln_sum;
    let mut top: Vec<u32> = Vec::with_capacity(n + 1);
    for id in 0..logits.len() as u32 {
        let logit = logits[id as usize];
        let worse = |&other: &u32| logits[other as usize] < logit;
        let at = top.iter().position(worse).unwrap_or(top.len());
        if at < n && !logit.is_nan() {
            top.insert(at, id);
            top.truncate(n);
        }
    }
    LogProbs {
        chosen: log_prob(chosen),
        top: top.into_iter().map(|id| (id, log_prob(id))).collect(),
    }
}

/// How the distribution that a model predicts differs from another's.
#[derive(Clone, Copy, Debug)]
pub struct Divergence {
    /// The Kullback-Leibler divergence `Σ p · (ln p - ln q)`, in nats: not negative, 0 where both
    /// are equal.
    pub nats: f64,
    /// `ln p` and `ln q` of the token that came.
    pub log_probs: [f64; 2],
}

/// Compares the distribution `q` with `p`, both given as logits, in f64.
///
/// # Panics
/// If the numbers of tokens differ, or `next` is not a token.
pub fn divergence(p: &[f32], q: &[f32], next: u32) -> Divergence {
    assert_eq!(p.len(), q.len(), "tokens");
    let log_sum = |logits: &[f32]| {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&x| libm::exp(f64::from(x) - f64::from(max))).sum();
        f64::from(max) + libm::log(sum)
    };
    let sums = [log_sum(p), log_sum(q)];
    let mut nats = 0.0;
    for (&p, &q) in p.iter().zip(q) {
        let [ln_p, ln_q] = [f64::from(p) - sums[0], f64::from(q) - sums[1]];
        let p = libm::exp(ln_p);
        // A token that is impossible (-inf) adds nothing.
        if p > 0.0 {
            nats += p * (ln_p - ln_q);
        }
    }
    let at = next as usize;
    let log_probs = [f64::from(p[at]) - sums[0], f64::from(q[at]) - sums[1]];
    Divergence { nats: nats.max(0.0), log_probs }
}

/// xoshiro256**, seeded by splitmix64 (Blackman and Vigna, 2018).
#[derive(Clone, Debug)]
struct Xoshiro256([u64; 4]);

impl Xoshiro256 {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        Xoshiro256(core::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in [0, 1), of 53 random bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    const KERNELS: Kernels = Kernels::new(Isa::SCALAR);

    fn sampler(change: impl FnOnce(&mut SamplerOptions)) -> Sampler {
        let mut options = SamplerOptions { top_k: 0, top_p: 1.0, min_p: 0.0, ..Default::default() };
        change(&mut options);
        Sampler::new(options).unwrap()
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_never_nan() {
        assert_eq!(greedy(&[1.0, 3.0, f32::NAN, 3.0]), 1);
        assert_eq!(greedy(&[f32::NAN, f32::NEG_INFINITY]), 0);
        assert_eq!(sampler(|o| o.temperature = 0.0).sample(&KERNELS, &mut [0.5, 0.75], &[]), 1);
    }

    #[test]
    fn draws_follow_the_softmax_at_the_temperature() {
        let logits = [0.0f32, 1.0, 2.0, -1.0];
        let mut sampler = sampler(|o| o.temperature = 2.0);
        let mut counts = [0u32; 4];
        let n = 20_000;
        for _ in 0..n {
            counts[sampler.sample(&KERNELS, &mut logits.clone(), &[]) as usize] += 1;
        }
        let weights = logits.map(|l| (f64::from(l) / 2.0).exp());
        let total: f64 = weights.iter().sum();
        let chi_square: f64 = (0..4)
            .map(|i| {
                let expected = weights[i] / total * f64::from(n);
                (f64::from(counts[i]) - expected).powi(2) / expected
            })
            .sum();
        // Three degrees of freedom: exceeded by chance once in 1000.
        assert!(chi_square < 16.27, "{chi_square}: {counts:?}");
    }

    #[test]
    fn a_seed_gives_one_sequence_forever() {
        let mut random = Xoshiro256::new(42);
        // The reference implementation's first outputs for this seed.
        assert_eq!(random.next(), 1_546_998_764_402_558_742);
        assert_eq!(random.next(), 6_990_951_692_964_543_102);
        let draw = |seed| {
            let mut sampler = sampler(|o| o.seed = seed);
            (0..40).map(|_| sampler.sample(&KERNELS, &mut [0.0; 16], &[])).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn each_cut_keeps_what_it_says() {
        let logits = [4.0f32, 3.0, 2.0, 1.0, f32::NAN];
        let kept = |change: fn(&mut SamplerOptions)| {
            let mut sampler = sampler(change);
            let mut seen: Vec<u32> =
                (0..3000).map(|_| sampler.sample(&KERNELS, &mut logits.clone(), &[])).collect();
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(kept(|_| ()), [0, 1, 2, 3]);
        assert_eq!(kept(|o| o.top_k = 2), [0, 1]);
        // Probabilities 0.64, 0.24, 0.09, 0.03.
        assert_eq!(kept(|o| o.top_p = 0.9), [0, 1, 2]);
        assert_eq!(kept(|o| o.top_p = 0.1), [0]);
        // exp(-1) = 0.37 and exp(-2) = 0.14 of the largest.
        assert_eq!(kept(|o| o.min_p = 0.2), [0, 1]);
    }

    #[test]
    fn the_repeat_penalty_moves_recent_tokens_down() {
        let mut sampler = sampler(|o| {
            o.temperature = 0.0;
            o.repeat_penalty = 2.0;
            o.repeat_last = 2;
        });
        let mut logits = [4.0, 3.0, -1.0, 5.0];
        assert_eq!(sampler.sample(&KERNELS, &mut logits, &[0, 3, 2, 3]), 0);
        assert_eq!(logits, [4.0, 3.0, -2.0, 2.5]);
    }

    #[test]
    fn log_probs_are_those_of_the_softmax() {
        let probs = log_probs(&KERNELS, &[0.0, 2f32.ln(), 5f32.ln()], &mut Vec::new(), 0, 2);
        assert!((probs.chosen - 0.125f64.ln()).abs() < 1e-6);
        assert_eq!(probs.top.iter().map(|t| t.0).collect::<Vec<_>>(), [2, 1]);
        assert!((probs.top[0].1 - 0.625f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_divergence_is_that_of_its_formula() {
        let p = [0.5f64, 0.25, 0.25];
        let q = [0.125f64, 0.375, 0.5];
        let logits = |p: [f64; 3]| p.map(|p| p.ln() as f32 + 7.0);
        let want: f64 = p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum();
        let found = divergence(&logits(p), &logits(q), 2);
        assert!((found.nats - want).abs() < 1e-6, "{} {want}", found.nats);
        assert!((found.log_probs[0] - 0.25f64.ln()).abs() < 1e-6);
        assert!((found.log_probs[1] - 0.5f64.ln()).abs() < 1e-6);

        let same = divergence(&logits(p), &logits(p).map(|x| x + 2.0), 0);
        assert!(same.nats < 1e-6);
        let impossible = [0.0, f32::NEG_INFINITY];
        assert_eq!(divergence(&impossible, &impossible, 0).nats, 0.0);
    }

    #[test]
    fn an_option_outside_its_range_is_refused_by_name() {
        let refused = |change: fn(&mut SamplerOptions)| {
            let mut options = SamplerOptions::default();
            change(&mut options);
            Sampler::new(options).unwrap_err().to_string()
        };
        assert_eq!(refused(|o| o.top_p = 0.0), "top-p is 0; expected above 0, at most 1");
        assert!(refused(|o| o.temperature = f32::NAN).contains("temperature is NaN"));
        assert!(refused(|o| o.repeat_penalty = f32::INFINITY).contains("repeat penalty"));
    }
}
