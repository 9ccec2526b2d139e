//! Byte-level BPE ("gpt2" in GGUF): Sennrich et al. 2016 on the bytes of pre-tokenised words.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Error;
use super::bytes::byte_to_char;
use super::hash::Keyed;
use super::merge::Merger;
use super::pretokenize::PreTokenizer;
use super::texts::Texts;
use super::words::Workspace;

/// The tables that encoding needs.
#[derive(Debug)]
pub(super) struct Bpe {
    pre: PreTokenizer,
    /// The token of each single byte. A byte without a token is left out of the result.
    byte_ids: [Option<u32>; 256],
    /// Rank and result of each pair of tokens that merges.
    merges: HashMap<(u32, u32), (u32, u32), Keyed>,
    /// Text to token, where whole words are looked up.
    words: Option<Texts>,
}

impl Bpe {
    pub(super) fn new(
        pre: PreTokenizer,
        merge_list: &[Cow<'_, str>],
        texts: Texts,
    ) -> Result<Self, Error> {
        let byte_ids =
            std::array::from_fn(|byte| texts.id(byte_to_char(byte as u8).encode_utf8(&mut [0; 4])));
        let mut merges = HashMap::with_capacity_and_hasher(merge_list.len(), Keyed::default());
        let mut whole = String::new();
        for (rank, merge) in merge_list.iter().enumerate() {
            let (left, right) = parts(merge).ok_or_else(|| Error::MergeWithoutSpace {
                index: rank,
                merge: merge.to_string(),
            })?;
            let token = |text: &str| {
                texts.id(text).ok_or_else(|| Error::MergeOfUnknownToken {
                    index: rank,
                    merge: merge.to_string(),
                    token: text.to_owned(),
                })
            };
            whole.clear();
            whole.extend([left, right]);
            let (pair, merged) = ((token(left)?, token(right)?), token(&whole)?);
            let rank = u32::try_from(rank).map_err(|_| Error::TooMany { field: "merges" })?;
            merges.entry(pair).or_insert((rank, merged));
        }
        let words = pre.ignore_merges.then_some(texts);
        Ok(Self { pre, byte_ids, merges, words })
    }

    /// Appends the tokens of `text` to `output`.
    pub(super) fn encode<'text>(
        &self,
        text: &'text str,
        workspace: &mut Workspace<'text>,
        output: &mut Vec<u32>,
    ) {
        let Workspace { seen, merger, spelled } = workspace;
        let mut start = 0;
        for end in self.pre.split(text) {
            let word = &text.as_bytes()[start..end];
            seen.encode(word, output, |output| self.encode_word(word, merger, spelled, output));
            start = end;
        }
    }

    fn encode_word(
        &self,
        word: &[u8],
        merger: &mut Merger,
        spelled: &mut String,
        output: &mut Vec<u32>,
    ) {
        if let Some(words) = &self.words {
            spelled.clear();
            spelled.extend(word.iter().map(|&byte| byte_to_char(byte)));
            if let Some(id) = words.id(spelled) {
                return output.push(id);
            }
        }
        merger.clear();
        for &byte in word {
            merger.push(self.byte_ids[byte as usize], 1);
        }
        let symbols = merger.merge(|left, right| self.merges.get(&(left.id?, right.id?)).copied());
        output.extend(symbols.filter_map(|symbol| symbol.id));
    }
}

/// The two sides of a merge: the first space that is not the first byte separates them.
fn parts(merge: &str) -> Option<(&str, &str)> {
    let space = merge.bytes().skip(1).position(|byte| byte == b' ')? + 1;
    Some((&merge[..space], &merge[space + 1..]))
}
