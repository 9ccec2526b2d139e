//! Who chooses the next token.

use crate::kernels::Kernels;
use crate::model::Sampler;

/// Chooses the next token from the logits: a [`Sampler`], or any function with these arguments.
///
/// It is asked once for each token of the text, in order, whether tokens were drafted or not: one that keeps a state, as a grammar
/// does, need not know of speculation.
pub trait Choose {
    /// The token after `history`, which ends with the last token of the text. `logits`, `[vocab]`, may be changed.
    fn choose(&mut self, kernels: &Kernels, logits: &mut [f32], history: &[u32]) -> u32;

    /// A sampler that is likely to choose as this one will, for a model that drafts: a copy, if it is one; else one that takes
    /// the most likely token.
    fn draft_sampler(&self) -> Sampler {
        Sampler::greedy()
    }
}

impl Choose for Sampler {
    fn choose(&mut self, kernels: &Kernels, logits: &mut [f32], history: &[u32]) -> u32 {
        self.sample(kernels, logits, history)
    }

    fn draft_sampler(&self) -> Sampler {
        self.clone()
    }
}

impl<F: FnMut(&Kernels, &mut [f32], &[u32]) -> u32> Choose for F {
    fn choose(&mut self, kernels: &Kernels, logits: &mut [f32], history: &[u32]) -> u32 {
        self(kernels, logits, history)
    }
}
