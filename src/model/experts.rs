//! A mixture of experts: networks of which a router chooses some for each token.
//!
//! Tokens are gathered by expert, so that each expert's weights are read once for all tokens that pass it, by the same
//! kernels as any product.
//!
//! # Contract
//! - The router's products become probabilities by the [softmax](crate::kernels::elementwise) over all experts. Chosen are
//!   those of the largest, of equal ones those of lower numbers; a NaN is below every number.
//! - Where weights are normalised, each is `p / Σp`, with the sum over the chosen by ascending numbers; a scale multiplies
//!   it at last.
//! - `y = 0`, or where every token passes a shared network, `y[i] = s[i] · 1/(1 + exp(-g))`, with `g` the product of its
//!   gate. Then `y[i] = y[i] + w · e[i]` for each chosen expert by ascending number, product and sum each rounded.
//!
//! What others in the batch chose has no part in it: the bits do not depend on how tokens were batched.

use crate::formats::SUPER_BLOCK;
use crate::kernels::{Kernels, gemm};
use crate::matmul::{self, Outputs};

use super::columns::{Columns, Quantised, depth, quantize};
use super::config::ExpertConfig;
use super::divide::{Chunks, Grid};
use super::layer::{Buffers, Pass};
use super::stats::Operation;
use super::weights::{Experts, Matrix};

/// Buffers of a mixture; they grow to the largest batch seen.
#[derive(Default)]
pub struct Routed {
    /// `[tokens, experts]`.
    scores: Vec<f32>,
    /// Of each token, the product of the shared network's gate.
    shared: Vec<f32>,
    /// `[tokens, used]`, by ascending expert.
    choices: Vec<Choice>,
    /// Columns of each expert, later the first that is free.
    counts: Vec<usize>,
    /// The token of each column: columns are by expert, those of one by token.
    tokens: Vec<usize>,
    /// Experts that some token chose, and the column behind the last of each.
    experts: Vec<usize>,
    ends: Vec<usize>,
    /// `[columns, embedding]`, where an expert's matrix wants numbers.
    x: Vec<f32>,
    quantised: Quantised,
    /// `[columns, feed_forward]`: what lies between gate and way down.
    gated: Vec<f32>,
    gated_quantised: Quantised,
    /// `[columns, embedding]`: what the experts gave.
    out: Vec<f32>,
}

/// An expert that a token chose.
#[derive(Clone, Copy, Default)]
struct Choice {
    expert: usize,
    weight: f32,
    column: usize,
}

impl Experts {
    /// Every matrix that multiplies what comes in.
    pub fn inputs(&self) -> [&Matrix; 6] {
        let Experts { router, all, shared } = self;
        let shared = shared
            .as_ref()
            .map_or([router; 3], |shared| [&shared.gate, &shared.network.gate, &shared.network.up]);
        let [a, b, c] = shared;
        [router, &all.gate, &all.up, a, b, c]
    }
}

