//! The mixture of experts that a feed-forward network may be.

use super::Error;
use super::reader::Reader;

/// How a mixture of experts is built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExpertConfig {
    /// Experts of a layer.
    pub count: usize,
    /// Those that a token passes.
    pub used: usize,
    /// Values between the gate of an expert and its way down.
    pub feed_forward: usize,
    /// The same of the expert that every token passes, if there is one.
    pub shared_feed_forward: Option<usize>,
    /// Whether the weights of the chosen are divided by their sum.
    pub normalised: bool,
    /// What the weights are multiplied by at last.
    pub scale: f32,
}

impl ExpertConfig {
    /// What the metadata say; `None` where the architecture has no experts.
    pub(super) fn new(reader: &Reader<'_>) -> Result<Option<ExpertConfig>, Error> {
        let architecture = reader.architecture;
        if !architecture.has_experts() {
            return none(reader).map(|()| None);
        }
        let count = reader.count("expert_count")?;
        let used = reader.count("expert_used_count")?;
        if used > count {
            return Err(reader.error(format!(
                "`{architecture}.expert_used_count` is {used}; expected at most \
                 `{architecture}.expert_count`, {count}"
            )));
        }
        // Files of before there was a key for it.
        let feed_forward = match reader.optional_count("expert_feed_forward_length")? {
            Some(n) => n,
            None => {
                let all = reader.count("feed_forward_length")?;
                (all / used).max(1)
            }
        };
        let has_shared = architecture == super::Architecture::Qwen2Moe;
        let shared_feed_forward = match has_shared {
            true => match reader.optional_count("expert_shared_feed_forward_length")? {
                None => Some(reader.count("feed_forward_length")?),
                some => some,
            },
            false => None,
        };
        let key = format!("{architecture}.expert_weights_norm");
        let normalised = reader.file.metadata().bool(&key)?;
        // A factor of 0 is how some writers say none.
        let scale =
            reader.number_where("expert_weights_scale", "that is not negative", |x| x >= 0.0)?;
        Ok(Some(ExpertConfig {
            count,
            used,
            feed_forward,
            shared_feed_forward,
            // Where files leave it out, the name tells.
            normalised: normalised.unwrap_or(!has_shared),
            scale: scale.filter(|&x| x > 0.0).unwrap_or(1.0),
        }))
    }
}

/// A dense network must not count experts.
fn none(reader: &Reader<'_>) -> Result<(), Error> {
    let key = format!("{}.expert_count", reader.architecture);
    match reader.file.metadata().u64(&key)? {
        None | Some(0) => Ok(()),
        Some(n) => Err(reader.error(format!(
            "`{key}` is {n}; expected 0: mixtures of experts are not supported of this architecture"
        ))),
    }
}
