//! What a generator gives, and how it ends by itself.

use quintile::kernels::Kernels;
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer};
use quintile::model::{
    Error, Finish, GenerateOptions, Generator, LoadOptions, Model, Pool, Sampler, SamplerOptions,
    Session, SessionOptions, generate,
};

use super::*;

fn options(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_tokens, ignore_end: true, ..GenerateOptions::default() }
}

/// The tokens that a session gives when it is asked for one after the other.
fn plain(session: &mut Session<'_>, sampler: &mut Sampler, prompt: &[u32], n: usize) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    session.forward(prompt).unwrap();
    for _ in 0..n {
        let token = sampler.sample(session.model().kernels(), session.logits(), &tokens);
        tokens.push(token);
        session.forward(&[token]).unwrap();
    }
    tokens
}

#[test]
fn what_is_shared_between_threads_may_be() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Model>();
    shared::<Pool>();
    shared::<Tokenizer>();
    shared::<Sampler>();
    shared::<Error>();
    sent::<Session<'_>>();
    sent::<Generator<'_, '_, Sampler>>();
}

#[test]
fn a_generator_gives_the_tokens_of_a_plain_loop_and_their_text() {
    let pool = pool(2);
    for name in MODELS {
        let model = model(name);
        let tokenizer = model.tokenizer().unwrap();
        for temperature in [0.0, 1.2] {
            let options_of = SamplerOptions { temperature, seed: 9, ..SamplerOptions::default() };
            let mut sampler = Sampler::new(options_of).unwrap();
            let prompt = prompt(9, 4);
            let want = plain(&mut session(&model, &pool), &mut sampler.clone(), &prompt, 20);
            let mut session = session(&model, &pool);
            let mut generator =
                Generator::new(&mut session, &tokenizer, &mut sampler, prompt, options(20))
                    .unwrap();
            let pieces: Vec<_> = generator.by_ref().map(Result::unwrap).collect();
            assert_eq!(generator.finish(), Some(Finish::Length));
            assert_eq!(generator.tokens(), want);
            assert_eq!(pieces.iter().map(|piece| piece.token).collect::<Vec<_>>(), want[9..]);
            let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
            let bytes: Vec<u8> = want[9..]
                .iter()
                .filter(|&&token| !tokenizer.is_control(token))
                .flat_map(|&token| tokenizer.token_bytes(token).to_vec())
                .collect();
            assert_eq!(text, String::from_utf8_lossy(&bytes), "{name}");
            assert_eq!(generator.take_held(), "");
            drop(generator);
            assert_eq!(session.position(), want.len() - 1);
        }
    }
}

#[test]
fn a_text_that_was_left_goes_on_as_if_it_had_not_been() {
    let (model, pool) = (model("llama-linear"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let mut sampler = Sampler::greedy();
    let want = plain(&mut session(&model, &pool), &mut sampler, &prompt(5, 1), 24);
    let mut session = session(&model, &pool);
    let mut tokens = prompt(5, 1);
    for taken in [1, 2, 7, 14] {
        let options = options(100);
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, tokens, options).unwrap();
        assert_eq!(generator.by_ref().take(taken).count(), taken);
        assert_eq!(generator.finish(), None);
        tokens = generator.into_tokens();
    }
    assert_eq!(tokens, want);
    // Whether the session holds all of the text, or a part, or nothing.
    for held in [tokens.len() - 1, 10, 0] {
        session.truncate(held);
        let options = options(3);
        let again =
            Generator::new(&mut session, &tokenizer, &mut sampler, want[..20].to_vec(), options);
        if held > 20 {
            assert!(matches!(again, Err(Error::Session(message)) if message.contains("holds 28")));
        } else {
            let again: Vec<u32> = again.unwrap().map(|piece| piece.unwrap().token).collect();
            assert_eq!(again, want[20..23]);
        }
    }
    session.truncate(0);
    session.forward(&want[..20]).unwrap();
    for _ in 0..2 {
        // Logits that are there are taken; those of a token that was forgotten are computed again.
        let options = options(1);
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, want[..20].to_vec(), options)
                .unwrap();
        assert_eq!(generator.next().unwrap().unwrap().token, want[20]);
        drop(generator);
        session.truncate(19);
        session.forward(&want[19..20]).unwrap();
        session.truncate(20);
    }
}

