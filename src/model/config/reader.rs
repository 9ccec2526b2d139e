//! Reads metadata below the name of the architecture, and says what is wrong with them.

use crate::gguf::{Gguf, Quoted, Value};

use super::architecture::WindowPattern;
use super::{Architecture, Error};

/// Reads keys below the architecture's name.
pub(super) struct Reader<'a> {
    pub file: &'a Gguf,
    pub architecture: Architecture,
}

/// Above any real hyper-parameter but the context's length, and small enough that products of three
/// fit 64 bits.
const LARGEST_COUNT: u64 = 1 << 21;

impl<'a> Reader<'a> {
    pub fn new(file: &'a Gguf) -> Result<Self, Error> {
        let name = file
            .metadata()
            .str("general.architecture")?
            .ok_or_else(|| error(file, "`general.architecture` is missing".into()))?;
        let architecture = Architecture::ALL.into_iter().find(|a| a.name() == name);
        let architecture = architecture.ok_or_else(|| {
            let known = Architecture::ALL.map(Architecture::name).join(", ");
            let name = Quoted(name);
            // `bert`, `nomic-bert`, `modern-bert`, `gemma-embedding`, ...
            let encoder = match name.0.contains("bert") || name.0.ends_with("embedding") {
                true => "; encoders, whose tokens see those behind them, are not",
                false => "",
            };
            error(
                file,
                format!("architecture {name} is not supported; supported are {known}{encoder}"),
            )
        })?;
        Ok(Reader { file, architecture })
    }

    pub fn error(&self, message: String) -> Error {
        error(self.file, message)
    }

    pub fn missing(&self, key: &str) -> Error {
        self.error(format!("`{}.{key}` is missing", self.architecture))
    }

    pub fn optional_count(&self, key: &str) -> Result<Option<usize>, Error> {
        self.optional_count_up_to(key, LARGEST_COUNT)
    }

    pub fn optional_count_up_to(&self, key: &str, largest: u64) -> Result<Option<usize>, Error> {
        let key = format!("{}.{key}", self.architecture);
        match self.file.metadata().u64(&key)? {
            Some(n) if (1..=largest).contains(&n) => Ok(Some(n as usize)),
            Some(n) => Err(self.error(format!("`{key}` is {n}; expected 1 to {largest}"))),
            None => Ok(None),
        }
    }

    pub fn count(&self, key: &str) -> Result<usize, Error> {
        self.optional_count(key)?.ok_or_else(|| self.missing(key))
    }

    pub fn number(&self, key: &str) -> Result<Option<f32>, Error> {
        Ok(self.file.metadata().f32(&format!("{}.{key}", self.architecture))?)
    }

    /// A number that is finite and holds `sound`, which `expected` says in words.
    pub fn number_where(
        &self,
        key: &str,
        expected: &str,
        sound: impl FnOnce(f32) -> bool,
    ) -> Result<Option<f32>, Error> {
        match self.number(key)? {
            Some(x) if !(x.is_finite() && sound(x)) => Err(self.error(format!(
                "`{}.{key}` is {x}; expected a finite number {expected}",
                self.architecture
            ))),
            number => Ok(number),
        }
    }

    /// A finite number above 0.
    pub fn positive(&self, key: &str) -> Result<Option<f32>, Error> {
        self.number_where(key, "above 0", |x| x > 0.0)
    }

    /// A soft cap, where the architecture has it; 0 is how some writers say none.
    pub fn soft_cap(&self, key: &str, default: Option<f32>) -> Result<Option<f32>, Error> {
        let Some(default) = default else { return Ok(None) };
        let cap = self.number_where(key, "that is not negative", |x| x >= 0.0)?;
        Ok(Some(cap.unwrap_or(default)).filter(|&cap| cap > 0.0))
    }

    /// The rows of the embedding table, which has one for each token of the vocabulary, if the file
    /// has that too.
    pub fn vocab(&self, embedding: usize) -> Result<usize, Error> {
        const TOKENS: &str = "tokenizer.ggml.tokens";
        let table = self.file.tensor_info("token_embd.weight");
        let table =
            table.ok_or_else(|| self.error("the tensor `token_embd.weight` is missing".into()))?;
        let [k, vocab] = table.dims[..] else {
            let dims = &table.dims;
            return Err(self.error(format!(
                "the tensor `token_embd.weight` has the dims {dims:?}; expected two"
            )));
        };
        if k != embedding {
            return Err(self.error(format!(
                "`{}.embedding_length` is {embedding}; a row of the tensor `token_embd.weight` has \
                 {k} elements",
                self.architecture
            )));
        }
        match self.file.metadata().str_array(TOKENS)? {
            Some(tokens) if tokens.len() != vocab => Err(self.error(format!(
                "`{TOKENS}` has {} tokens; the tensor `token_embd.weight` has {vocab} rows",
                tokens.len()
            ))),
            _ => Ok(vocab),
        }
    }

    /// Keys that a layer with a sliding window sees, where the architecture has such layers.
    pub fn window(&self) -> Result<Option<usize>, Error> {
        let key = "attention.sliding_window";
        let zero = self.architecture == Architecture::Phi3
            && self.file.metadata().u64(&format!("{}.{key}", self.architecture))? == Some(0);
        match self.architecture.window_pattern() {
            // Writers of this architecture say none by 0.
            Some(_) if !zero => {
                let default = (self.architecture == Architecture::Gemma2).then_some(4096);
                Ok(self.optional_count(key)?.or(default))
            }
            _ => Ok(None),
        }
    }

    /// Which layers have the window: by the file, a flag for each, or by the architecture's pattern, whose period the
    /// file may have.
    pub fn windowed(&self, window: Option<usize>, layers: usize) -> Result<Vec<bool>, Error> {
        let key = "attention.sliding_window_pattern";
        let name = format!("{}.{key}", self.architecture);
        let Some(pattern) = window.and_then(|_| self.architecture.window_pattern()) else {
            return Ok(vec![false; layers]);
        };
        if let Some(Value::Array(_)) = self.file.metadata().get(&name) {
            let flags = self.file.metadata().bool_array(&name)?.unwrap_or_default();
            if flags.len() != layers {
                return Err(self.error(format!(
                    "`{name}` has {} flags; expected one for each of {layers} layers",
                    flags.len()
                )));
            }
            return Ok(flags.to_vec());
        }
        let pattern = match (self.optional_count(key)?, pattern) {
            (Some(n), _) | (None, WindowPattern::AllButLastOf(n)) => n,
            (None, WindowPattern::All) => return Ok(vec![true; layers]),
        };
        Ok((0..layers).map(|layer| layer % pattern != pattern - 1).collect())
    }
}

pub(in crate::model) fn error(file: &Gguf, message: String) -> Error {
    let file = file.path().map_or_else(|| "model".into(), |p| p.display().to_string());
    Error::Model { file, message }
}
