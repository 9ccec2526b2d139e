//! Flags and deadlines, at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use quintile::gguf::{Builder, Gguf, OpenOptions, Value};
use quintile::isa::Isa;
use quintile::model::{Error, Finish, GenerateOptions, Generator, Sampler};
use quintile::tensor::Dims;

use super::*;

/// A tiny model with `times` as many values between its gates and `down`, so that a batch takes a while.
fn widened(name: &str, times: usize) -> Model {
    let source =
        Gguf::open(format!("tests/data/tiny/{name}.gguf").as_ref(), &OpenOptions::default())
            .unwrap();
    let mut builder = Builder::new();
    for (key, value) in source.metadata().iter() {
        if key.ends_with(".feed_forward_length") {
            let len = source.metadata().u32(key).unwrap().unwrap();
            builder.metadata(key, Value::U32(len * times as u32));
        } else {
            builder.metadata(key, value);
        }
    }
    let is_gate = |name: &str| name.contains("ffn_gate") || name.contains("ffn_up");
    for tensor in source.tensors() {
        let [k, rows] = [tensor.dims.k(), tensor.dims.rows()];
        let dims = match &tensor.name {
            name if is_gate(name) => Dims::new(&[k, rows * times]).unwrap(),
            name if name.contains("ffn_down") => Dims::new(&[k * times, rows]).unwrap(),
            _ => tensor.dims,
        };
        builder.tensor(tensor.name.as_str(), dims, tensor.type_id);
    }
    let file = format!("stopping-{name}-{}.gguf", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let mut writer = builder.create(&file).unwrap();
    for tensor in source.tensors() {
        let bytes = source.tensor_bytes(tensor);
        let (run, times) = match &tensor.name {
            name if is_gate(name) => (bytes.len(), times),
            name if name.contains("ffn_down") => (bytes.len() / tensor.dims.rows(), times),
            _ => (bytes.len(), 1),
        };
        for run in bytes.chunks(run) {
            (0..times).for_each(|_| writer.write(run).unwrap());
        }
    }
    writer.finish().unwrap();
    let options = OpenOptions { mmap: false, ..OpenOptions::default() };
    let model = Model::load(Gguf::open(&file, &options).unwrap(), Isa::detect()).unwrap();
    std::fs::remove_file(file).unwrap();
    model
}

#[test]
fn a_deadline_ends_a_batch_that_would_take_far_longer_and_the_session_goes_on_with_the_same_bits() {
    if emulated() {
        return;
    }
    let (model, pool) = (widened("qwen2", 60), pool(2));
    let mut session = session(&model, &pool);
    let prompt = prompt(512, 7);
    session.forward(&prompt[..3]).unwrap();
    let passes = (0..3).map(|_| {
        session.truncate(3);
        let start = Instant::now();
        session.forward(&prompt[3..]).unwrap();
        start.elapsed()
    });
    let whole = passes.min().unwrap();
    let want = session.logits().to_vec();
    // At several points of the pass. The machine may be busy with other things just then: once of some times it is not.
    for part in 1..5 {
        let times = (0..8).map(|_| {
            session.truncate(3);
            let deadline = Instant::now() + whole * part / 8;
            session.set_deadline(Some(deadline));
            let result = session.forward(&prompt[3..]);
            let late = deadline.elapsed();
            assert!(matches!(result, Err(Error::Deadline)), "{part}: {result:?}");
            assert_eq!((session.position(), session.has_logits()), (3, false));
            session.set_deadline(None);
            session.check().unwrap();
            late
        });
        let late = times.take_while(|late| *late > Duration::from_millis(50)).count();
        assert!(late < 8, "{part} eighths of {whole:?}: late each time");
    }
    session.forward(&prompt[3..]).unwrap();
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(session.logits()) == bits(&want));
}

#[test]
fn a_flag_that_is_taken_back_at_once_still_forgets_the_batch_if_a_piece_was_left_out() {
    let (model, pool) = (model("llama-3"), pool(3));
    let flag = Arc::new(AtomicBool::new(false));
    let options =
        SessionOptions { cancel: Some(Arc::clone(&flag)), batch: 16, ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    let prompt = prompt(200, 1);
    session.forward(&prompt).unwrap();
    let want = session.logits().to_vec();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                flag.store(true, Relaxed);
                flag.store(false, Relaxed);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let tries = if emulated() { 3 } else { 60 };
        let mut cancelled = 0;
        for _ in 0..tries {
            session.truncate(0);
            // Whatever was left out, the text goes on where the error left it.
            while session.position() < prompt.len() {
                match session.forward(&prompt[session.position()..]) {
                    Ok(()) => assert!(session.logits() == want),
                    Err(error) => {
                        cancelled += 1;
                        assert!(matches!(error, Error::Cancelled), "{error}");
                        assert!(session.position().is_multiple_of(16), "{}", session.position());
                    }
                }
            }
        }
        done.store(true, Relaxed);
        eprintln!("{cancelled} batches were cancelled");
    });
}

#[test]
fn a_generator_that_is_stopped_keeps_what_it_gave_and_says_why_it_ended() {
    let (model, pool) = (model("llama-linear"), pool(2));
    let tokenizer = model.tokenizer().unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let options = SessionOptions { cancel: Some(Arc::clone(&flag)), ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    let mut sampler = Sampler::greedy();
    let mut tokens = prompt(9, 2);
    let want: Vec<u32> = {
        let options = GenerateOptions { max_tokens: 12, ..GenerateOptions::default() };
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, tokens.clone(), options)
                .unwrap();
        generator.by_ref().for_each(|piece| drop(piece.unwrap()));
        generator.into_tokens()
    };
    session.truncate(0);
    // At first before anything was computed.
    for (round, taken) in [0, 3, 1, 5].into_iter().enumerate() {
        let options = GenerateOptions::default();
        let mut generator =
            Generator::new(&mut session, &tokenizer, &mut sampler, tokens, options).unwrap();
        generator.by_ref().take(taken).for_each(|piece| drop(piece.unwrap()));
        flag.store(true, Relaxed);
        assert!(generator.next().is_none());
        assert_eq!(generator.finish(), Some(Finish::Cancelled), "round {round}");
        flag.store(false, Relaxed);
        tokens = generator.into_tokens();
    }
    assert_eq!(tokens, want[..18]);
    session.set_deadline(Some(Instant::now()));
    let mut generator =
        Generator::new(&mut session, &tokenizer, &mut sampler, tokens, Default::default()).unwrap();
    assert!(generator.next().is_none());
    assert_eq!(generator.finish(), Some(Finish::Deadline));
}
