//! Character classes of the pre-tokeniser patterns: `\p{L}`, `\p{N}`, `\p{P}`, `\p{M}`, `\p{S}`
//! and `\s`.

use unicode_general_category::{GeneralCategory, get_general_category};

/// One class of characters, or (combined by `|`) a set of classes.
///
/// Every character belongs to exactly one class, so that the set is never empty for a character
/// and [`END`] can stand for "no character".
pub(super) type Class = u8;

/// Beyond the end of the text.
pub(super) const END: Class = 0;
/// `\p{L}`.
pub(super) const LETTER: Class = 1;
/// `\p{N}`.
pub(super) const NUMBER: Class = 1 << 1;
/// `\s`: the Unicode property White_Space.
pub(super) const SPACE: Class = 1 << 2;
/// `\p{P}`.
pub(super) const PUNCTUATION: Class = 1 << 3;
/// `\p{M}`.
pub(super) const MARK: Class = 1 << 4;
/// `\p{S}`.
pub(super) const SYMBOL: Class = 1 << 5;
/// Everything else: controls, unassigned and private code points.
pub(super) const OTHER: Class = 1 << 6;
/// `[^\s\p{L}\p{N}]`.
pub(super) const NOT_WORD: Class = PUNCTUATION | MARK | SYMBOL | OTHER;

const ASCII: [Class; 128] = {
    let mut table = [OTHER; 128];
    let mut byte = 0;
    while byte < 128 {
        let ch = byte as u8;
        if ch.is_ascii_alphabetic() {
            table[byte] = LETTER;
        } else if ch.is_ascii_digit() {
            table[byte] = NUMBER;
        } else if matches!(ch, b'\t'..=b'\r' | b' ') {
            table[byte] = SPACE;
        } else if matches!(ch, b'$' | b'+' | b'<'..=b'>' | b'^' | b'`' | b'|' | b'~') {
            table[byte] = SYMBOL;
        } else if ch.is_ascii_punctuation() {
            table[byte] = PUNCTUATION;
        }
        byte += 1;
    }
    table
};

/// The class of one character.
#[inline]
pub(super) fn class_of(ch: char) -> Class {
    match ASCII.get(ch as usize) {
        Some(&class) => class,
        None => class_beyond_ascii(ch),
    }
}

fn class_beyond_ascii(ch: char) -> Class {
    use GeneralCategory::*;
    if ch.is_whitespace() {
        return SPACE;
    }
    match get_general_category(ch) {
        UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter => {
            LETTER
        }
        DecimalNumber | LetterNumber | OtherNumber => NUMBER,
        ConnectorPunctuation | DashPunctuation | OpenPunctuation | ClosePunctuation
        | InitialPunctuation | FinalPunctuation | OtherPunctuation => PUNCTUATION,
        NonspacingMark | SpacingMark | EnclosingMark => MARK,
        MathSymbol | CurrencySymbol | ModifierSymbol | OtherSymbol => SYMBOL,
        _ => OTHER,
    }
}

/// The character at byte `pos` of `text`, its class, and the position behind it;
/// `('\0', END, pos)` at the end.
#[inline]
pub(super) fn peek(text: &str, pos: usize) -> (char, Class, usize) {
    match text.as_bytes().get(pos) {
        Some(&byte) if byte < 0x80 => (byte as char, ASCII[byte as usize], pos + 1),
        Some(_) => match text[pos..].chars().next() {
            Some(ch) => (ch, class_beyond_ascii(ch), pos + ch.len_utf8()),
            None => ('\0', END, pos),
        },
        None => ('\0', END, pos),
    }
}

/// The end of the run of characters of the classes `set` that starts at `pos`.
#[inline]
pub(super) fn run(text: &str, mut pos: usize, set: Class) -> usize {
    loop {
        let (_, class, next) = peek(text, pos);
        if class & set == 0 {
            return pos;
        }
        pos = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_table_agrees_with_the_unicode_categories() {
        for byte in 0..128u8 {
            let ch = byte as char;
            assert_eq!(class_of(ch), class_beyond_ascii(ch), "{ch:?}");
        }
    }

    #[test]
    fn every_kind_of_character_has_its_class() {
        let cases = [
            ('é', LETTER),
            ('中', LETTER),
            ('٣', NUMBER),
            ('Ⅷ', NUMBER),
            ('½', NUMBER),
            ('\u{85}', SPACE),
            ('\u{a0}', SPACE),
            ('\u{3000}', SPACE),
            ('\u{200b}', OTHER),
            ('。', PUNCTUATION),
            ('\u{301}', MARK),
            ('€', SYMBOL),
            ('🚀', SYMBOL),
            ('\u{e000}', OTHER),
            ('\0', OTHER),
            ('\u{1c}', OTHER),
        ];
        for (ch, class) in cases {
            assert_eq!(class_of(ch), class, "{ch:?}");
        }
    }
}
