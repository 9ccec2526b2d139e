//! Text to tokens and back, from the vocabulary in the model file.
//!
//! Two kinds of vocabulary are supported, under the names that GGUF gives them: `llama`
//! (SentencePiece BPE: Llama 2, Gemma, Phi-3) and `gpt2` (byte-level BPE: GPT-2, Llama 3, Qwen,
//! SmolLM, StarCoder and many more), the latter with the pre-tokeniser that `tokenizer.ggml.pre`
//! names. The tokens are those of llama.cpp 0.5.0, except that
//!
//! - a file that contradicts itself is an error;
//! - a `gpt2` vocabulary that names no BOS or EOS has none (there it is token 11, as in Falcon);
//! - letters and digits new in Unicode 16.0 are letters and digits;
//! - a normal byte-level token with characters outside the byte alphabet decodes to these;
//! - decoding gives back the text that was encoded, where the reference, for some vocabularies,
//!   drops spaces before punctuation and, behind a hidden BOS, keeps the implied one.
//!
//! ```text
//! text -> special tokens cut out (special) -> words (pretokenize; gpt2 only)
//!      -> symbols merged by rank or score (merge, with the tables of bpe and spm) -> ids
//! ```

use std::fmt;
use std::ops::Range;

mod bpe;
mod bytes;
mod error;
mod hash;
mod merge;
mod metadata;
mod names;
mod pretokenize;
mod special;
mod spm;
mod texts;
mod utf8_stream;
mod vocab;
mod words;

pub use error::Error;
pub use utf8_stream::Utf8Stream;
pub use vocab::{MAX_TOKEN_LEN, Vocab};

use bpe::Bpe;
use pretokenize::PreTokenizer;
use special::{Fragment, SpecialTokens};
use spm::Spm;
use vocab::{Attributes, Kind, Pieces};
use words::Workspace;

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add BOS and EOS as the vocabulary asks.
    pub add_special: bool,
    /// Recognise the names of control tokens in the text (`<|im_start|>`, ...). Never set this
    /// for text from users. User-defined tokens are recognised in any case.
    pub parse_special: bool,
}

/// How tokens become text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Render control and unknown tokens by their names; otherwise they vanish.
    pub special: bool,
}

/// A tokenizer, ready to use; see the [module](self).
///
/// ```
/// use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Vocab};
///
/// let tokens = ["<unk>", "<s>", "</s>", "▁", "h", "i", "hi", "▁hi"];
/// let vocab = Vocab {
///     model: "llama".into(),
///     tokens: tokens.map(Into::into).to_vec(),
///     scores: vec![0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -1.0, -2.0].into(),
///     token_types: vec![2, 3, 3, 1, 1, 1, 1, 1].into(),
///     ..Vocab::default()
/// };
/// let tokenizer = Tokenizer::new(vocab)?;
/// let ids = tokenizer.encode("hi hi", EncodeOptions { add_special: true, parse_special: false });
/// assert_eq!(ids, [1, 7, 7]);
/// assert_eq!(tokenizer.decode(&ids[1..], DecodeOptions::default()), b"hi hi");
/// # Ok::<(), quintile::model::tokenizer::Error>(())
/// ```
pub struct Tokenizer {
    encoder: Encoder,
    special: SpecialTokens,
    attributes: Vec<Attributes>,
    pieces: Pieces,
    /// Ascending.
    ends_of_generation: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    eot: Option<u32>,
    unk: Option<u32>,
    sep: Option<u32>,
    pad: Option<u32>,
    add_bos: bool,
    add_eos: bool,
    add_space_prefix: bool,
}

enum Encoder {
    SentencePiece(Spm),
    ByteLevel(Bpe),
}

