//! An array of strings in two allocations.

use std::fmt;
use std::sync::LazyLock;

/// The strings of a metadata array, end to end: a vocabulary has hundreds of thousands, and a
/// [`String`] for each would take several times the bytes of the text.
///
/// ```
/// use quintile::gguf::Strings;
///
/// let strings: Strings = ["a", "", "grüße"].into_iter().collect();
/// assert_eq!(strings.len(), 3);
/// assert_eq!(strings.get(2), Some("grüße"));
/// assert!(strings.iter().eq(["a", "", "grüße"]));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Strings {
    text: Box<str>,
    /// Where each string ends in `text`.
    ends: Box<[usize]>,
}

impl Strings {
    /// `ends` ascend to the length of `text`, each on the boundary of a character.
    pub(super) fn new(text: String, ends: Vec<usize>) -> Strings {
        Strings { text: text.into_boxed_str(), ends: ends.into_boxed_slice() }
    }

    /// The number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no strings.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// String `i`, if there are so many.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(&self.text[start..end])
    }

    /// The strings in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { text: &self.text, ends: self.ends.iter(), start: 0 }
    }

    /// A copy of each string.
    pub fn to_vec(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

/// The strings of a [`Strings`] in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    text: &'a str,
    ends: std::slice::Iter<'a, usize>,
    start: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = *self.ends.next()?;
        let start = std::mem::replace(&mut self.start, end);
        Some(&self.text[start..end])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Strings {
    type Item = &'a str;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Strings {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for string in strings {
            text.push_str(string.as_ref());
            ends.push(text.len());
        }
        Strings::new(text, ends)
    }
}

impl<S: AsRef<str>> From<Vec<S>> for Strings {
    fn from(strings: Vec<S>) -> Strings {
        strings.into_iter().collect()
    }
}

/// No strings: what an array that is absent stands for.
impl Default for &Strings {
    fn default() -> Self {
        static NONE: LazyLock<Strings> = LazyLock::new(Strings::default);
        &NONE
    }
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
