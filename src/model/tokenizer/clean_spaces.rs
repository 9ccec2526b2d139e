//! The cleaning of decoded text that older byte-level vocabularies ask for.

/// Removes the space before `?`, `!`, `.` and `,`, the spaces around a lone apostrophe, and the
/// space before `'s`, `'m`, `'re` and `'ve`, in this order.
pub(super) fn clean_spaces(text: Vec<u8>) -> Vec<u8> {
    let text = remove_spaces(&text, |rest| matches!(rest, [b'?' | b'!' | b'.' | b',', ..]));
    let text = join_lone_apostrophes(&text);
    remove_spaces(&text, |rest| {
        matches!(rest, [b'\'', b's' | b'm', ..] | [b'\'', b'r', b'e', ..] | [b'\'', b'v', b'e', ..])
    })
}

/// Removes each space that stands before a place where `here` holds.
fn remove_spaces(text: &[u8], here: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let keep = |&(at, &byte): &(usize, &u8)| byte != b' ' || !here(&text[at + 1..]);
    text.iter().enumerate().filter(keep).map(|(_, &byte)| byte).collect()
}

/// Turns `a ' b` into `a'b`.
fn join_lone_apostrophes(text: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match tail.strip_prefix(b"' ") {
            Some(behind) if byte == b' ' => {
                joined.push(b'\'');
                behind
            }
            _ => {
                joined.push(byte);
                tail
            }
        };
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_before_punctuation_and_contractions_go() {
        let cases = [
            ("Hello , world !", "Hello, world!"),
            ("a  .", "a ."),
            ("it 's we 've you 're I 'm", "it's we've you're I'm"),
            ("don 't I 'd we 'll", "don 't I 'd we 'll"),
            ("a ' b ' c", "a'b'c"),
            (" ' ' ", "'' "),
            (" .", "."),
            (" '", " '"),
            ("", ""),
        ];
        for (text, cleaned) in cases {
            let found = clean_spaces(text.as_bytes().to_vec());
            assert_eq!(String::from_utf8(found).unwrap(), cleaned, "{text:?}");
        }
    }
}
