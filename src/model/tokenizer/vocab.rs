//! What a tokenizer is made from, and what each token is.

use std::borrow::Cow;

use super::Error;
use super::bytes::{byte_token_value, decode_text};
use super::spm::SPACE_MARK;
use super::texts::Texts;

/// The longest text of a token, in bytes. It bounds the time that encoding takes per byte of
/// text; the longest tokens of published vocabularies have a few hundred bytes.
pub const MAX_TOKEN_LEN: usize = 4096;

/// A vocabulary as a GGUF file states it: the fields are the keys `tokenizer.ggml.*`.
///
/// The lists may be borrowed: copies of a quarter of a million strings take time and memory.
#[derive(Clone, Debug, Default)]
pub struct Vocab<'a> {
    /// `tokenizer.ggml.model`: `llama` (SentencePiece BPE) or `gpt2` (byte-level BPE).
    pub model: String,
    /// `tokenizer.ggml.pre`: the pre-tokeniser of a `gpt2` vocabulary; `default` if absent.
    pub pre: Option<String>,
    /// `general.name`. Only one thing depends on it: in Phi-3 the white space behind a special
    /// token belongs to that token.
    pub name: Option<String>,
    /// The text of every token; spaces are written U+2581 (`llama`) or `Ġ` (`gpt2`).
    pub tokens: Vec<Cow<'a, str>>,
    /// Merge scores of a `llama` vocabulary: one a token, or none at all.
    pub scores: Cow<'a, [f32]>,
    /// Token types: one a token, or none at all. 1 normal, 2 unknown, 3 control, 4 user-defined,
    /// 5 unused, 6 byte.
    pub token_types: Cow<'a, [i32]>,
    /// Merges of a `gpt2` vocabulary, best first: two tokens separated by a space.
    pub merges: Vec<Cow<'a, str>>,
    /// Beginning of sequence. A `llama` vocabulary without one has token 1.
    pub bos: Option<u32>,
    /// End of sequence. A `llama` vocabulary without one has token 2.
    pub eos: Option<u32>,
    /// End of turn. If absent, found by its name (`<|im_end|>`, `<end_of_turn>`, ...).
    pub eot: Option<u32>,
    /// End of message. If absent, found by its name.
    pub eom: Option<u32>,
    /// Unknown token. A `llama` vocabulary without one has token 0.
    pub unk: Option<u32>,
    /// Separator.
    pub sep: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Fill in the middle: padding. If absent, found by its name.
    pub fim_pad: Option<u32>,
    /// Fill in the middle: repository name. If absent, found by its name.
    pub fim_rep: Option<u32>,
    /// Fill in the middle: file separator. If absent, found by its name.
    pub fim_sep: Option<u32>,
    /// Whether BOS is prepended. If absent: yes for `llama`, by pre-tokeniser for `gpt2`.
    pub add_bos: Option<bool>,
    /// Whether EOS is appended. If absent: no.
    pub add_eos: Option<bool>,
    /// Whether text starts with an implied space. If absent: yes for `llama`, no for `gpt2`.
    pub add_space_prefix: Option<bool>,
}

/// What a token is: a set, since a name can make a control token of a normal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes(u8);

impl Attributes {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NORMAL: Self = Self(1);
    pub(super) const UNKNOWN: Self = Self(1 << 1);
    pub(super) const CONTROL: Self = Self(1 << 2);
    pub(super) const USER_DEFINED: Self = Self(1 << 3);
    pub(super) const BYTE: Self = Self(1 << 4);

    const fn of_type(token_type: i32) -> Self {
        match token_type {
            1 => Self::NORMAL,
            2 => Self::UNKNOWN,
            3 => Self::CONTROL,
            4 => Self::USER_DEFINED,
            6 => Self::BYTE,
            _ => Self::NONE,
        }
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `set` is set.
    pub(super) const fn any(self, set: Self) -> bool {
        self.0 & set.0 != 0
    }

    /// Control and unknown tokens: parsed from text and rendered only on request.
    pub(super) const fn is_hidden(self) -> bool {
        self.any(Self::CONTROL.or(Self::UNKNOWN))
    }

    /// Tokens that are looked for in the text before anything else.
    pub(super) const fn is_special(self) -> bool {
        self.is_hidden() || self.any(Self::USER_DEFINED)
    }
}

/// The two kinds of vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SentencePiece,
    ByteLevel,
}

