//! Options that replace the rotation which a file asks for, by the names that llama.cpp gives them.

use crate::model::{RopeOptions, RopeScaling};

use super::output::Failure;

/// How far positions reach.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Longer contexts (what is not given, the file tells)")]
pub struct RopeArgs {
    /// Stretch positions: none, linear or yarn
    #[arg(long, value_name = "TYPE")]
    rope_scaling: Option<RopeScaling>,
    /// By this factor: 4 reaches four times the context
    #[arg(long, value_name = "N")]
    rope_scale: Option<f32>,
    /// By the inverse of this factor
    #[arg(long, value_name = "N", conflicts_with = "rope_scale")]
    rope_freq_scale: Option<f32>,
    /// Base of the frequencies
    #[arg(long, value_name = "N")]
    rope_freq_base: Option<f32>,
    /// YaRN: context that the model was trained for [default: the file's]
    #[arg(long, value_name = "N")]
    yarn_orig_ctx: Option<usize>,
    /// YaRN: how much of their speed fast pairs keep; 0 is linear
    #[arg(long, value_name = "N")]
    yarn_ext_factor: Option<f32>,
    /// YaRN: multiplies what is rotated
    #[arg(long, value_name = "N")]
    yarn_attn_factor: Option<f32>,
    /// YaRN: turns within the original context from which on pairs keep their speed
    #[arg(long, value_name = "N")]
    yarn_beta_fast: Option<f32>,
    /// YaRN: turns within the original context up to which pairs are stretched in full
    #[arg(long, value_name = "N")]
    yarn_beta_slow: Option<f32>,
}

impl RopeArgs {
    /// As the driver wants them.
    pub fn options(&self) -> Result<RopeOptions, Failure> {
        let inverse = match self.rope_freq_scale {
            Some(x) if !(x.is_finite() && x > 0.0) => {
                let message = format!("--rope-freq-scale is {x}; expected a finite number above 0");
                return Err(Failure::Usage(message));
            }
            scale => scale.map(|x| 1.0 / x),
        };
        Ok(RopeOptions {
            scaling: self.rope_scaling,
            scale: self.rope_scale.or(inverse),
            base: self.rope_freq_base,
            original_context: self.yarn_orig_ctx,
            yarn_ext_factor: self.yarn_ext_factor,
            yarn_attention_factor: self.yarn_attn_factor,
            yarn_beta_fast: self.yarn_beta_fast,
            yarn_beta_slow: self.yarn_beta_slow,
        })
    }
}
