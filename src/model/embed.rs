//! Vectors of texts: what the last norm of a model makes of their tokens, as one.
//!
//! # Contract
//! - The mean is the sum over ascending tokens in f64, divided by their number, rounded to f32 once.
//! - A vector that is normalised is `x / √Σx²`: the sum over ascending elements, the root and the quotient in f64, rounded
//!   once. One whose sum is not positive and finite is left as it is.
//!
//! So a text's vector has the same bits on every CPU, whatever texts came before it.

use std::fmt;
use std::str::FromStr;

use super::{Error, Model, Session};

/// How a text's tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all tokens.
    #[default]
    Mean,
    /// The last token, which has seen all others.
    Last,
}

impl Pooling {
    /// Every kind.
    pub const ALL: [Pooling; 2] = [Pooling::Mean, Pooling::Last];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::Last => "last",
        }
    }

    /// What the model's file asks for under `pooling_type`, if it asks for anything.
    ///
    /// # Errors
    /// If that is none of these kinds.
    pub fn of(model: &Model) -> Result<Option<Pooling>, Error> {
        let key = format!("{}.pooling_type", model.config().architecture);
        match model.file().metadata().u64(&key)? {
            None | Some(0) => Ok(None),
            Some(1) => Ok(Some(Pooling::Mean)),
            Some(3) => Ok(Some(Pooling::Last)),
            Some(n) => Err(super::config::error(
                model.file(),
                format!("`{key}` is {n}; supported are 0 (none), 1 (mean) and 3 (last)"),
            )),
        }
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Pooling {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|pooling| pooling.name() == name);
        found.ok_or_else(|| format!("unknown pooling `{name}`; expected mean or last"))
    }
}

/// The vector of a text, `[embedding]`. What the session held before is forgotten.
///
/// ```no_run
/// use quintile::model::embed::{Pooling, embed, normalise};
/// use quintile::model::{Error, Session};
///
/// fn nearness(session: &mut Session<'_>, a: &[u32], b: &[u32]) -> Result<f32, Error> {
///     let mut vectors = [embed(session, a, Pooling::Mean)?, embed(session, b, Pooling::Mean)?];
///     vectors.iter_mut().for_each(|vector| normalise(vector));
///     Ok(vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum())
/// }
/// ```
///
/// # Errors
/// If there are no tokens, and as [`Session::forward`].
pub fn embed(
    session: &mut Session<'_>,
    tokens: &[u32],
    pooling: Pooling,
) -> Result<Vec<f32>, Error> {
    let Some(last) = tokens.len().checked_sub(1) else {
        return Err(Error::Session("a text without tokens has no vector".into()));
    };
    session.truncate(0);
    let mut vector = Vec::new();
    match pooling {
        Pooling::Last => session.forward_states(tokens, |token, state| {
            if token == last {
                vector.extend_from_slice(state);
            }
        })?,
        Pooling::Mean => {
            let mut sums = Vec::new();
            session.forward_states(tokens, |_, state| {
                sums.resize(state.len(), 0.0);
                sums.iter_mut().zip(state).for_each(|(sum, &x)| *sum += f64::from(x));
            })?;
            let count = tokens.len() as f64;
            vector.extend(sums.iter().map(|sum| (sum / count) as f32));
        }
    }
    Ok(vector)
}

/// Gives a vector the length 1, by the [contract](self).
pub fn normalise(vector: &mut [f32]) {
    let sum = vector.iter().fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x));
    if sum > 0.0 && sum.is_finite() {
        let len = libm::sqrt(sum);
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / len) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalised_vector_has_the_length_1_and_none_is_made_up() {
        let mut vector = [3.0, -4.0];
        normalise(&mut vector);
        assert_eq!(vector, [0.6, -0.8]);
        // Squares that an f32 cannot hold.
        let mut vector = [3.0, 4.0].map(|x| x * 2f32.powi(100));
        normalise(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        for same in [[0.0; 2], [f32::INFINITY, 1.0]] {
            let mut vector = same;
            normalise(&mut vector);
            assert_eq!(vector, same);
        }
    }
}