impl Kind {
    pub(super) fn named(model: &str) -> Result<Self, Error> {
        match model {
            "llama" => Ok(Self::SentencePiece),
            "gpt2" => Ok(Self::ByteLevel),
            _ => Err(Error::UnsupportedModel { model: model.to_owned() }),
        }
    }
}

impl Vocab<'_> {
    /// Checks the lists against each other and every id against the list of tokens, and takes that
    /// list into an index. Empty tokens get a name there.
    pub(super) fn check(&mut self) -> Result<Texts, Error> {
        let count = self.tokens.len();
        if count == 0 {
            return Err(Error::NoTokens);
        }
        if i32::try_from(count).is_err() {
            return Err(Error::TooMany { field: "tokens" });
        }
        for (field, found) in
            [("scores", self.scores.len()), ("token_types", self.token_types.len())]
        {
            if found != 0 && found != count {
                return Err(Error::Length { field, found, expected: count });
            }
        }
        if let Some(id) = self.scores.iter().position(|score| score.is_nan()) {
            return Err(Error::ScoreIsNan { id });
        }
        for (field, id) in [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("eom", self.eom),
            ("unk", self.unk),
            ("sep", self.sep),
            ("pad", self.pad),
            ("fim_pad", self.fim_pad),
            ("fim_rep", self.fim_rep),
            ("fim_sep", self.fim_sep),
        ] {
            match id {
                Some(id) if id as usize >= count => {
                    return Err(Error::IdOutOfRange { field, id, tokens: count });
                }
                _ => {}
            }
        }
        for (id, text) in self.tokens.iter().enumerate() {
            if text.len() > MAX_TOKEN_LEN {
                return Err(Error::TokenTooLong { id, len: text.len() });
            }
        }
        let bytes = self.tokens.iter().map(|text| text.len()).sum();
        if u32::try_from(bytes).is_err() {
            return Err(Error::TooMany { field: "bytes in its tokens" });
        }
        let mut texts = Texts::with_capacity(count, bytes);
        for (second, mut text) in std::mem::take(&mut self.tokens).into_iter().enumerate() {
            if text.is_empty() {
                text = format!("[EMPTY_{second}]").into();
            }
            texts.push(&text).map_err(|first| Error::DuplicateToken {
                first,
                second,
                text: text.into_owned(),
            })?;
        }
        Ok(texts)
    }

    /// The attributes of each of `count` tokens, before names are looked at.
    pub(super) fn attributes(&self, count: usize) -> Vec<Attributes> {
        match self.token_types.len() {
            0 => vec![Attributes::NORMAL; count],
            _ => self.token_types.iter().map(|&token| Attributes::of_type(token)).collect(),
        }
    }
}

/// The bytes that every token stands for, end to end.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Pieces {
    pub(super) fn new(kind: Kind, texts: &Texts, attributes: &[Attributes]) -> Result<Self, Error> {
        let mut pieces = Self::default();
        for (id, (text, attributes)) in texts.iter().zip(attributes).enumerate() {
            if attributes.is_special() {
                pieces.bytes.extend_from_slice(text.as_bytes());
            } else if attributes.any(Attributes::NORMAL) {
                match kind {
                    Kind::SentencePiece => {
                        pieces.bytes.extend_from_slice(text.replace(SPACE_MARK, " ").as_bytes());
                    }
                    Kind::ByteLevel => pieces.bytes.extend_from_slice(&decode_text(text)),
                }
            } else if attributes.any(Attributes::BYTE) {
                let value = byte_token_value(text)
                    .ok_or_else(|| Error::NotAByteToken { id, text: text.to_owned() })?;
                pieces.bytes.push(value);
            }
            // No longer than the texts together, whose length fits.
            pieces.ends.push(pieces.bytes.len() as u32);
        }
        Ok(pieces)
    }

    /// The bytes of a token; nothing for an id outside the vocabulary.
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }
}
