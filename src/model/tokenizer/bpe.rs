//! Byte-level BPE ("gpt2" in GGUF): Sennrich et al. 2016 on the bytes of pre-tokenised words.

use std::collections::HashMap;

use super::Error;
use super::bytes::byte_to_char;
use super::merge::Merger;
use super::pretokenize::PreTokenizer;

/// The tables that encoding needs.
#[derive(Debug)]
pub(super) struct Bpe {
    pre: PreTokenizer,
    /// The token of each single byte. A byte without a token is left out of the result.
    byte_ids: [Option<u32>; 256],
    /// Rank and result of each pair of tokens that merges.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// Text to token, where whole words are looked up.
    words: Option<HashMap<String, u32>>,
}

impl Bpe {
    pub(super) fn new(
        pre: PreTokenizer,
        merge_list: &[String],
        ids: HashMap<String, u32>,
    ) -> Result<Self, Error> {
        let byte_ids =
            std::array::from_fn(|byte| ids.get(&*byte_to_char(byte as u8).to_string()).copied());
        let mut merges = HashMap::with_capacity(merge_list.len());
        for (rank, merge) in merge_list.iter().enumerate() {
            let (left, right) = parts(merge)
                .ok_or_else(|| Error::MergeWithoutSpace { index: rank, merge: merge.clone() })?;
            let token = |text: &str| {
                ids.get(text).copied().ok_or_else(|| Error::MergeOfUnknownToken {
                    index: rank,
                    merge: merge.clone(),
                    token: text.to_owned(),
                })
            };
            let (pair, merged) = ((token(left)?, token(right)?), [left, right].concat());
            let merged = token(&merged)?;
            let rank = u32::try_from(rank).map_err(|_| Error::TooMany { field: "merges" })?;
            merges.entry(pair).or_insert((rank, merged));
        }
        let words = pre.ignore_merges.then_some(ids);
        Ok(Self { pre, byte_ids, merges, words })
    }

    /// Appends the tokens of `text` to `output`.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) {
        let mut merger = Merger::default();
        let mut spelled = String::new();
        let mut start = 0;
        for end in self.pre.split(text) {
            let word = &text.as_bytes()[start..end];
            start = end;
            if let Some(words) = &self.words {
                spelled.clear();
                spelled.extend(word.iter().map(|&byte| byte_to_char(byte)));
                if let Some(&id) = words.get(&spelled) {
                    output.push(id);
                    continue;
                }
            }
            merger.clear();
            for &byte in word {
                merger.push(self.byte_ids[byte as usize], 1);
            }
            let symbols =
                merger.merge(|left, right| self.merges.get(&(left.id?, right.id?)).copied());
            output.extend(symbols.filter_map(|symbol| symbol.id));
        }
    }
}

/// The two sides of a merge: the first space that is not the first byte separates them.
fn parts(merge: &str) -> Option<(&str, &str)> {
    let space = merge.bytes().skip(1).position(|byte| byte == b' ')? + 1;
    Some((&merge[..space], &merge[space + 1..]))
}
