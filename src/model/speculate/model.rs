//! A smaller model that drafts.

use super::{Draft, Error, Sampler};
use crate::model::Session;
use crate::model::tokenizer::Tokenizer;

/// Guesses by another model with the same vocabulary, usually a smaller one of the same family.
///
/// It chooses by a copy of the sampler, with the random numbers that the tokens will be chosen with.
pub struct DraftModel<'m> {
    session: Session<'m>,
    /// What the session holds.
    held: Vec<u32>,
}

/// The first difference between two vocabularies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the models have different vocabularies: token {token} is {} in the model, and {} in the draft",
    describe(of_model),
    describe(of_draft)
)]
#[non_exhaustive]
pub struct VocabularyError {
    /// The first token that differs.
    pub token: u32,
    /// What it stands for in the model; `None` where there is no such token.
    pub of_model: Option<String>,
    /// What it stands for in the draft.
    pub of_draft: Option<String>,
}

fn describe(text: &Option<String>) -> String {
    text.as_ref().map_or_else(|| "none".into(), Clone::clone)
}

impl<'m> DraftModel<'m> {
    /// Drafts in this session, which holds nothing yet; its context should be as large as the text's.
    ///
    /// # Errors
    /// If a token of one vocabulary is not the same in the other.
    pub fn new(
        session: Session<'m>,
        of_model: &Tokenizer,
        of_draft: &Tokenizer,
    ) -> Result<Self, VocabularyError> {
        compare(of_model, of_draft)?;
        let mut session = session;
        session.truncate(0);
        Ok(DraftModel { session, held: Vec::new() })
    }

    /// The session.
    pub fn session(&self) -> &Session<'m> {
        &self.session
    }
}

fn compare(of_model: &Tokenizer, of_draft: &Tokenizer) -> Result<(), VocabularyError> {
    let token = |tokenizer: &Tokenizer, id: u32| {
        let bytes = || tokenizer.token_bytes(id).to_vec();
        let known = (id as usize) < tokenizer.vocab_len();
        known.then(|| (bytes(), tokenizer.is_control(id), tokenizer.is_end_of_generation(id)))
    };
    let describe = |token: Option<(Vec<u8>, bool, bool)>| {
        let (bytes, control, end) = token?;
        let text = format!("{:?}", String::from_utf8_lossy(&bytes));
        Some(match (control, end) {
            (_, true) => format!("{text} (ends a text)"),
            (true, _) => format!("{text} (control)"),
            _ => text,
        })
    };
    let tokens = of_model.vocab_len().max(of_draft.vocab_len());
    for id in 0..u32::try_from(tokens).unwrap_or(u32::MAX) {
        let (a, b) = (token(of_model, id), token(of_draft, id));
        if a != b {
            let (of_model, of_draft) = (describe(a), describe(b));
            return Err(VocabularyError { token: id, of_model, of_draft });
        }
    }
    Ok(())
}

impl Draft for DraftModel<'_> {
    fn propose(
        &mut self,
        tokens: &[u32],
        sampler: &mut Sampler,
        most: usize,
        draft: &mut Vec<u32>,
    ) -> Result<usize, Error> {
        let DraftModel { session, held } = self;
        let room = session.context().saturating_sub(tokens.len());
        let vocab = session.model().config().vocab;
        if room == 0 || tokens.iter().any(|&token| token as usize >= vocab) {
            return Ok(0);
        }
        // An error leaves what was done: the session tells how much.
        held.truncate(session.position());
        let same = held.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        // The logits after the last token are wanted, so that is computed in any case.
        let same = same.min(tokens.len() - 1);
        session.truncate(same);
        held.truncate(same);
        held.extend_from_slice(&tokens[same..]);
        session.forward(&tokens[same..])?;
        for i in 0..most.min(room + 1) {
            let kernels = session.model().kernels();
            let token = sampler.sample(kernels, session.logits(), held);
            draft.push(token);
            if i + 1 < most.min(room + 1) {
                held.push(token);
                session.forward(&[token])?;
            }
        }
        Ok(0)
    }

    fn is_free(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokenizer::Vocab;

    fn tokenizer(tokens: &[&str], types: &[i32]) -> Tokenizer {
        let vocab = Vocab {
            model: "llama".into(),
            tokens: tokens.iter().map(|&token| token.into()).collect(),
            scores: vec![0.0; tokens.len()].into(),
            token_types: types.to_vec().into(),
            ..Vocab::default()
        };
        Tokenizer::new(vocab).unwrap()
    }

    #[test]
    fn the_first_difference_of_two_vocabularies_is_shown() {
        let base = tokenizer(&["<unk>", "<s>", "</s>", "a", "b"], &[2, 3, 3, 1, 1]);
        assert_eq!(compare(&base, &base), Ok(()));
        let message = |other: &Tokenizer| compare(&base, other).unwrap_err().to_string();
        let other = tokenizer(&["<unk>", "<s>", "</s>", "x", "y"], &[2, 3, 3, 1, 1]);
        assert!(message(&other).ends_with(r#"token 3 is "a" in the model, and "x" in the draft"#));
        let other = tokenizer(&["<unk>", "<s>", "</s>", "a"], &[2, 3, 3, 1]);
        assert!(message(&other).ends_with(r#"token 4 is "b" in the model, and none in the draft"#));
        let other = tokenizer(&["<unk>", "<s>", "</s>", "a", "b"], &[2, 3, 3, 3, 1]);
        assert!(message(&other).contains(r#"and "a" (control) in the draft"#));
    }
}
