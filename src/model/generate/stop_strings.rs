//! Stop strings in text that comes in pieces.

/// Finds stop strings, and holds back what may be the start of one.
#[derive(Default)]
pub struct StopStrings {
    /// None is empty.
    stops: Vec<String>,
    held: String,
}

impl StopStrings {
    pub fn new(stops: Vec<String>) -> Self {
        StopStrings { stops, held: String::new() }
    }

    /// Takes the next piece; returns the text that may be shown, and whether a stop string was found after it.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held += text;
        if let Some(at) = self.stops.iter().filter_map(|s| self.held.find(s.as_str())).min() {
            self.held.truncate(at);
            return (self.take_held(), true);
        }
        let may_start = |at: usize| self.stops.iter().any(|s| s.starts_with(&self.held[at..]));
        let keep = self.held.char_indices().map(|(at, _)| at).find(|&at| may_start(at));
        let rest = self.held.split_off(keep.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What is held back: nothing follows it.
    pub fn take_held(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_is_found_across_pieces_and_never_shown() {
        let mut found = StopStrings::new(vec!["END".into(), "\n\n".into()]);
        assert_eq!(found.push("one E"), ("one ".into(), false));
        assert_eq!(found.push("N"), (String::new(), false));
        assert_eq!(found.push("T\n"), ("ENT".into(), false));
        assert_eq!(found.push("EN"), ("\n".into(), false));
        assert_eq!(found.push("D tail"), (String::new(), true));
    }

    #[test]
    fn without_stop_strings_nothing_is_held_back() {
        let mut found = StopStrings::default();
        assert_eq!(found.push("any"), ("any".into(), false));
        assert_eq!(found.take_held(), "");
    }

    #[test]
    fn what_only_began_like_a_stop_string_is_held_until_it_is_asked_for() {
        let mut found = StopStrings::new(vec!["</s>".into()]);
        assert_eq!(found.push("a < b </"), ("a < b ".into(), false));
        assert_eq!(found.take_held(), "</");
    }
}
