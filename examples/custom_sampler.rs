//! Continues a text without a letter, as in Perec's novel: `custom_sampler FILE TEXT LETTER`.
//!
//! Whoever chooses tokens sees all logits: any function of these, and of the tokens so far, will do. This one makes those impossible
//! whose text has the letter, and leaves the rest to a sampler.

use std::io::Write;

use quintile::kernels::Kernels;
use quintile::model::{GenerateOptions, Model, Pool, Sampler, Session, generate, system};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, text, letter] = &args[..] else {
        return Err("usage: custom_sampler FILE TEXT LETTER".into());
    };
    let model = Model::open(file)?;
    let tokenizer = model.tokenizer()?;
    let pool = Pool::new(system::default_threads())?;
    let mut session = Session::new(&model, &pool, &Default::default())?;

    let letter = letter.to_lowercase();
    let forbidden: Vec<u32> = (0..tokenizer.vocab_len() as u32)
        .filter(|&id| !tokenizer.is_control(id))
        .filter(|&id| {
            String::from_utf8_lossy(tokenizer.token_bytes(id)).to_lowercase().contains(&letter)
        })
        .collect();
    eprintln!("{} of {} tokens are forbidden", forbidden.len(), tokenizer.vocab_len());

    let mut sampler = Sampler::new(Default::default())?;
    let mut without = |kernels: &Kernels, logits: &mut [f32], history: &[u32]| {
        for &id in &forbidden {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        sampler.sample(kernels, logits, history)
    };
    let options = GenerateOptions { max_tokens: 48, ..Default::default() };
    for piece in generate(&mut session, &tokenizer, &mut without, text, options)? {
        print!("{}", piece?.text);
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}