impl Tokenizer {
    /// Builds the tables of a vocabulary.
    ///
    /// # Errors
    /// If the model or pre-tokeniser is not supported, or the vocabulary contradicts itself:
    /// lists of different lengths, ids outside the list of tokens, two tokens with one text,
    /// merges of tokens that do not exist.
    pub fn new(mut vocab: Vocab<'_>) -> Result<Self, Error> {
        let kind = Kind::named(&vocab.model)?;
        let texts = vocab.check()?;
        let mut attributes = vocab.attributes(texts.len());
        if kind == Kind::SentencePiece {
            let known = |id: u32| ((id as usize) < texts.len()).then_some(id);
            vocab.unk = vocab.unk.or(known(0));
            vocab.bos = vocab.bos.or(known(1));
            vocab.eos = vocab.eos.or(known(2));
        }
        for (field, wanted, token) in
            [("add_bos", vocab.add_bos, vocab.bos), ("add_eos", vocab.add_eos, vocab.eos)]
        {
            if wanted == Some(true) && token.is_none() {
                return Err(Error::NothingToAdd { field });
            }
        }
        let ends_of_generation = names::apply(&mut vocab, &mut attributes, &texts);
        let pieces = Pieces::new(kind, &texts, &attributes)?;
        let special = SpecialTokens::new(&texts, &attributes, space_stripping(&vocab));
        let (encoder, add_bos) = match kind {
            Kind::SentencePiece => {
                let spm = Spm::new(texts, &vocab.scores, vocab.unk);
                (Encoder::SentencePiece(spm), true)
            }
            Kind::ByteLevel => {
                let name = vocab.pre.as_deref().filter(|name| !name.is_empty());
                let name = name.unwrap_or("default");
                let pre = PreTokenizer::named(name)
                    .ok_or_else(|| Error::UnsupportedPreTokenizer { name: name.to_owned() })?;
                if vocab.merges.is_empty() {
                    return Err(Error::NoMerges);
                }
                let bpe = Bpe::new(pre, &vocab.merges, texts)?;
                (Encoder::ByteLevel(bpe), pre.add_bos)
            }
        };
        Ok(Self {
            encoder,
            special,
            attributes,
            pieces,
            ends_of_generation,
            bos: vocab.bos,
            eos: vocab.eos,
            eot: vocab.eot,
            unk: vocab.unk,
            sep: vocab.sep,
            pad: vocab.pad,
            add_bos: vocab.add_bos.unwrap_or(add_bos),
            add_eos: vocab.add_eos.unwrap_or(false),
            add_space_prefix: vocab.add_space_prefix.unwrap_or(kind == Kind::SentencePiece),
        })
    }

