//! What merging means, written down without regard to time, against the encoder.

use quickcheck::QuickCheck;

use super::super::bytes::char_to_byte;
use super::round_trip::Nasty;
use super::*;

/// Merges the best pair, the leftmost of equals, until no two neighbours form a token.
/// `rank` orders what a pair forms; lower is better.
fn merged(mut symbols: Vec<String>, rank: impl Fn(&str, &str) -> Option<usize>) -> Vec<String> {
    loop {
        let pairs = symbols.windows(2).enumerate();
        let ranked = pairs.filter_map(|(at, pair)| Some((rank(&pair[0], &pair[1])?, at)));
        let Some((_, at)) = ranked.min() else { return symbols };
        let right = symbols.remove(at + 1);
        symbols[at].push_str(&right);
    }
}

/// Some of these cross from a word to the next mark.
#[rustfmt::skip]
const PIECES: [&str; 15] = [
    "▁", "a", "s", "▁a", "▁▁", "▁▁▁▁", "as", "sa", "a▁", "s▁a", "▁a▁", "'▁", "'▁s", "中▁文", "\n▁",
];

#[test]
fn sentence_piece_segments_and_seen_words_change_no_token() {
    fn agrees(Nasty(text): Nasty, order: Vec<u8>, used: u16, prefix: bool) -> bool {
        let chosen = PIECES.iter().enumerate().filter(|(at, _)| used >> at & 1 == 1);
        let score = |at: usize| f32::from(order.get(at).copied().unwrap_or(7) % 8);
        let pieces: Vec<(&str, f32)> = chosen.map(|(at, &text)| (text, score(at))).collect();
        let t = tokenizer(Vocab { add_space_prefix: Some(prefix), ..sentence_piece(&pieces) });

        let text = text.repeat(2);
        let prefix = if prefix && !text.is_empty() { "▁" } else { "" };
        let spelled = prefix.to_owned() + &text.replace(' ', "▁");
        let index = |text: &str| pieces.iter().position(|&(piece, _)| piece == text);
        let symbols = merged(spelled.chars().map(String::from).collect(), |left, right| {
            let at = index(&[left, right].concat())?;
            Some(7 - pieces[at].1 as usize)
        });
        let expected = symbols.iter().flat_map(|symbol| match index(symbol) {
            Some(at) => vec![259 + at as u32],
            None => symbol.bytes().map(|byte| 3 + u32::from(byte)).collect(),
        });
        t.encode(&text, PLAIN).into_iter().eq(expected)
    }
    QuickCheck::new().tests(2000).quickcheck(agrees as fn(Nasty, Vec<u8>, u16, bool) -> bool);
}

#[test]
fn byte_level_seen_words_change_no_token() {
    const MERGES: [&str; 8] = ["Ġ a", "a s", "s a", "Ġ Ġ", "a a", "as a", "' s", "Ġa s"];
    fn agrees(Nasty(text): Nasty, used: u8) -> bool {
        let chosen = MERGES.iter().enumerate().filter(|(at, _)| used >> at & 1 == 1);
        let mut merges: Vec<&str> = chosen.map(|(_, &merge)| merge).collect();
        // What a merge needs comes before it.
        merges.retain(|merge| used & 2 != 0 || *merge != "as a");
        merges.retain(|merge| used & 1 != 0 || *merge != "Ġa s");
        // A vocabulary has at least one merge.
        merges.push("x y");
        let t = tokenizer(byte_level("gpt-2", &merges, &[]));

        let text = text.repeat(2);
        let mut start = 0;
        let words = PreTokenizer::named("gpt-2").unwrap().split(&text).into_iter().map(|end| {
            let word = &text.as_bytes()[start..end];
            start = end;
            word
        });
        let expected = words.flat_map(|word| {
            let symbols = word.iter().map(|&byte| byte_to_char(byte).to_string()).collect();
            let symbols = merged(symbols, |left, right| {
                merges.iter().position(|merge| **merge == [left, right].join(" "))
            });
            let id = |symbol: String| {
                let formed = merges.iter().position(|merge| merge.replace(' ', "") == symbol);
                match formed {
                    Some(at) => 256 + at as u32,
                    None => u32::from(char_to_byte(symbol.chars().next().unwrap()).unwrap()),
                }
            };
            symbols.into_iter().map(id).collect::<Vec<u32>>()
        });
        t.encode(&text, PLAIN).into_iter().eq(expected)
    }
    QuickCheck::new().tests(1000).quickcheck(agrees as fn(Nasty, u8) -> bool);
}
