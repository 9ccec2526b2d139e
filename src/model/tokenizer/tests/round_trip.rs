//! Decoding undoes encoding.

use std::sync::LazyLock;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;

const HIDE: DecodeOptions = DecodeOptions { special: false };
const ADD: EncodeOptions = EncodeOptions { add_special: true, parse_special: false };

/// Text from one of several alphabets, each of which is hard for some part of a tokenizer.
#[derive(Clone, Debug)]
pub(super) struct Nasty(pub(super) String);

const ALPHABETS: &[&str] = &[
    " a",
    " \n\r\t\u{b}\u{85}\u{a0}\u{3000}\u{200b}a",
    "a'sStTrReEvVmMlLdD ",
    "0123456789٣Ⅷ½ .,",
    "?!.,' ab",
    "▁ a",
    "中文字。한글 ภาษา é\u{301}\u{20dd}",
    "🚀👩\u{200d}\u{fe0f}\u{1f3fd} ",
    "<|x>/s \n",
    "\0\u{1}\u{7f}\u{80}\u{ad}\u{7ff}\u{800}\u{fffd}\u{ffff}\u{10000}\u{10ffff}",
    "ĠĊÃ©ð\u{121}\u{143}\u{144}",
];

impl Arbitrary for Nasty {
    fn arbitrary(g: &mut Gen) -> Self {
        let alphabet = *g.choose(ALPHABETS).unwrap();
        let chars: Vec<char> = alphabet.chars().collect();
        let len = usize::arbitrary(g) % 60;
        let mut text: String = (0..len).map(|_| *g.choose(&chars).unwrap()).collect();
        if bool::arbitrary(g) {
            text += &String::arbitrary(g);
        }
        Self(text)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// The text that comes out of a stream that is fed token by token.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = Utf8Stream::default();
    let text: String = ids.iter().map(|&id| stream.push(tokenizer.token_bytes(id))).collect();
    text + &stream.flush()
}

static BYTE_LEVEL: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let merges = ["Ġ t", "h e", "Ġt he", "Ġ Ġ", "ĠĠ ĠĠ", "Ġ .", "' s", "ð Ł", "ðŁ ļ", "Ċ Ċ", "s >"];
    let extra = [("<s>", 3), ("<|x|>", 3), ("<x>", 4), ("  ", 4)];
    let vocab = |pre| Vocab {
        bos: Some(267),
        eos: Some(268),
        add_bos: Some(true),
        add_eos: Some(true),
        ..byte_level(pre, &merges, &extra)
    };
    PreTokenizer::names().map(|pre| tokenizer(vocab(pre))).collect()
});

#[test]
fn byte_level_text_comes_back_as_it_was() {
    fn comes_back(Nasty(text): Nasty) -> bool {
        BYTE_LEVEL.iter().all(|t| {
            let back = |options, show| t.decode(&t.encode(&text, options), show);
            // Special tokens: none; recognised and shown again; added and hidden again.
            back(PLAIN, HIDE) == text.as_bytes()
                && back(PARSE, SHOW) == text.as_bytes()
                && back(ADD, HIDE) == text.as_bytes()
        })
    }
    QuickCheck::new().tests(300).quickcheck(comes_back as fn(Nasty) -> bool);
}

#[test]
fn byte_level_text_comes_back_token_by_token() {
    fn comes_back(Nasty(text): Nasty) -> bool {
        BYTE_LEVEL.iter().all(|t| streamed(t, &t.encode(&text, PLAIN)) == text)
    }
    QuickCheck::new().tests(300).quickcheck(comes_back as fn(Nasty) -> bool);
}

#[test]
fn sentence_piece_text_comes_back_with_spaces_for_marks() {
    fn comes_back(Nasty(text): Nasty, add_space_prefix: bool) -> bool {
        let tokens = [("▁", -9.0), ("a", -9.0), ("▁a", -1.0), ("▁▁", -2.0), ("中文", -3.0)];
        let vocab = sentence_piece(&tokens);
        let t = tokenizer(Vocab { add_space_prefix: Some(add_space_prefix), ..vocab });
        let spaces = text.replace('▁', " ");
        let prefix = if add_space_prefix && !text.is_empty() { " " } else { "" };
        [PLAIN, ADD]
            .into_iter()
            .all(|options| t.decode(&t.encode(&text, options), HIDE) == spaces.as_bytes())
            && streamed(&t, &t.encode(&text, PLAIN)) == prefix.to_owned() + &spaces
    }
    QuickCheck::new().tests(300).quickcheck(comes_back as fn(Nasty, bool) -> bool);
}

#[test]
fn spaces_before_punctuation_stay() {
    for t in &*BYTE_LEVEL {
        for text in ["a . b , c ? d !", "it 's we 've", "a ' b"] {
            assert_eq!(decoded(t, &t.encode(text, PLAIN), HIDE), text);
        }
    }
}

#[test]
fn the_implied_space_goes_again_in_decoding() {
    let tokens = [("▁", -9.0), ("a", -9.0), ("▁a", -1.0)];
    let t = tokenizer(sentence_piece(&tokens));
    assert_eq!(t.encode("a a", FULL), [1, 261, 261]);
    assert_eq!(decoded(&t, &[261, 261], HIDE), "a a");
    // Nothing stands where a hidden token was; a token that is shown comes first itself.
    assert_eq!(decoded(&t, &[1, 261], HIDE), "a");
    assert_eq!(decoded(&t, &[1, 2, 261, 1, 261], HIDE), "a a");
    assert_eq!(decoded(&t, &[1, 261, 2], SHOW), "<s> a</s>");
    assert_eq!(t.token_bytes(261), b" a");

    let t = tokenizer(Vocab { add_space_prefix: Some(false), ..sentence_piece(&tokens) });
    assert_eq!(t.encode("a a", PLAIN), [260, 261]);
    assert_eq!(decoded(&t, &[261], HIDE), " a");
}
