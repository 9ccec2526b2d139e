//! Continues a text: `one_shot FILE TEXT [TOKENS]`.

use std::io::Write;

use quintile::model::{
    GenerateOptions, Model, Pool, Sampler, SamplerOptions, Session, generate, system,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: one_shot FILE TEXT [TOKENS]";
    let (file, text) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let max_tokens = args.next().map_or(Ok(64), |n| n.parse())?;

    let model = Model::open(file)?;
    let tokenizer = model.tokenizer()?;
    let pool = Pool::new(system::default_threads())?;
    let mut session = Session::new(&model, &pool, &Default::default())?;
    let mut sampler = Sampler::new(SamplerOptions { seed: 1, ..Default::default() })?;

    let options = GenerateOptions { max_tokens, ..Default::default() };
    let mut generator = generate(&mut session, &tokenizer, &mut sampler, &text, options)?;
    for piece in &mut generator {
        print!("{}", piece?.text);
        std::io::stdout().flush()?;
    }
    println!();
    eprintln!("{:?} after {} tokens", generator.finish(), generator.tokens().len());
    Ok(())
}