    /// The tokens of `text`.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Vec<u32> {
        self.encode_fragments(text, options, &[])
    }

    /// The tokens of a prompt: control tokens are recognised, but not within the ranges of bytes `literal`, which ascend:
    /// what stands there is text, whatever it looks like. Nothing is added.
    pub fn encode_except(&self, text: &str, literal: &[Range<usize>]) -> Vec<u32> {
        let options = EncodeOptions { add_special: false, parse_special: true };
        self.encode_fragments(text, options, literal)
    }

    /// Where the names of control and unknown tokens stand in `text`: ranges of bytes, ascending.
    pub fn control_spans(&self, text: &str) -> Vec<Range<usize>> {
        self.special.hidden_spans(text)
    }

    fn encode_fragments(
        &self,
        text: &str,
        options: EncodeOptions,
        literal: &[Range<usize>],
    ) -> Vec<u32> {
        let mut output = Vec::with_capacity(text.len() / 4 + 2);
        if options.add_special && self.add_bos {
            output.extend(self.bos);
        }
        let mut workspace = Workspace::default();
        let mut after_special = true;
        for fragment in self.special.partition(text, options.parse_special, literal) {
            match (fragment, &self.encoder) {
                (Fragment::Token(id), _) => output.push(id),
                (Fragment::Text(text), Encoder::ByteLevel(bpe)) => {
                    bpe.encode(text, &mut workspace, &mut output);
                }
                (Fragment::Text(text), Encoder::SentencePiece(spm)) => {
                    let space_prefix = self.add_space_prefix && after_special;
                    spm.encode(text, space_prefix, &mut workspace, &mut output);
                }
            }
            after_special = matches!(fragment, Fragment::Token(_));
        }
        if options.add_special && self.add_eos {
            output.extend(self.eos);
        }
        output
    }

    /// The bytes that `ids` stand for: UTF-8, unless a character is cut or the ids are not those
    /// of a text. Ids outside the vocabulary stand for nothing.
    ///
    /// The space that encoding puts before a text is taken away from the first token that is
    /// rendered.
    ///
    /// Text comes back from byte-level tokens as it was, if both sides agree about special tokens:
    ///
    /// | [`encode`](Self::encode) with | `decode` with |
    /// |---|---|
    /// | neither option | either |
    /// | `parse_special` | `special` |
    /// | `add_special` | `special` off |
    ///
    /// Only bytes that no token of the vocabulary holds are lost (StarCoder, SmolLM and Falcon lack
    /// some control characters and the first byte of some unassigned planes), and white space that
    /// a special token of Phi-3 takes. With `llama` vocabularies U+2581 comes back as a space, and
    /// the implied space that follows a special token within the text stays.
    pub fn decode(&self, ids: &[u32], options: DecodeOptions) -> Vec<u8> {
        let rendered = |&&id: &&u32| options.special || !self.is_control(id);
        let mut pieces = ids.iter().filter(rendered).map(|&id| self.token_bytes(id));
        let mut bytes = Vec::with_capacity(4 * ids.len());
        if let Some(first) = pieces.next() {
            let implied = if self.add_space_prefix { first.strip_prefix(b" ") } else { None };
            bytes.extend_from_slice(implied.unwrap_or(first));
        }
        pieces.for_each(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// The bytes that one token stands for, for streaming; the name of a control token; nothing
    /// for an id outside the vocabulary. See [`Utf8Stream`] and [`is_control`](Self::is_control).
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.pieces.get(id)
    }

    /// Whether `id` is a control or unknown token, whose name is not part of the text.
    pub fn is_control(&self, id: u32) -> bool {
        self.attributes.get(id as usize).is_some_and(|attributes| attributes.is_hidden())
    }

    /// Whether generation ends at `id`: EOS, end of turn, and what is known by name to end a
    /// reply (`<|im_end|>`, `<|endoftext|>`, `<end_of_turn>`, `<|eot_id|>`, `</s>`, ...).
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.ends_of_generation.binary_search(&id).is_ok()
    }

    /// How many tokens the vocabulary has.
    pub fn vocab_len(&self) -> usize {
        self.attributes.len()
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The end-of-turn token.
    pub fn eot(&self) -> Option<u32> {
        self.eot
    }

    /// The unknown token.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }

    /// The separator token.
    pub fn sep(&self) -> Option<u32> {
        self.sep
    }

    /// The padding token.
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// Whether `add_special` prepends BOS.
    pub fn adds_bos(&self) -> bool {
        self.add_bos && self.bos.is_some()
    }

    /// Whether `add_special` appends EOS.
    pub fn adds_eos(&self) -> bool {
        self.add_eos && self.eos.is_some()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = match self.encoder {
            Encoder::SentencePiece(_) => "llama",
            Encoder::ByteLevel(_) => "gpt2",
        };
        f.debug_struct("Tokenizer")
            .field("model", &model)
            .field("vocab_len", &self.vocab_len())
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .finish_non_exhaustive()
    }
}

/// Which special tokens take the white space behind them: in Phi-3 all but three.
fn space_stripping(vocab: &Vocab<'_>) -> impl Fn(&str) -> bool {
    let name = vocab.name.as_deref().unwrap_or("").to_ascii_lowercase();
    let phi3 = name.contains("phi-3") || name.contains("phi3");
    move |token| phi3 && !matches!(token, "<unk>" | "<s>" | "<|endoftext|>")
}

#[cfg(test)]
mod tests;
