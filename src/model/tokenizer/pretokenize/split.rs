//! The splitters: each is one regular expression of the reference, written out by hand.
//!
//! A splitter gets one piece of text, and appends to `ends` the end of every sub-piece it cuts
//! it into, offset by `base`, the place of the piece in the whole text. The sub-pieces cover the
//! piece without gaps: what no alternative of the pattern matches stays as a piece of its own.

use super::class::{
    Class, LETTER, MARK, NOT_WORD, NUMBER, PUNCTUATION, SPACE, class_of, peek, run,
};

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
pub(super) fn gpt2(text: &str, base: usize, ends: &mut Vec<usize>) {
    let mut pos = 0;
    while pos < text.len() {
        let (ch, class, next) = peek(text, pos);
        let contraction = contraction_len(text, pos, |a, b| a == b);
        let (first, start) = if ch == ' ' { (peek(text, next).1, next) } else { (class, pos) };
        pos = if contraction > 0 {
            pos + contraction
        } else if first & LETTER != 0 {
            run(text, start, LETTER)
        } else if first & NUMBER != 0 {
            run(text, start, NUMBER)
        } else if first & NOT_WORD != 0 {
            run(text, start, NOT_WORD)
        } else {
            space_end(text, pos)
        };
        ends.push(base + pos);
    }
}

/// The pattern of Llama 3 and Qwen 2, which differ in `max_digits` (3 and 1), and of Qwen 3.5,
/// whose words also hold combining marks:
/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_digits}`
/// `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn llama3(
    text: &str,
    base: usize,
    ends: &mut Vec<usize>,
    max_digits: usize,
    word: Class,
) {
    let symbols = NOT_WORD & !word;
    let mut pos = 0;
    while pos < text.len() {
        let (ch, class, next) = peek(text, pos);
        let contraction = contraction_len(text, pos, |a, b| a.eq_ignore_ascii_case(&b));
        let may_lead = class & NUMBER == 0 && ch != '\r' && ch != '\n';
        let (first, start) = if ch == ' ' { (peek(text, next).1, next) } else { (class, pos) };
        pos = if contraction > 0 {
            pos + contraction
        } else if may_lead && (class & word != 0 || peek(text, next).1 & word != 0) {
            run(text, next, word)
        } else if class & NUMBER != 0 {
            digits_end(text, pos, max_digits)
        } else if first & symbols != 0 {
            let end = run(text, start, symbols);
            end + line_breaks_len(&text[end..])
        } else {
            let end = run(text, pos, SPACE);
            match text[pos..end].rfind(['\r', '\n']) {
                Some(last) => pos + last + 1,
                None => space_end(text, pos),
            }
        };
        ends.push(base + pos);
    }
}

/// The length of an English contraction's tail (`'s`, `'re`, ...) at `pos`, or 0.
fn contraction_len(text: &str, pos: usize, same: impl Fn(u8, u8) -> bool) -> usize {
    let bytes = &text.as_bytes()[pos..];
    if bytes.first() != Some(&b'\'') || bytes.len() < 2 {
        return 0;
    }
    if b"stmd".iter().any(|&letter| same(bytes[1], letter)) {
        return 2;
    }
    let matches = |tail: &[u8; 2]| same(bytes[1], tail[0]) && same(bytes[2], tail[1]);
    if bytes.len() > 2 && [b"re", b"ve", b"ll"].into_iter().any(matches) { 3 } else { 0 }
}

/// `\p{N}{1,max}`
fn digits_end(text: &str, mut pos: usize, max: usize) -> usize {
    for _ in 0..max {
        let (_, class, next) = peek(text, pos);
        if class & NUMBER == 0 {
            break;
        }
        pos = next;
    }
    pos
}

