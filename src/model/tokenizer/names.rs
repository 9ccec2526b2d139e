//! Tokens known by their names.
//!
//! Files often omit which token ends a turn, or mark such tokens as normal text; the names are
//! well known.

use super::texts::Texts;
use super::vocab::{Attributes, Vocab};

const EOT: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const EOM: &[&str] = &["<|eom_id|>"];
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REPOSITORY: &[&str] =
    &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_SEPARATOR: &[&str] = &["<|file_sep|>"];

/// Tokens that end generation wherever they occur.
const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Channel markers of gpt-oss, which are always rendered.
const CHANNEL_MARKERS: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Completes `vocab` and `attributes` by the names in `texts`, and returns the ids that end
/// generation, ascending.
///
/// Where a vocabulary has several tokens for one role, the name listed first takes it.
pub(super) fn apply(
    vocab: &mut Vocab<'_>,
    attributes: &mut [Attributes],
    texts: &Texts,
) -> Vec<u32> {
    let named =
        |names: &[&str]| -> Vec<u32> { names.iter().filter_map(|&name| texts.id(name)).collect() };
    let mut make_control = |id: u32| {
        let all = &mut attributes[id as usize];
        *all = all.or(Attributes::CONTROL);
    };
    let mut unused = [None; 3];
    let [prefix, suffix, middle] = &mut unused;
    for (role, names) in [
        (&mut vocab.eot, EOT),
        (&mut vocab.eom, EOM),
        (prefix, FIM_PREFIX),
        (suffix, FIM_SUFFIX),
        (middle, FIM_MIDDLE),
        (&mut vocab.fim_pad, FIM_PAD),
        (&mut vocab.fim_rep, FIM_REPOSITORY),
        (&mut vocab.fim_sep, FIM_SEPARATOR),
    ] {
        if role.is_none() {
            *role = named(names).first().copied();
            role.iter().for_each(|&id| make_control(id));
        }
    }

    let mut ends = named(END_OF_GENERATION);
    ends.iter().for_each(|&id| make_control(id));
    for id in named(CHANNEL_MARKERS) {
        attributes[id as usize] = Attributes::USER_DEFINED;
    }
    let roles = [vocab.eos, vocab.eot, vocab.eom, vocab.fim_pad, vocab.fim_rep, vocab.fim_sep];
    ends.extend(roles.into_iter().flatten());

    // Where other tokens end the reply, `<|end|>` only ends a message, and `</s>` is plain text.
    let ends_with = |ends: &[u32], name: &str| texts.id(name).is_some_and(|id| ends.contains(&id));
    let calls = ends_with(&ends, "<|call|>") || ends_with(&ends, "<|calls|>");
    if calls && (ends_with(&ends, "<|return|>") || ends_with(&ends, "<|flush|>")) {
        demote(&mut ends, attributes, texts.id("<|end|>"), Attributes::USER_DEFINED);
    }
    if ends_with(&ends, "<|tool_response>") || ends_with(&ends, "<|plamo:eos|>") {
        demote(&mut ends, attributes, texts.id("</s>"), Attributes::NORMAL);
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Takes a token off the list, if it is there, and changes what it is.
fn demote(ends: &mut Vec<u32>, attributes: &mut [Attributes], token: Option<u32>, to: Attributes) {
    match token {
        Some(id) if ends.contains(&id) => {
            ends.retain(|&end| end != id);
            attributes[id as usize] = to;
        }
        _ => {}
    }
}
