//! Continues a list of token ids, greedily: `generate FILE ID...`.

use std::num::NonZeroUsize;
use std::path::Path;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::{Model, Pool, Session, SessionOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: generate FILE ID...")?;
    let prompt = args.map(|id| id.parse()).collect::<Result<Vec<u32>, _>>()?;
    let model = Model::load(Gguf::open(Path::new(&file), &OpenOptions::default())?, Isa::detect())?;
    let pool = Pool::new(NonZeroUsize::new(2).expect("two"))?;
    let mut session = Session::new(&model, &pool, &SessionOptions::default())?;
    let t = std::time::Instant::now();
    session.forward(&prompt)?;
    eprintln!("prefill {:.1} t/s", prompt.len() as f64 / t.elapsed().as_secs_f64());
    let t = std::time::Instant::now();
    for _ in 0..24 {
        let logits = session.logits();
        let best = (0..logits.len()).fold(0, |b, i| if logits[i] > logits[b] { i } else { b });
        print!("{best} ");
        session.forward(&[best as u32])?;
    }
    eprintln!("decode {:.1} t/s", 24.0 / t.elapsed().as_secs_f64());
    println!();
    Ok(())
}