/// `[\r\n]*`
fn line_breaks_len(text: &str) -> usize {
    text.bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// `\s+(?!\S)|\s+`: white space before a word leaves its last character to that word.
fn space_end(text: &str, pos: usize) -> usize {
    let end = run(text, pos, SPACE);
    match text[pos..end].char_indices().next_back() {
        Some((last, _)) if end < text.len() && last > 0 => pos + last,
        _ => end,
    }
}

/// Makes every match a piece of its own. `matcher` returns the end of the match that starts at
/// its argument, or the argument when there is none; it must look no further than its match.
fn isolate(text: &str, base: usize, ends: &mut Vec<usize>, matcher: impl Fn(usize) -> usize) {
    let (mut pos, mut gap) = (0, 0);
    while pos < text.len() {
        let end = matcher(pos);
        if end == pos {
            pos = peek(text, pos).2;
            continue;
        }
        if gap < pos {
            ends.push(base + pos);
        }
        ends.push(base + end);
        (pos, gap) = (end, end);
    }
    if gap < text.len() {
        ends.push(base + text.len());
    }
}

/// `\p{N}`
pub(super) fn each_number(text: &str, base: usize, ends: &mut Vec<usize>) {
    isolate(text, base, ends, |pos| digits_end(text, pos, 1));
}

/// `\p{N}+`
pub(super) fn number_runs(text: &str, base: usize, ends: &mut Vec<usize>) {
    isolate(text, base, ends, |pos| run(text, pos, NUMBER));
}

/// `[0-9][0-9][0-9]`
pub(super) fn digit_triples(text: &str, base: usize, ends: &mut Vec<usize>) {
    let bytes = text.as_bytes();
    isolate(text, base, ends, |pos| match bytes.get(pos..pos + 3) {
        Some(three) if three.iter().all(u8::is_ascii_digit) => pos + 3,
        _ => pos,
    });
}

/// `[\p{P}\$\+<=>\^~\|]+`, with the back-tick where `extra` is "`".
pub(super) fn punctuation_runs(text: &str, base: usize, ends: &mut Vec<usize>, extra: &str) {
    let inside = |ch: char, class: Class| {
        class & PUNCTUATION != 0 || "$+<=>^~|".contains(ch) || extra.contains(ch)
    };
    isolate(text, base, ends, |pos| run_of(text, pos, inside));
}

/// `[\r\n]`
pub(super) fn each_line_break(text: &str, base: usize, ends: &mut Vec<usize>) {
    let bytes = text.as_bytes();
    isolate(text, base, ends, |pos| pos + usize::from(matches!(bytes[pos], b'\r' | b'\n')));
}

/// `\s?\p{L}+`
pub(super) fn spaced_letters(text: &str, base: usize, ends: &mut Vec<usize>) {
    isolate(text, base, ends, |pos| spaced_run(text, pos, |_, class| class & LETTER != 0));
}

/// `\s?\p{P}+`
pub(super) fn spaced_punctuation(text: &str, base: usize, ends: &mut Vec<usize>) {
    isolate(text, base, ends, |pos| spaced_run(text, pos, |_, class| class & PUNCTUATION != 0));
}

/// `\s?[A-Za-zµÀ-Ö...]+`: cased letters, as a list of ranges.
pub(super) fn spaced_cased_letters(text: &str, base: usize, ends: &mut Vec<usize>) {
    isolate(text, base, ends, |pos| spaced_run(text, pos, |ch, _| is_cased(ch)));
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+`
///
/// The ideographic space U+3000 is in the list, but the reference has made a tabulator of every
/// space beyond ASCII before it comes here.
pub(super) fn spaced_signs(text: &str, base: usize, ends: &mut Vec<usize>) {
    let inside = |ch: char, _: Class| matches!(ch, '!'..='/' | ':'..='~' | '！'..='／' | '：'..='～' | '‘'..='‟' | '、'..='。');
    isolate(text, base, ends, |pos| spaced_run(text, pos, inside));
}

/// `\s+$`
pub(super) fn trailing_space(text: &str, base: usize, ends: &mut Vec<usize>) {
    let body = text.trim_end_matches(|ch| class_of(ch) & SPACE != 0).len();
    if body > 0 {
        ends.push(base + body);
    }
    if body < text.len() {
        ends.push(base + text.len());
    }
}

/// `[一-龥ࠀ-一가-퟿]+`
pub(super) fn cjk_runs(text: &str, base: usize, ends: &mut Vec<usize>) {
    let inside = |ch: char, class: Class| {
        class & SPACE == 0 && matches!(ch, '\u{800}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7ff}')
    };
    isolate(text, base, ends, |pos| run_of(text, pos, inside));
}

/// The words of Qwen 3.5: letters with their combining marks.
pub(super) const LETTERS_AND_MARKS: Class = LETTER | MARK;

fn run_of(text: &str, mut pos: usize, inside: impl Fn(char, Class) -> bool) -> usize {
    loop {
        let (ch, class, next) = peek(text, pos);
        if next == pos || !inside(ch, class) {
            return pos;
        }
        pos = next;
    }
}

/// `\s?X+`, with the set X given by `inside`.
fn spaced_run(text: &str, pos: usize, inside: impl Fn(char, Class) -> bool) -> usize {
    let (_, class, next) = peek(text, pos);
    let start = if class & SPACE != 0 { next } else { pos };
    let end = run_of(text, start, inside);
    if end > start { end } else { pos }
}

fn is_cased(ch: char) -> bool {
    if ch.is_ascii() {
        return ch.is_ascii_alphabetic();
    }
    let after = CASED_BEYOND_ASCII.partition_point(|&(first, _)| first <= ch as u32);
    after > 0 && ch as u32 <= CASED_BEYOND_ASCII[after - 1].1
}

/// The ranges (first, last) of the cased letters in the pattern of DeepSeek LLM.
#[rustfmt::skip]
const CASED_BEYOND_ASCII: &[(u32, u32)] = &[
    (0xb5, 0xb5), (0xc0, 0xd6), (0xd8, 0xf6), (0xf8, 0x1ba), (0x1bc, 0x1bf), (0x1c4, 0x293),
    (0x295, 0x2af), (0x370, 0x373), (0x376, 0x376), (0x377, 0x377), (0x37b, 0x37d), (0x37f,
    0x37f), (0x386, 0x386), (0x388, 0x38a), (0x38c, 0x38c), (0x38e, 0x3a1), (0x3a3, 0x3f5),
    (0x3f7, 0x481), (0x48a, 0x52f), (0x531, 0x556), (0x10a0, 0x10c5), (0x13a0, 0x13f5), (0x13f8,
    0x13fd), (0x1c90, 0x1cba), (0x1cbd, 0x1cbf), (0x1d00, 0x1d2b), (0x1d6b, 0x1d77), (0x1d79,
    0x1d9a), (0x1e00, 0x1f15), (0x1f18, 0x1f1d), (0x1f20, 0x1f45), (0x1f48, 0x1f4d), (0x1f50,
    0x1f57), (0x1f59, 0x1f59), (0x1f5b, 0x1f5b), (0x1f5d, 0x1f5d), (0x1f5f, 0x1f7d), (0x1f80,
    0x1fb4), (0x1fb6, 0x1fbc), (0x1fbe, 0x1fbe), (0x1fc2, 0x1fc4), (0x1fc6, 0x1fcc), (0x1fd0,
    0x1fd3), (0x1fd6, 0x1fdb), (0x1fe0, 0x1fec), (0x1ff2, 0x1ff4), (0x1ff6, 0x1ffc), (0x2102,
    0x2102), (0x2107, 0x2107), (0x210a, 0x2113), (0x2115, 0x2115), (0x2119, 0x211d), (0x2124,
    0x2124), (0x2126, 0x2126), (0x2128, 0x2128), (0x212a, 0x212d), (0x212f, 0x2134), (0x2139,
    0x2139), (0x213c, 0x213f), (0x2145, 0x2149), (0x214e, 0x214e), (0x2183, 0x2183), (0x2184,
    0x2184), (0x2c00, 0x2c7b), (0x2c7e, 0x2ce4), (0x2ceb, 0x2cee), (0x2cf2, 0x2cf2), (0x2cf3,
    0x2cf3), (0xa640, 0xa66d), (0xa680, 0xa69b), (0xa722, 0xa76f), (0xa771, 0xa787), (0xa78b,
    0xa78e), (0xab70, 0xabbf), (0xfb00, 0xfb06), (0xfb13, 0xfb17), (0xff21, 0xff3a), (0xff41,
    0xff5a), (0x10400, 0x1044f), (0x104b0, 0x104d3), (0x104d8, 0x104fb), (0x10c80, 0x10cb2),
    (0x10cc0, 0x10cf2), (0x118a0, 0x118df), (0x1e900, 0x1e943)
];
