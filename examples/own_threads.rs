//! Runs a model on the caller's own threads: `own_threads FILE TEXT`.
//!
//! First one text on several threads that this program starts, and could pin, name or give a priority; then several texts at once, each on one
//! thread, which needs no others: a model is shared, a session is not.

use std::num::NonZeroUsize;
use std::thread;

use quintile::model::tokenizer::Tokenizer;
use quintile::model::{GenerateOptions, Model, Pool, Sampler, Session, generate};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, text] = &args[..] else { return Err("usage: own_threads FILE TEXT".into()) };
    let model = Model::open(file)?;
    let tokenizer = model.tokenizer()?;

    let (pool, workers) = Pool::with_own_threads(NonZeroUsize::new(2).expect("two"));
    thread::scope(|scope| {
        for (i, worker) in workers.into_iter().enumerate() {
            let thread = thread::Builder::new().name(format!("mine-{i}"));
            thread.spawn_scoped(scope, || worker.run())?;
        }
        println!("on two threads: {}", answer(&model, &tokenizer, &pool, text)?);
        // The workers return when the pool is gone.
        drop(pool);
        Ok::<_, Failure>(())
    })?;

    let texts = [text.to_owned(), text.to_uppercase()];
    thread::scope(|scope| {
        let answers = texts.each_ref().map(|text| {
            let (model, tokenizer) = (&model, &tokenizer);
            scope.spawn(move || answer(model, tokenizer, &Pool::new(NonZeroUsize::MIN)?, text))
        });
        for (text, thread) in texts.iter().zip(answers) {
            let answer = thread.join().expect("it does not panic")?;
            println!("{text}, on one thread of two: {answer}");
        }
        Ok(())
    })
}

fn answer(
    model: &Model,
    tokenizer: &Tokenizer,
    pool: &Pool,
    text: &str,
) -> Result<String, Failure> {
    let mut session = Session::new(model, pool, &Default::default())?;
    let options = GenerateOptions { max_tokens: 24, ..Default::default() };
    let mut sampler = Sampler::greedy();
    let pieces = generate(&mut session, tokenizer, &mut sampler, text, options)?;
    Ok(pieces.map(|piece| piece.map(|piece| piece.text)).collect::<Result<String, _>>()?)
}
