//! The alphabet of byte-level BPE: one printable character for each of the 256 bytes.

/// The character that stands for `byte` in the text of a token.
///
/// Printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 onwards in
/// ascending order (Radford et al. 2019, `bytes_to_unicode` of GPT-2).
pub(super) const fn byte_to_char(byte: u8) -> char {
    let code = match byte {
        0x00..=0x20 => 0x100 + byte as u32,
        0x7f..=0xa0 => 0x121 + (byte - 0x7f) as u32,
        0xad => 0x143,
        _ => byte as u32,
    };
    match char::from_u32(code) {
        Some(ch) => ch,
        None => unreachable!(),
    }
}

/// The byte that `ch` stands for, if it is a character of the alphabet.
pub(super) const fn char_to_byte(ch: char) -> Option<u8> {
    match ch as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121) as u8 + 0x7f),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The bytes that the text of a byte-level token stands for. A character outside the alphabet
/// stands for its own UTF-8 bytes.
pub(super) fn decode_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for ch in text.chars() {
        match char_to_byte(ch) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The value of a byte token, `<0x00>` to `<0xFF>`.
pub(super) fn byte_token_value(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let valid = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if valid { u8::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_one_to_one_and_printable() {
        let mut seen = std::collections::HashSet::new();
        for byte in 0..=255u8 {
            let ch = byte_to_char(byte);
            assert_eq!(char_to_byte(ch), Some(byte));
            assert!(seen.insert(ch));
            assert!(!ch.is_control() && !ch.is_whitespace(), "{byte:#x}");
        }
        assert_eq!((0..=0x200).filter_map(char::from_u32).filter_map(char_to_byte).count(), 256);
    }

    #[test]
    fn known_characters_stand_for_known_bytes() {
        assert_eq!(byte_to_char(b' '), 'Ġ');
        assert_eq!(byte_to_char(b'\n'), 'Ċ');
        assert_eq!(byte_to_char(0xad), 'Ń');
        assert_eq!(byte_to_char(0x7f), 'ġ');
        assert_eq!(decode_text("ĠcafÃ©"), " café".as_bytes());
        assert_eq!(decode_text("中"), "中".as_bytes());
    }

    #[test]
    fn byte_tokens_are_exactly_two_hexadecimal_digits() {
        assert_eq!(byte_token_value("<0x0A>"), Some(10));
        assert_eq!(byte_token_value("<0xff>"), Some(255));
        for bad in ["<0x>", "<0x0>", "<0x00A>", "<0x+1>", "0x0A", "<0xé>", ""] {
            assert_eq!(byte_token_value(bad), None, "{bad}");
        }
    }
}
