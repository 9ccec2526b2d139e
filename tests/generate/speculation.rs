//! Speculation changes no token, whatever is drafted.

use quintile::model::speculate::{Draft, DraftModel, Lookup, Speculation};
use quintile::model::{
    Error, Finish, GenerateOptions, Generator, Piece, Sampler, SamplerOptions, Session,
    SessionOptions,
};

use super::*;

/// Drafts a text that is known beforehand, with an error now and then.
struct Oracle {
    text: Vec<u32>,
    /// Every so many tokens one is wrong; none, if 0.
    wrong: usize,
}

impl Draft for Oracle {
    fn propose(
        &mut self,
        tokens: &[u32],
        _: &mut Sampler,
        most: usize,
        draft: &mut Vec<u32>,
    ) -> Result<usize, Error> {
        for at in tokens.len()..self.text.len().min(tokens.len() + most) {
            let wrong = self.wrong > 0 && at % self.wrong == 0;
            draft.push(if wrong { (self.text[at] + 1) % 300 } else { self.text[at] });
        }
        Ok(20)
    }

    fn is_free(&self) -> bool {
        true
    }
}

fn greedy(repeat_penalty: f32) -> SamplerOptions {
    SamplerOptions { temperature: 0.0, repeat_penalty, ..SamplerOptions::default() }
}

/// What is generated, and why it ended.
fn run(
    session: &mut Session<'_>,
    options: SamplerOptions,
    prompt: &[u32],
    generate: &GenerateOptions,
    speculation: Option<&mut Speculation<dyn Draft + '_>>,
) -> (Vec<Piece>, Option<Finish>) {
    let tokenizer = session.model().tokenizer().unwrap();
    let mut sampler = Sampler::new(options).unwrap();
    session.truncate(0);
    // All but the last token, so that what follows the prompt can be drafted.
    session.forward(&prompt[..prompt.len() - 1]).unwrap();
    // Reborrowed for as long as all else that the generator borrows.
    fn collect(mut generator: Generator<'_, '_, Sampler>) -> (Vec<Piece>, Option<Finish>) {
        let pieces = generator.by_ref().map(Result::unwrap).collect();
        (pieces, generator.finish())
    }
    let generator =
        Generator::new(session, &tokenizer, &mut sampler, prompt.to_vec(), generate.clone());
    match speculation {
        Some(speculation) => collect(generator.unwrap().speculate(speculation)),
        None => collect(generator.unwrap()),
    }
}

fn long(tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens: tokens,
        ignore_end: true,
        log_probs: Some(2),
        ..GenerateOptions::default()
    }
}

#[test]
fn the_text_is_that_of_plain_decoding_to_the_bit_of_every_probability() {
    let pool = pool(1);
    let (prompts, tokens) = if emulated() { (1, 12) } else { (6, 32) };
    let mut accepted = 0;
    for name in MODELS {
        let model = model(name);
        let mut session = session(&model, &pool);
        for seed in 0..prompts {
            let start = prompt(3 + 4 * seed as usize, seed);
            let warm = SamplerOptions { temperature: 1.0, seed: 7, ..SamplerOptions::default() };
            for options in [greedy(1.0), greedy(1.3), warm] {
                let generate = long(tokens);
                let want = run(&mut session, options.clone(), &start, &generate, None);
                for length in [None, Some(1), Some(4), Some(31)] {
                    let mut lookup = Speculation::new(Lookup::with_least(1));
                    if let Some(length) = length {
                        lookup = lookup.with_fixed_length(length);
                    }
                    let got =
                        run(&mut session, options.clone(), &start, &generate, Some(&mut lookup));
                    assert!(got == want, "{name}, prompt {seed}, {options:?}, {length:?}");
                    let stats = lookup.stats();
                    assert!(stats.accepted <= stats.drafted && stats.tokens <= tokens as u64);
                    accepted += stats.accepted;
                }
            }
        }
    }
    assert!(accepted > 0, "no draft was ever right: the test shows nothing");
}

#[test]
fn a_draft_model_changes_no_token_and_as_its_own_draft_is_always_right() {
    let pool = pool(1);
    let models = MODELS.map(model);
    for (name, model) in MODELS.iter().zip(&models).skip(if emulated() { 3 } else { 0 }) {
        let tokenizer = model.tokenizer().unwrap();
        let mut session = session(model, &pool);
        for (seed, temperature) in [(1, 0.0), (2, 1.2)] {
            let options = SamplerOptions {
                temperature,
                repeat_penalty: 1.1,
                seed: u64::from(seed),
                ..SamplerOptions::default()
            };
            let (start, generate) = (prompt(8, seed), long(16));
            let want = run(&mut session, options.clone(), &start, &generate, None);
            for (other, small) in MODELS.iter().zip(&models) {
                let own = other == name;
                let Ok(draft) = DraftModel::new(
                    Session::new(small, &pool, &SessionOptions::default()).unwrap(),
                    &tokenizer,
                    &small.tokenizer().unwrap(),
                ) else {
                    assert!(!own);
                    continue;
                };
                let mut draft = Speculation::new(draft).with_fixed_length(5);
                let got = run(&mut session, options.clone(), &start, &generate, Some(&mut draft));
                assert!(got == want, "{name} by {other}, temperature {temperature}");
                assert!(!own || draft.stats().acceptance() == Some(1.0), "{:?}", draft.stats());
                // Another text with the same draft: what it holds of the last is forgotten.
                let again = run(&mut session, options.clone(), &start, &generate, Some(&mut draft));
                assert!(again == want, "{name} by {other} again");
            }
        }
    }
}

