//! The vocabulary in the metadata of a GGUF file.

use std::borrow::Cow;

use super::vocab::Vocab;
use crate::gguf::{Error, Gguf, Strings};

impl<'a> Vocab<'a> {
    /// Reads the vocabulary of a file: the keys `tokenizer.ggml.*`.
    ///
    /// # Errors
    /// If the model or the list of tokens is missing, or a value is not of the type that belongs
    /// there. Whether the parts fit together is for [`Tokenizer::new`](super::Tokenizer::new).
    pub fn from_gguf(file: &'a Gguf) -> Result<Self, Error> {
        const MODEL: &str = "tokenizer.ggml.model";
        const TOKENS: &str = "tokenizer.ggml.tokens";
        const SCORES: &str = "tokenizer.ggml.scores";

        let metadata = file.metadata();
        let text = |key| Ok::<_, Error>(metadata.str(key)?.map(str::to_owned));
        let id = |name: &str| metadata.u32(&format!("tokenizer.ggml.{name}_token_id"));
        let flag = |name: &str| metadata.bool(&format!("tokenizer.ggml.{name}"));
        let list = |strings: &'a Strings| strings.iter().map(Cow::Borrowed).collect();
        // Some files have integer scores.
        let scores = match metadata.f32_array(SCORES) {
            Ok(scores) => scores.unwrap_or_default().into(),
            Err(error) => match metadata.i32_array(SCORES) {
                Ok(Some(scores)) => scores.iter().map(|&score| score as f32).collect(),
                _ => return Err(error),
            },
        };
        Ok(Self {
            model: text(MODEL)?.ok_or_else(|| metadata.missing(MODEL))?,
            pre: text("tokenizer.ggml.pre")?,
            name: text("general.name")?,
            tokens: list(metadata.str_array(TOKENS)?.ok_or_else(|| metadata.missing(TOKENS))?),
            scores,
            token_types: metadata.i32_array("tokenizer.ggml.token_type")?.unwrap_or_default(),
            merges: list(metadata.str_array("tokenizer.ggml.merges")?.unwrap_or_default()),
            bos: id("bos")?,
            eos: id("eos")?,
            eot: id("eot")?,
            eom: id("eom")?,
            unk: id("unknown")?,
            // The specification spells it so.
            sep: id("seperator")?,
            pad: id("padding")?,
            fim_pad: id("fim_pad")?,
            fim_rep: id("fim_rep")?,
            fim_sep: id("fim_sep")?,
            add_bos: flag("add_bos_token")?,
            add_eos: flag("add_eos_token")?,
            add_space_prefix: flag("add_space_prefix")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Limits;
    use crate::model::tokenizer::{EncodeOptions, Tokenizer};

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    /// One pair: the key, the type number and the bytes of the value.
    fn pair(key: &str, value_type: u32, value: &[u8]) -> Vec<u8> {
        [string(key), value_type.to_le_bytes().to_vec(), value.to_vec()].concat()
    }

    fn array(key: &str, element_type: u32, elements: &[Vec<u8>]) -> Vec<u8> {
        let count = (elements.len() as u64).to_le_bytes();
        pair(key, 9, &[&element_type.to_le_bytes(), &count[..], &elements.concat()].concat())
    }

    fn file(pairs: &[Vec<u8>]) -> Gguf {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0u64.to_le_bytes());
        bytes.extend((pairs.len() as u64).to_le_bytes());
        bytes.extend(pairs.concat());
        Gguf::from_bytes(bytes, &Limits::default()).unwrap()
    }

    fn model() -> Vec<u8> {
        pair("tokenizer.ggml.model", 8, &string("llama"))
    }

    fn tokens() -> Vec<u8> {
        array("tokenizer.ggml.tokens", 8, &["<unk>", "<s>", "</s>", "a", "b", "ab"].map(string))
    }

    #[test]
    fn every_key_arrives_in_its_field() {
        let number =
            |key: &str, value: u32| pair(&format!("tokenizer.ggml.{key}"), 4, &value.to_le_bytes());
        let flag = |key: &str, value: u8| pair(&format!("tokenizer.ggml.{key}"), 7, &[value]);
        let scores = [0.0f32, 0.0, 0.0, -2.0, -3.0, -1.0].map(|score| score.to_le_bytes().to_vec());
        let types = [2i32, 3, 3, 1, 1, 1].map(|value| value.to_le_bytes().to_vec());
        let file = file(&[
            model(),
            tokens(),
            pair("tokenizer.ggml.pre", 8, &string("default")),
            pair("general.name", 8, &string("a name")),
            array("tokenizer.ggml.scores", 6, &scores),
            array("tokenizer.ggml.token_type", 5, &types),
            array("tokenizer.ggml.merges", 8, &[string("a b")]),
            number("bos_token_id", 1),
            number("eos_token_id", 2),
            number("eot_token_id", 3),
            number("eom_token_id", 4),
            number("unknown_token_id", 0),
            number("seperator_token_id", 5),
            number("padding_token_id", 1),
            number("fim_pad_token_id", 2),
            number("fim_rep_token_id", 3),
            number("fim_sep_token_id", 4),
            flag("add_bos_token", 0),
            flag("add_eos_token", 1),
            flag("add_space_prefix", 0),
        ]);
        let vocab = Vocab::from_gguf(&file).unwrap();
        assert_eq!(
            (vocab.pre.as_deref(), vocab.name.as_deref()),
            (Some("default"), Some("a name"))
        );
        assert_eq!(*vocab.scores, [0.0, 0.0, 0.0, -2.0, -3.0, -1.0]);
        assert_eq!(*vocab.token_types, [2, 3, 3, 1, 1, 1]);
        assert_eq!(*vocab.merges, ["a b"]);
        let ids = [vocab.bos, vocab.eos, vocab.eot, vocab.eom, vocab.unk, vocab.sep, vocab.pad];
        assert_eq!(ids, [1, 2, 3, 4, 0, 5, 1].map(Some));
        assert_eq!([vocab.fim_pad, vocab.fim_rep, vocab.fim_sep], [2, 3, 4].map(Some));
        assert_eq!((vocab.add_bos, vocab.add_eos), (Some(false), Some(true)));
        assert_eq!(vocab.add_space_prefix, Some(false));
        let tokenizer = Tokenizer::new(vocab).unwrap();
        let options = EncodeOptions { add_special: true, parse_special: false };
        assert_eq!(tokenizer.encode("aba", options), [5, 3, 2]);
    }

    #[test]
    fn scores_may_be_integers() {
        let scores = [0i32, 0, 0, -2, -3, -1].map(|score| score.to_le_bytes().to_vec());
        let file = file(&[model(), tokens(), array("tokenizer.ggml.scores", 5, &scores)]);
        assert_eq!(*Vocab::from_gguf(&file).unwrap().scores, [0.0, 0.0, 0.0, -2.0, -3.0, -1.0]);
    }

    #[test]
    fn missing_and_mistyped_keys_are_named() {
        let message = |pairs: &[Vec<u8>]| Vocab::from_gguf(&file(pairs)).unwrap_err().to_string();
        assert_eq!(message(&[tokens()]), "no metadata key tokenizer.ggml.model");
        assert_eq!(message(&[model()]), "no metadata key tokenizer.ggml.tokens");
        let strings = array("tokenizer.ggml.scores", 8, &[string("x")]);
        assert!(
            message(&[model(), tokens(), strings]).starts_with("tokenizer.ggml.scores at byte")
        );
        let negative = pair("tokenizer.ggml.bos_token_id", 5, &(-1i32).to_le_bytes());
        assert!(message(&[model(), tokens(), negative]).contains("bos_token_id"));
    }
}
