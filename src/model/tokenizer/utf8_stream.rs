//! Bytes of tokens to text, when a character may be spread over several tokens.

/// Turns bytes that arrive in pieces into text that never ends within a character.
///
/// ```
/// use quintile::model::tokenizer::Utf8Stream;
///
/// let mut stream = Utf8Stream::default();
/// assert_eq!(stream.push(b"caf\xc3"), "caf");
/// assert_eq!(stream.push(b"\xa9!"), "é!");
/// assert_eq!(stream.push(b"\xe2\x82"), "");
/// assert_eq!(stream.flush(), "\u{fffd}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The start of an incomplete character: at most three bytes.
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Takes the next bytes and returns all text that is complete. Bytes that cannot be part of
    /// any character become U+FFFD as soon as that is certain, as [`String::from_utf8_lossy`]
    /// would have it for the whole; an incomplete character at the end is held back.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let complete = self.pending.len() - incomplete_tail(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        text
    }

    /// Ends the text: an incomplete character that was held back becomes U+FFFD.
    pub fn flush(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// How many bytes at the end are the valid start of a character that is still incomplete.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last();
    last.map_or(0, |chunk| match std::str::from_utf8(chunk.invalid()) {
        Err(error) if error.error_len().is_none() => chunk.invalid().len(),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_any_bytes_gives_the_lossy_text_of_the_whole() {
        let texts: [&[u8]; 6] = [
            "aé中🚀\u{10ffff}".as_bytes(),
            b"\xff\xfea\x80\xe4\xb8",
            b"\xf0\x9f\x9a\xf0\x9f\x9a\x80",
            b"\xed\xa0\x80\xc0\xafx",
            b"\xf4\x90\x80\x80",
            b"\xe4\xb8a\xc3(",
        ];
        for text in texts {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut stream = Utf8Stream::default();
                    let mut joined = stream.push(&text[..first]);
                    joined += &stream.push(&text[first..second]);
                    joined += &stream.push(&text[second..]);
                    joined += &stream.flush();
                    assert_eq!(joined, String::from_utf8_lossy(text), "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn only_an_incomplete_character_is_held_back() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(b"a\xff"), "a\u{fffd}");
        assert_eq!(stream.push(b"\xf0\x9f\x9a"), "");
        assert_eq!(stream.pending.len(), 3);
        assert_eq!(stream.push(b"b"), "\u{fffd}b");
        assert_eq!(stream.flush(), "");
    }
}
