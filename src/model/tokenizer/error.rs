//! What can be wrong with a vocabulary.

use super::pretokenize::PreTokenizer;
use super::vocab::MAX_TOKEN_LEN;
use crate::gguf::Quoted;

/// Why a vocabulary makes no tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `tokenizer.ggml.model` names a kind that is not supported.
    #[error("tokenizer model {} is not supported (supported: llama, gpt2)", Quoted(model))]
    UnsupportedModel {
        /// The name found.
        model: String,
    },
    /// `tokenizer.ggml.pre` names a pre-tokeniser that is not supported.
    #[error("pre-tokenizer {} is not supported (supported: {})", Quoted(name), supported_pre())]
    UnsupportedPreTokenizer {
        /// The name found.
        name: String,
    },
    /// The list of tokens is empty.
    #[error("the vocabulary has no tokens")]
    NoTokens,
    /// A list is longer than ids can count.
    #[error("the vocabulary has too many {field}")]
    TooMany {
        /// The list.
        field: &'static str,
    },
    /// A list does not have one entry a token.
    #[error("{field} has {found} entries for {expected} tokens")]
    Length {
        /// The list.
        field: &'static str,
        /// Its length.
        found: usize,
        /// The number of tokens.
        expected: usize,
    },
    /// A score cannot be ordered.
    #[error("the score of token {id} is not a number")]
    ScoreIsNan {
        /// The token.
        id: usize,
    },
    /// A special id is not that of a token.
    #[error("{field} is token {id}, but the vocabulary has {tokens} tokens")]
    IdOutOfRange {
        /// Which special token.
        field: &'static str,
        /// The id found.
        id: u32,
        /// The number of tokens.
        tokens: usize,
    },
    /// `add_bos` or `add_eos` is set, but there is no such token.
    #[error("{field} is set, but the vocabulary names no such token")]
    NothingToAdd {
        /// The setting.
        field: &'static str,
    },
    /// A text is too long for a token.
    #[error("token {id} has {len} bytes, more than {MAX_TOKEN_LEN}")]
    TokenTooLong {
        /// The token.
        id: usize,
        /// The length of its text in bytes.
        len: usize,
    },
    /// Two tokens have the same text.
    #[error("tokens {first} and {second} have the same text {}", Quoted(text))]
    DuplicateToken {
        /// The first token.
        first: u32,
        /// The second token.
        second: usize,
        /// Their text.
        text: String,
    },
    /// A token of type "byte" is not written `<0xXX>`.
    #[error("token {id} is of type byte, but its text {} is not of the form <0xXX>", Quoted(text))]
    NotAByteToken {
        /// The token.
        id: usize,
        /// Its text.
        text: String,
    },
    /// A byte-level vocabulary without merges.
    #[error("the vocabulary has no merges")]
    NoMerges,
    /// A merge does not consist of two parts.
    #[error("merge {index}, {}, has no space between two tokens", Quoted(merge))]
    MergeWithoutSpace {
        /// Its place in the list.
        index: usize,
        /// Its text.
        merge: String,
    },
    /// A part of a merge, or its result, is not a token.
    #[error(
        "merge {index}, {}, needs token {}, which does not exist",
        Quoted(merge),
        Quoted(token)
    )]
    MergeOfUnknownToken {
        /// Its place in the list.
        index: usize,
        /// Its text.
        merge: String,
        /// The token that is missing.
        token: String,
    },
}

fn supported_pre() -> String {
    PreTokenizer::names().collect::<Vec<_>>().join(", ")
}