impl Pass<'_> {
    /// `h = mixture(h)`.
    pub fn mixture(&self, s: &mut Buffers, experts: &Experts) {
        let config = self.config().experts.as_ref().expect("a model with experts has their config");
        let mut routed = std::mem::take(&mut s.routed);
        self.route(s, &mut routed, config, experts);
        self.gather(s, &mut routed, experts);
        // Its columns are in their places: what came in is not needed any more.
        if let Some(shared) = &experts.shared {
            self.feed_forward(s, &shared.network);
        }
        self.pass(s, &mut routed, config, experts);
        self.combine(s, &routed, config);
        s.routed = routed;
    }

    /// Chooses the experts of every token.
    fn route(&self, s: &Buffers, routed: &mut Routed, config: &ExpertConfig, experts: &Experts) {
        let (tokens, kernels) = (self.tokens, self.model.kernels());
        let Routed { scores, shared, choices, .. } = routed;
        scores.resize(tokens * config.count, 0.0);
        choices.resize(tokens * config.used, Choice::default());
        match &experts.shared {
            None => {
                let products = [(&experts.router, &mut *scores)];
                self.multiply(&s.workspaces, &s.h, &s.quantised, products);
            }
            Some(network) => {
                shared.resize(tokens, 0.0);
                let products = [(&experts.router, &mut *scores), (&network.gate, shared)];
                self.multiply(&s.workspaces, &s.h, &s.quantised, products);
            }
        }
        let rows = (Chunks::rows(scores, tokens), Chunks::rows(choices, tokens));
        self.each(rows, |_, (scores, choices)| {
            self.timer.time(Operation::Gate, || choose(kernels, config, scores, choices));
        });
        routed.group(tokens, config);
    }

    /// Copies what comes in, a column for each choice.
    fn gather(&self, s: &Buffers, routed: &mut Routed, experts: &Experts) {
        let width = self.config().embedding;
        let Routed { tokens, x, quantised, .. } = routed;
        let columns = tokens.len();
        let matrices = [&experts.all.gate, &experts.all.up];
        let numbers = matrices.iter().any(|matrix| matrix.format().activation().is_none());
        x.resize(if numbers { columns * width } else { 0 }, 0.0);
        let rows = (Chunks::rows(x, columns), quantised.rows(columns, &matrices));
        self.each(rows, |column, (x, (per_32, per_256))| {
            self.timer.time(Operation::Quantise, || {
                let token = tokens[column];
                if !x.is_empty() {
                    x.copy_from_slice(&s.h[token * width..(token + 1) * width]);
                }
                // Other matrices may have wanted forms that these do not.
                for (to, from) in
                    [per_32, per_256].into_iter().zip(s.quantised.row(token, self.tokens))
                {
                    if !to.is_empty() {
                        to.copy_from_slice(from);
                    }
                }
            });
        });
    }

    /// Takes every column through its expert.
    fn pass(&self, s: &Buffers, routed: &mut Routed, config: &ExpertConfig, experts: &Experts) {
        let (width, kernels) = (self.config().embedding, self.model.kernels());
        let Routed {
            tokens, experts: chosen, ends, x, quantised, gated, gated_quantised, out, ..
        } = routed;
        let (columns, gate) = (tokens.len(), self.config().gate);
        gated.resize(columns * config.feed_forward, 0.0);
        out.resize(columns * width, 0.0);
        let all = &experts.all;
        let of = |x, quantised| Columns { columns, ..self.columns(&s.workspaces, x, quantised) };
        let groups = Groups { experts: chosen, ends, longest: self.tokens };
        let f = |gates: &mut [f32], ups: &[f32]| {
            self.timer.time(Operation::Gate, || gate.apply(kernels, gates, ups));
        };
        of(x, quantised).multiply_grouped([&all.gate, &all.up], groups, gated, f);
        let rows = (Chunks::rows(gated, columns), gated_quantised.rows(columns, &[&all.down]));
        self.each(rows, |_, (gated, row)| {
            self.timer.time(Operation::Quantise, || quantize(kernels, gated, row));
        });
        of(gated, gated_quantised).multiply_grouped([&all.down], groups, out, |_, _| {});
    }

    /// Adds up what a token's experts gave.
    fn combine(&self, s: &mut Buffers, routed: &Routed, config: &ExpertConfig) {
        let (width, kernels) = (self.config().embedding, self.model.kernels());
        self.each(Chunks::rows(&mut s.h, self.tokens), |token, h| {
            self.timer.time(Operation::Norm, || {
                match routed.shared.get(token) {
                    None => h.fill(0.0),
                    Some(&gate) => {
                        let mut e = [-gate];
                        kernels.exp(&mut e);
                        let share = 1.0 / (1.0 + e[0]);
                        h.iter_mut().for_each(|h| *h *= share);
                    }
                }
                for choice in &routed.choices[token * config.used..(token + 1) * config.used] {
                    let out = &routed.out[choice.column * width..(choice.column + 1) * width];
                    for (h, out) in h.iter_mut().zip(out) {
                        *h += choice.weight * out;
                    }
                }
            });
        });
    }
}

