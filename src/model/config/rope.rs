//! How the rotary position embedding is stretched: by the metadata, and by whoever loads the model.

use std::fmt;
use std::str::FromStr;

use crate::gguf::Quoted;

use super::Error;
use super::reader::Reader;

/// How positions beyond those of training are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// They are not.
    #[default]
    None,
    /// Every pair turns slower by the same factor.
    Linear,
    /// Pairs that turn seldom within the original context turn slower, those that turn often do not: [YaRN].
    ///
    /// [YaRN]: https://arxiv.org/abs/2309.00071
    Yarn,
}

impl RopeScaling {
    /// Each.
    pub const ALL: [RopeScaling; 3] = [RopeScaling::None, RopeScaling::Linear, RopeScaling::Yarn];

    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            RopeScaling::None => "none",
            RopeScaling::Linear => "linear",
            RopeScaling::Yarn => "yarn",
        }
    }
}

impl fmt::Display for RopeScaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RopeScaling {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scaling| scaling.name() == name);
        found.ok_or_else(|| format!("unknown rope scaling `{name}`; expected none, linear or yarn"))
    }
}

/// What replaces the rotation that a file's metadata describe; what is `None` is left to these.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RopeOptions {
    /// How positions are stretched.
    pub scaling: Option<RopeScaling>,
    /// By how much: 4 reaches four times the context. With no `scaling`, and none in the file, linear.
    pub scale: Option<f32>,
    /// The base of the frequencies.
    pub base: Option<f32>,
    /// Positions that the model was trained for before it was stretched: of YaRN.
    pub original_context: Option<usize>,
    /// How much of the frequencies' own speed YaRN leaves to pairs that turn often: 0 is linear scaling, 1 all of it.
    pub yarn_ext_factor: Option<f32>,
    /// What YaRN multiplies rotated elements by, beside `1 + 0.1 ln scale`.
    pub yarn_attention_factor: Option<f32>,
    /// Pairs that turn so often within the original context, or more, are not stretched by YaRN.
    pub yarn_beta_fast: Option<f32>,
    /// Those that turn so often, or less, are stretched by all of the scale.
    pub yarn_beta_slow: Option<f32>,
}

impl RopeOptions {
    /// Whether every number makes sense by itself.
    fn check(&self) -> Result<(), Error> {
        let above_0 = |x| x > 0.0;
        let not_negative = |x| x >= 0.0;
        let share = |x| (0.0..=1.0).contains(&x);
        type Number = (&'static str, Option<f32>, &'static str, fn(f32) -> bool);
        let numbers: [Number; 6] = [
            ("the rope scale", self.scale, "above 0", above_0),
            ("the rope base", self.base, "above 0", above_0),
            ("the YaRN extrapolation factor", self.yarn_ext_factor, "from 0 to 1", share),
            ("the YaRN attention factor", self.yarn_attention_factor, "above 0", above_0),
            ("YaRN's fast beta", self.yarn_beta_fast, "that is not negative", not_negative),
            ("YaRN's slow beta", self.yarn_beta_slow, "that is not negative", not_negative),
        ];
        for (name, number, expected, sound) in numbers {
            if let Some(x) = number.filter(|&x| !(x.is_finite() && sound(x))) {
                let message = format!("{name} is {x}; expected a finite number {expected}");
                return Err(Error::Options(message));
            }
        }
        if self.original_context == Some(0) {
            return Err(Error::Options("the original context is 0; expected at least 1".into()));
        }
        Ok(())
    }
}

/// The rotation of a model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RopeConfig {
    /// Elements of a head that are rotated.
    pub dims: usize,
    /// Pair `i` of `dims / 2` turns by `base^(-2i/dims)` a position.
    pub base: f32,
    /// How positions are stretched.
    pub scaling: RopeScaling,
    /// By how much; 1 for not at all.
    pub scale: f32,
    /// Positions that the model was trained for before it was stretched. Longer contexts have factors of their own,
    /// where a model has two sets of them.
    pub original_context: usize,
    /// What rotated elements are multiplied by.
    pub magnitude: f64,
    /// [`RopeOptions::yarn_ext_factor`].
    pub yarn_ext_factor: f32,
    /// [`RopeOptions::yarn_beta_fast`].
    pub yarn_beta_fast: f32,
    /// [`RopeOptions::yarn_beta_slow`].
    pub yarn_beta_slow: f32,
    /// The base of layers with a sliding window, where these have one of their own; they are not scaled.
    pub window_base: Option<f32>,
}