#[test]
fn a_text_ends_at_the_same_token_in_the_middle_of_a_draft() {
    let (model, pool) = (model("llama-linear"), pool(1));
    let mut session = session(&model, &pool);
    let start = prompt(6, 2);
    let want = run(&mut session, greedy(1.0), &start, &long(60), None).0;
    let text: Vec<u32> = start.iter().copied().chain(want.iter().map(|p| p.token)).collect();
    let whole: String = want.iter().map(|piece| piece.text.as_str()).collect();
    let chars: Vec<char> = whole.chars().collect();
    for cut in 1..20 {
        for wrong in [0, 3, 7] {
            let oracle = || Oracle { text: text.clone(), wrong };
            let mut oracle = Speculation::new(oracle()).with_fixed_length(8);
            let got = run(&mut session, greedy(1.0), &start, &long(cut), Some(&mut oracle));
            assert_eq!(got.0.len(), cut);
            assert!(got.0.iter().map(|p| p.token).eq(want[..cut].iter().map(|p| p.token)));
            assert_eq!((got.1, session.position()), (Some(Finish::Length), start.len() + cut - 1));
            let stop = chars[2 * cut..2 * cut + 3].iter().collect::<String>();
            let stops = GenerateOptions { stop: vec![stop], ..long(60) };
            let plain = run(&mut session, greedy(1.0), &start, &stops, None);
            let position = session.position();
            let got = run(&mut session, greedy(1.0), &start, &stops, Some(&mut oracle));
            assert_eq!((plain.1, &got), (Some(Finish::StopString), &plain));
            assert_eq!(session.position(), position);
        }
    }
    // A full context.
    let options = SessionOptions { context: Some(20), ..SessionOptions::default() };
    let mut small = Session::new(&model, &pool, &options).unwrap();
    let plain = run(&mut small, greedy(1.0), &start, &long(60), None);
    let mut oracle = Speculation::new(Oracle { text, wrong: 0 }).with_fixed_length(31);
    assert_eq!(run(&mut small, greedy(1.0), &start, &long(60), Some(&mut oracle)), plain);
    assert_eq!(plain.1, Some(Finish::ContextFull));
    assert!(oracle.stats().accepted > 8);
}

#[test]
fn a_text_that_is_left_in_the_middle_of_a_draft_goes_on_as_if_it_had_not_been() {
    let (model, pool) = (model("qwen2"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    // Batches smaller than a draft.
    let options = SessionOptions { batch: 3, ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    let start = prompt(7, 5);
    let want = run(&mut session, greedy(1.0), &start, &long(24), None).0;
    let mut tokens = start.clone();
    let text: Vec<u32> = start.iter().copied().chain(want.iter().map(|p| p.token)).collect();
    let mut oracle = Speculation::new(Oracle { text: text.clone(), wrong: 0 }).with_fixed_length(6);
    let mut sampler = Sampler::greedy();
    session.truncate(0);
    for taken in [2, 3, 5, 14] {
        let generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, tokens, long(100)).unwrap();
        let mut generator = generator.speculate(&mut oracle);
        assert_eq!(generator.by_ref().take(taken).count(), taken);
        tokens = generator.into_tokens();
        assert!(session.position() <= tokens.len());
    }
    assert_eq!(tokens, text);
}

#[test]
fn drawn_tokens_have_the_probabilities_of_the_model_whatever_is_drafted() {
    let (model, pool) = (model("qwen2"), pool(1));
    let mut session = session(&model, &pool);
    let start = prompt(5, 9);
    session.forward(&start).unwrap();
    // Of the three most likely tokens at a temperature of 1, in f64; then of those that follow each of them.
    let three = |logits: &[f32]| {
        let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
        ids.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
        let weights: Vec<f64> =
            ids[..3].iter().map(|&id| f64::from(logits[id as usize]).exp()).collect();
        let sum: f64 = weights.iter().sum();
        (0..3).map(|i| (ids[i], weights[i] / sum)).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for (first, p) in three(session.logits()) {
        session.truncate(start.len());
        session.forward(&[first]).unwrap();
        for (second, q) in three(session.logits()) {
            expected.push(((first, second), p * q));
        }
    }
    let n = if emulated() { 60 } else { 500 };
    // Every seed drafts the same: the pair that is most likely, or one that is not.
    for drafted in [expected[0].0, expected[4].0] {
        let text = start.iter().copied().chain([drafted.0, drafted.1, 5, 6]).collect();
        let mut oracle = Speculation::new(Oracle { text, wrong: 0 }).with_fixed_length(3);
        let mut counts = vec![0.0; expected.len()];
        for seed in 0..n {
            let options = SamplerOptions {
                temperature: 1.0,
                top_k: 3,
                top_p: 1.0,
                min_p: 0.0,
                seed,
                ..SamplerOptions::default()
            };
            let (pieces, _) = run(&mut session, options, &start, &long(2), Some(&mut oracle));
            let pair = (pieces[0].token, pieces[1].token);
            let at = expected.iter().position(|(expected, _)| *expected == pair);
            counts[at.expect("one of the nine")] += 1.0;
        }
        let expected = expected.iter().map(|(_, p)| p * n as f64);
        let chi_square: f64 = counts
            .iter()
            .zip(expected)
            .map(|(count, expected)| (count - expected).powi(2) / expected)
            .sum();
        // Eight degrees of freedom: exceeded by chance once in 1000.
        assert!(chi_square < 26.12, "{chi_square}: {counts:?}");
        if !emulated() {
            assert!(oracle.stats().verified > 0);
        }
    }
}