/// The experts of one token, by the [contract](self); the scores are used up.
fn choose(kernels: &Kernels, config: &ExpertConfig, scores: &mut [f32], choices: &mut [Choice]) {
    /// Below every probability, and below a NaN.
    const TAKEN: f32 = -2.0;
    let rank = |p: f32| if p.is_nan() { -1.0 } else { p };
    kernels.softmax(scores);
    for choice in &mut *choices {
        let mut best = 0;
        for (expert, &p) in scores.iter().enumerate() {
            if rank(p) > rank(scores[best]) {
                best = expert;
            }
        }
        *choice = Choice { expert: best, weight: scores[best], column: 0 };
        scores[best] = TAKEN;
    }
    choices.sort_unstable_by_key(|choice| choice.expert);
    if config.normalised {
        let sum = choices.iter().fold(0.0, |sum, choice| sum + choice.weight);
        choices.iter_mut().for_each(|choice| choice.weight /= sum);
    }
    choices.iter_mut().for_each(|choice| choice.weight *= config.scale);
}

impl Routed {
    /// Gives every choice its column: by expert, those of one by token.
    fn group(&mut self, tokens: usize, config: &ExpertConfig) {
        let Routed { choices, counts, tokens: of_columns, experts, ends, .. } = self;
        counts.clear();
        counts.resize(config.count, 0);
        for choice in &*choices {
            counts[choice.expert] += 1;
        }
        // Room for all, whatever is chosen next time.
        experts.reserve(config.count);
        ends.reserve(config.count);
        experts.clear();
        ends.clear();
        let mut column = 0;
        for (expert, count) in counts.iter_mut().enumerate() {
            let first = column;
            column += *count;
            if *count > 0 {
                experts.push(expert);
                ends.push(column);
            }
            *count = first;
        }
        of_columns.resize(tokens * config.used, 0);
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.column = counts[choice.expert];
            counts[choice.expert] += 1;
            of_columns[choice.column] = i / config.used;
        }
    }
}

/// Groups of columns, and whose they are.
#[derive(Clone, Copy)]
struct Groups<'a> {
    /// The expert of each.
    experts: &'a [usize],
    /// The column behind the last of each.
    ends: &'a [usize],
    /// Columns of the longest that there can be.
    longest: usize,
}

impl Columns<'_> {
    /// Multiplies groups of columns, each by the rows of its own expert: of matrices that hold those of all, one below the
    /// other. Of two products, `f` makes one of both, in the first; strip by strip, as threads take them.
    fn multiply_grouped<const N: usize>(
        &self,
        matrices: [&Matrix; N],
        groups: Groups<'_>,
        out: &mut [f32],
        f: impl Fn(&mut [f32], &[f32]) + Sync,
    ) {
        let Groups { experts, ends, longest } = groups;
        let rows = out.len() / self.columns;
        let kernels = self.model.kernels();
        let products = matrices.map(|matrix| {
            let (weights, x) = self.factors(matrix);
            (weights, x, self.timer.of_tensor(matrix.tensor))
        });
        let depth = depth(products.iter().map(|(weights, x, _)| (weights, x)));
        let (bytes, threads) = (products[0].0.row_bytes(), self.pool.threads());
        let width = strip(rows, bytes, experts.len(), self.columns, threads);
        let grid = Grid::of(out, rows, width, ends);
        self.pool.each(self.timer.tracer, grid, |_, (group, mut strip)| {
            let (columns, items) = (strip.rows(), strip.items());
            let first = experts[group] * rows;
            self.workspaces.lend(|space| {
                // Whatever is chosen next time needs no more.
                let (mut scratch, mut results) = space.gated(longest, depth, items.len());
                let len = columns.len() * items.len();
                for ((weights, x, timer), results) in products.iter().zip(&mut results) {
                    let weights = weights.part(first + items.start..first + items.end);
                    let x = x.columns(columns.clone(), weights.k());
                    timer.weights(items.len() * weights.row_bytes());
                    timer.time(Operation::Matmul(weights.format()), || {
                        let mut out = Outputs::new(&mut results[..len], columns.len(), items.len());
                        matmul::run(kernels, &weights, x, &mut out, scratch.as_mut());
                    });
                }
                let [first, second] = results;
                f(&mut first[..len], &second[..len]);
                for (column, result) in columns.zip(first[..len].chunks_exact(items.len())) {
                    strip.row(column).copy_from_slice(result);
                }
            });
        });
    }
}