impl RopeConfig {
    pub(super) fn new(
        reader: &Reader<'_>,
        head_dim: usize,
        context_length: usize,
        options: &RopeOptions,
    ) -> Result<RopeConfig, Error> {
        options.check()?;
        let (scaling, scale) = scaling(reader, options)?;
        let base = reader.positive("rope.freq_base")?.unwrap_or(10_000.0);
        let original = reader
            .optional_count_up_to("rope.scaling.original_context_length", u32::MAX.into())?
            .unwrap_or(context_length);
        let yarn = |key: &str| {
            reader
                .number_where(&format!("rope.scaling.{key}"), "that is not negative", |x| x >= 0.0)
        };
        // Negative is how writers say that the type tells.
        let ext_factor = reader
            .number_where("rope.scaling.yarn_ext_factor", "up to 1", |x| x <= 1.0)?
            .filter(|&x| x >= 0.0);
        let attention = reader.positive("rope.scaling.attn_factor")?;
        let yarn_attention = reader.positive("rope.scaling.yarn_attn_factor")?;
        let log_multiplier = yarn("yarn_log_multiplier")?;
        let (fast, slow) = (yarn("yarn_beta_fast")?, yarn("yarn_beta_slow")?);
        let window_base = reader.positive("rope.freq_base_swa")?;
        let window_base =
            reader.architecture.has_window_rope().then(|| window_base.unwrap_or(10_000.0));
        let mut magnitude = f64::from(attention.unwrap_or(1.0));
        if scaling == RopeScaling::Yarn {
            let factor = options.yarn_attention_factor.or(yarn_attention).unwrap_or(1.0);
            magnitude *= f64::from(factor) * yarn_magnitude(scale, log_multiplier);
        }
        Ok(RopeConfig {
            dims: dims(reader, head_dim)?,
            base: options.base.unwrap_or(base),
            scaling,
            scale,
            original_context: options.original_context.unwrap_or(original),
            magnitude,
            yarn_ext_factor: options.yarn_ext_factor.or(ext_factor).unwrap_or(1.0),
            yarn_beta_fast: options.yarn_beta_fast.or(fast).unwrap_or(32.0),
            yarn_beta_slow: options.yarn_beta_slow.or(slow).unwrap_or(1.0),
            window_base,
        })
    }
}

/// What YaRN multiplies rotated elements by: scores then fall off with their number as in the original context.
fn yarn_magnitude(scale: f32, log_multiplier: Option<f32>) -> f64 {
    let by = |multiplier: f64| match scale > 1.0 {
        true => 0.1 * multiplier * libm::log(scale.into()) + 1.0,
        false => 1.0,
    };
    // Some models were trained with it taken out again, all or in part.
    by(1.0) / by(log_multiplier.unwrap_or(0.0).into())
}

/// Elements of a head that are rotated.
fn dims(reader: &Reader<'_>, head_dim: usize) -> Result<usize, Error> {
    let architecture = reader.architecture;
    let dims = reader.optional_count("rope.dimension_count")?;
    if dims.is_none() && !head_dim.is_multiple_of(2) {
        return Err(reader.error(format!(
            "heads have {head_dim} elements; expected an even number, or \
             `{architecture}.rope.dimension_count`"
        )));
    }
    let dims = dims.unwrap_or(head_dim);
    if dims > head_dim || dims % 2 != 0 {
        return Err(reader.error(format!(
            "`{architecture}.rope.dimension_count` is {dims}; expected an even number up \
             to the head's {head_dim}"
        )));
    }
    Ok(dims)
}

/// How positions are stretched, and by how much.
fn scaling(reader: &Reader<'_>, options: &RopeOptions) -> Result<(RopeScaling, f32), Error> {
    let key = format!("{}.rope.scaling.type", reader.architecture);
    // The older key, and a factor without a type, mean linear scaling.
    let factor = match reader.number("rope.scaling.factor")? {
        None => reader.number("rope.scale_linear")?,
        factor => factor,
    };
    let named = match reader.file.metadata().str(&key)? {
        None => None,
        // Its factors are tensors.
        Some("longrope") => Some(RopeScaling::None),
        Some(name) => match name.parse() {
            Ok(scaling) => Some(scaling),
            Err(_) => {
                return Err(reader.error(format!(
                    "`{key}` is {}; supported are `none`, `linear`, `yarn` and `longrope`, and \
                     llama-3 factors in the tensor `rope_freqs.weight`",
                    Quoted(name)
                )));
            }
        },
    };
    let factor = match (named, factor) {
        // A factor of 0 is how some writers say none.
        (Some(RopeScaling::None), _) | (None, None | Some(0.0)) => None,
        (_, Some(factor)) if factor.is_finite() && factor > 0.0 => Some(factor),
        (_, Some(factor)) => {
            return Err(reader.error(format!(
                "`{}.rope.scaling.factor` is {factor}; expected a finite number above 0",
                reader.architecture
            )));
        }
        (Some(_), None) if options.scale.is_none() => {
            return Err(reader.missing("rope.scaling.factor"));
        }
        (Some(_), None) => None,
    };
    let scale = options.scale.or(factor);
    let named = named.filter(|_| factor.is_some());
    let linear = scale.map_or(RopeScaling::None, |_| RopeScaling::Linear);
    match options.scaling.or(named).unwrap_or(linear) {
        RopeScaling::None => Ok((RopeScaling::None, 1.0)),
        scaling => match scale {
            Some(scale) => Ok((scaling, scale)),
            None => Err(Error::Options(format!(
                "rope scaling `{scaling}` without a scale: give one, as the file has none"
            ))),
        },
    }
}
