//! What follows from the name of an architecture alone.

use std::fmt;

use crate::kernels::Kernels;
use crate::kernels::elementwise::RopePairs;

/// An architecture that the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama 1 to 3, and what follows its layout: Mistral, SmolLM 2.
    Llama,
    /// Ministral 3: the layout of Llama, YaRN, and queries that grow with their position.
    Mistral3,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 2 with experts, one of which every token passes.
    Qwen2Moe,
    /// Qwen 3: norms on queries and keys.
    Qwen3,
    /// Qwen 3 with experts.
    Qwen3Moe,
    /// Phi 3 and 4: queries, keys and values in one matrix, gate and up in another; rotations that turn slower in a long
    /// context.
    Phi3,
    /// SmolLM 3: the layout of Llama; no rotation in every fourth layer.
    SmolLm3,
    /// Gemma 2: norms after each half of a layer too, soft caps on scores and logits, a sliding window in every second
    /// layer.
    Gemma2,
    /// Gemma 3, its text part: norms after each half of a layer too, and on queries and keys; a
    /// sliding window in most layers.
    Gemma3,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 10] = [
        Self::Llama,
        Self::Mistral3,
        Self::Qwen2,
        Self::Qwen2Moe,
        Self::Qwen3,
        Self::Qwen3Moe,
        Self::Phi3,
        Self::SmolLm3,
        Self::Gemma2,
        Self::Gemma3,
    ];

    /// Its name in `general.architecture`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral3 => "mistral3",
            Self::Qwen2 => "qwen2",
            Self::Qwen2Moe => "qwen2moe",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3moe",
            Self::Phi3 => "phi3",
            Self::SmolLm3 => "smollm3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
        }
    }

    /// Which elements of a head are rotated together.
    pub(crate) fn rope_pairs(self) -> RopePairs {
        match self {
            Self::Llama | Self::Mistral3 | Self::SmolLm3 => RopePairs::Neighbours,
            _ => RopePairs::Halves,
        }
    }

    /// The activation of the feed-forward network.
    pub(crate) fn gate(self) -> Gate {
        if self.is_gemma() { Gate::Gelu } else { Gate::Silu }
    }

    /// Embeddings that are scaled, and norms after each half of a layer.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// Elements of a head by which scores are scaled: of the largest models of a family, which their layers tell, not
    /// those that it has.
    pub(crate) fn scaled_by(self, layers: usize, head_dim: usize, share: usize) -> usize {
        match (self, layers) {
            (Self::Gemma2, 46) | (Self::Gemma3, 62) => share,
            _ => head_dim,
        }
    }

    /// Soft caps of scores and of logits, where the file does not tell.
    pub(crate) fn soft_caps(self) -> [Option<f32>; 2] {
        if self == Self::Gemma2 { [Some(50.0), Some(30.0)] } else { [None; 2] }
    }

    /// Whether queries, keys and values have biases; where they need not, they may.
    pub(crate) fn needs_biases(self) -> bool {
        matches!(self, Self::Qwen2 | Self::Qwen2Moe)
    }

    /// Whether queries and keys have norms; where they need not, they may.
    pub(crate) fn needs_head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Qwen3Moe | Self::Gemma3)
    }

    /// Whether the feed-forward network is a mixture of experts.
    pub(crate) fn has_experts(self) -> bool {
        matches!(self, Self::Qwen2Moe | Self::Qwen3Moe)
    }

    /// Whether matrices that read the same columns are stored as one.
    pub(crate) fn is_fused(self) -> bool {
        self == Self::Phi3
    }

    /// Of so many layers all but the last have the window, unless the file tells which; `None` where none has one.
    pub(crate) fn window_pattern(self) -> Option<WindowPattern> {
        match self {
            Self::Phi3 => Some(WindowPattern::All),
            Self::Gemma2 => Some(WindowPattern::AllButLastOf(2)),
            Self::Gemma3 => Some(WindowPattern::AllButLastOf(6)),
            _ => None,
        }
    }

    /// Whether layers with a window turn by a base of their own, and are not scaled.
    pub(crate) fn has_window_rope(self) -> bool {
        self == Self::Gemma3
    }

    /// Whether a layer rotates queries and keys.
    pub(crate) fn rotates(self, layer: usize) -> bool {
        self != Self::SmolLm3 || layer % 4 != 3
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which layers have a window where the file does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowPattern {
    /// Each.
    All,
    /// Of so many, all but the last.
    AllButLastOf(usize),
}

/// The gate's activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Silu,
    Gelu,
}

impl Gate {
    /// `gate = f(gate) · up`.
    pub(crate) fn apply(self, kernels: &Kernels, gate: &mut [f32], up: &[f32]) {
        match self {
            Gate::Silu => kernels.silu_mul(gate, up),
            Gate::Gelu => kernels.gelu_mul(gate, up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_largest_gemmas_are_scaled_by_the_embeddings_share() {
        // 27B: 4608 elements and 32 heads of 128; 5376 and 32 of 128. Smaller ones: the head's own.
        assert_eq!(Architecture::Gemma2.scaled_by(46, 128, 4608 / 32), 144);
        assert_eq!(Architecture::Gemma3.scaled_by(62, 128, 5376 / 32), 168);
        assert_eq!(Architecture::Gemma2.scaled_by(26, 256, 2304 / 8), 256);
        assert_eq!(Architecture::Qwen3.scaled_by(46, 128, 64), 128);
    }

    #[test]
    fn every_fourth_layer_of_smollm3_does_not_rotate() {
        let rotates = |i| Architecture::SmolLm3.rotates(i);
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(rotates), [true, true, true, false].repeat(2)[..]);
        assert!((0..8).all(|i| Architecture::Llama.rotates(i)));
    }
}