/// Rows of an expert that a thread computes at a time: enough to be worth it, and few enough that all threads have some.
fn strip(rows: usize, row_bytes: usize, experts: usize, columns: usize, threads: usize) -> usize {
    /// Bytes of weights that are worth a claim: about 2 us of memory's bandwidth.
    const LEAST_BYTES: usize = 32 << 10;
    let shared = (rows * experts).div_ceil(4 * threads);
    // Many columns share what it takes to unpack rows, if these are not too few.
    let least = match matmul::Scratch::tile_len(columns.div_ceil(experts.max(1))) {
        0 => (LEAST_BYTES / row_bytes.max(1)).next_multiple_of(gemm::MR).max(gemm::MR),
        _ => SUPER_BLOCK,
    };
    shared.next_multiple_of(gemm::ROWS).max(least).min(gemm::MC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn config(count: usize, used: usize, normalised: bool) -> ExpertConfig {
        ExpertConfig {
            count,
            used,
            feed_forward: 1,
            shared_feed_forward: None,
            normalised,
            scale: 1.0,
        }
    }

    fn chosen(scores: &[f32], used: usize, normalised: bool) -> Vec<(usize, f32)> {
        let kernels = Kernels::new(Isa::detect());
        let mut choices = vec![Choice::default(); used];
        let config = config(scores.len(), used, normalised);
        choose(&kernels, &config, &mut scores.to_vec(), &mut choices);
        choices.iter().map(|choice| (choice.expert, choice.weight)).collect()
    }

    #[test]
    fn of_equal_scores_the_first_are_chosen_and_the_chosen_are_in_order() {
        let experts = |scores: &[f32], used| -> Vec<usize> {
            chosen(scores, used, false).into_iter().map(|(expert, _)| expert).collect()
        };
        assert_eq!(experts(&[1.0; 5], 3), [0, 1, 2]);
        assert_eq!(experts(&[0.0, 2.0, 1.0, 2.0, 1.0], 3), [1, 2, 3]);
        assert_eq!(experts(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], 3), [0, 1, 2]);
        // What makes no sense is still a choice of different experts.
        assert_eq!(experts(&[f32::NAN; 4], 2), [0, 1]);
        assert_eq!(experts(&[f32::INFINITY, 1.0, f32::INFINITY], 2), [0, 1]);
    }

    #[test]
    fn weights_are_probabilities_or_divided_by_their_sum() {
        let scores = [0.0, 3f32.ln(), 4f32.ln()];
        for (expert, weight, want) in [(1, 0, 3.0 / 8.0), (2, 1, 0.5)] {
            let got = chosen(&scores, 2, false)[weight];
            assert!(got.0 == expert && (got.1 - want).abs() < 1e-6, "{got:?}");
        }
        let sum: f32 = chosen(&scores, 2, true).iter().map(|(_, weight)| weight).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn columns_are_by_expert_and_those_of_one_by_token() {
        let choice = |expert| Choice { expert, ..Choice::default() };
        let choices = [[0, 3], [1, 3], [0, 1]].as_flattened().iter().map(|&e| choice(e)).collect();
        let mut routed = Routed { choices, ..Routed::default() };
        routed.group(3, &config(5, 2, false));
        assert_eq!((&routed.experts[..], &routed.ends[..]), (&[0, 1, 3][..], &[2, 4, 6][..]));
        assert_eq!(routed.tokens, [0, 2, 1, 2, 0, 1]);
        let columns: Vec<usize> = routed.choices.iter().map(|choice| choice.column).collect();
        assert_eq!(columns, [0, 4, 2, 5, 1, 3]);
    }
}