#[test]
fn a_stop_string_ends_the_text_before_it_wherever_tokens_begin() {
    let (model, pool) = (model("llama-linear"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let text = |stop: Vec<String>| {
        let mut session = session(&model, &pool);
        let options = GenerateOptions { stop, ..options(30) };
        let mut sampler = Sampler::greedy();
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, prompt(6, 2), options).unwrap();
        let text: String = generator.by_ref().map(|piece| piece.unwrap().text).collect();
        (text, generator.finish().unwrap())
    };
    let (whole, finish) = text(vec![]);
    assert_eq!(finish, Finish::Length);
    let chars: Vec<char> = whole.chars().collect();
    for at in (0..chars.len() - 3).step_by(3) {
        let stop: String = chars[at..at + 3].iter().collect();
        let want = &whole[..whole.find(&stop).unwrap()];
        let stops = vec!["never here".into(), stop];
        assert_eq!(text(stops), (want.to_owned(), Finish::StopString));
    }
}

#[test]
fn an_end_of_generation_token_ends_the_text_unless_it_is_ignored() {
    let (model, pool) = (model("llama-linear"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let end = tokenizer.eos().unwrap();
    assert!(tokenizer.is_end_of_generation(end));
    // Says a token three times, then ends.
    let mut chooser = |_: &Kernels, _: &mut [f32], history: &[u32]| {
        if history.len().is_multiple_of(4) { end } else { 70 }
    };
    let mut session = session(&model, &pool);
    for (ignore_end, want) in [(false, 4), (true, 9)] {
        let options = GenerateOptions { ignore_end, ..options(9) };
        session.truncate(0);
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut chooser, vec![5], options).unwrap();
        let pieces: Vec<_> = generator.by_ref().map(Result::unwrap).collect();
        assert_eq!(pieces.len(), want);
        assert_eq!((pieces[3].token, pieces[3].text.as_str()), (end, ""));
        assert_eq!(generator.finish() == Some(Finish::End), !ignore_end);
        assert!(generator.next().is_none());
    }
}

#[test]
fn a_full_context_ends_the_text_and_a_prompt_beyond_it_is_an_error() {
    let (model, pool) = (model("qwen2"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let options_of = SessionOptions { context: Some(12), ..SessionOptions::default() };
    let mut sampler = Sampler::greedy();
    for (len, generated) in [(5, 8), (11, 2), (12, 1)] {
        let mut session = Session::new(&model, &pool, &options_of).unwrap();
        let prompt = prompt(len, 3);
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, prompt, options(100)).unwrap();
        assert_eq!(generator.by_ref().map(Result::unwrap).count(), generated);
        assert_eq!(generator.finish(), Some(Finish::ContextFull));
    }
    let mut session = Session::new(&model, &pool, &options_of).unwrap();
    let mut generator =
        Generator::new(&mut session, &tokenizer, &mut sampler, prompt(13, 3), options(1)).unwrap();
    let error = generator.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("13 tokens after 0 do not fit a context of 12"), "{error}");
    assert!(generator.next().is_none() && generator.finish().is_none());
    drop(generator);
    assert_eq!(session.position(), 0);
}

#[test]
fn log_probabilities_are_those_before_the_penalty() {
    let (model, pool) = (model("gemma3"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let mut session = session(&model, &pool);
    let mut sampler = Sampler::new(SamplerOptions {
        temperature: 0.0,
        repeat_penalty: 5.0,
        ..SamplerOptions::default()
    })
    .unwrap();
    let options = GenerateOptions { log_probs: Some(3), ..options(12) };
    let text = generate(&mut session, &tokenizer, &mut sampler, "the and", options).unwrap();
    let mut penalised = false;
    for piece in text {
        let piece = piece.unwrap();
        let probs = piece.log_probs.unwrap();
        assert_eq!(probs.top.len(), 3);
        assert!(probs.chosen <= probs.top[0].1 && probs.top[0].1 < 0.0);
        penalised |= probs.top[0].0 != piece.token;
    }
    assert!(penalised, "no token was ever repeated: the test shows nothing");
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let (model, pool) = (model("qwen2"), pool(1));
    let tokenizer = model.tokenizer().unwrap();
    let mut session = session(&model, &pool);
    let mut sampler = Sampler::greedy();
    let mut refused = |tokens, options| {
        let generator = Generator::new(&mut session, &tokenizer, &mut sampler, tokens, options);
        generator.err().unwrap().to_string()
    };
    assert!(refused(vec![], options(1)).contains("no token"));
    let stop = vec!["a".into(), String::new()];
    let options = GenerateOptions { stop, ..options(1) };
    assert!(refused(vec![1], options).contains("stop string is empty"));
}

#[test]
fn a_model_that_is_read_into_memory_tells_how_far_it_is_and_gives_the_same_tokens() {
    let path = "tests/data/tiny/qwen2.gguf";
    let size = std::fs::metadata(path).unwrap().len();
    let mut told = Vec::new();
    let mut progress = |read, of| told.push((read, of));
    let options =
        LoadOptions { mmap: false, progress: Some(&mut progress), ..LoadOptions::default() };
    let read = Model::open_with(path, options).unwrap();
    assert_eq!(told.last(), Some(&(size, size)));
    let mapped = Model::open(path).unwrap();
    let tokens = |model: &Model| {
        let tokenizer = model.tokenizer().unwrap();
        let text = tokenizer.decode(&prompt(9, 5), DecodeOptions::default());
        tokenizer.encode(&String::from_utf8_lossy(&text), EncodeOptions::default())
    };
    assert_eq!(tokens(&read), tokens(&mapped));
    let error = Model::open("tests/data/none.gguf").err().unwrap().to_string();
    assert!(error.contains("none.gguf"), "{error}");
}
