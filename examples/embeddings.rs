//! How near texts are to the first of them: `embeddings FILE TEXT TEXT...`.

use std::num::NonZeroUsize;
use std::path::Path;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::embed::{Pooling, embed, normalise};
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};
use quintile::model::{Model, Pool, Session, SessionOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: embeddings FILE TEXT TEXT...")?;
    let model = Model::load(Gguf::open(Path::new(&file), &OpenOptions::default())?, Isa::detect())?;
    let tokenizer = Tokenizer::new(Vocab::from_gguf(model.file())?)?;
    let pool = Pool::new(NonZeroUsize::new(2).expect("two"))?;
    let mut session = Session::new(&model, &pool, &SessionOptions::default())?;
    let pooling = Pooling::of(&model)?.unwrap_or_default();
    let mut first: Option<Vec<f32>> = None;
    for text in args {
        let options = EncodeOptions { add_special: true, parse_special: false };
        let mut vector = embed(&mut session, &tokenizer.encode(&text, options), pooling)?;
        normalise(&mut vector);
        // Of vectors of length 1, the product is the cosine of their angle.
        let first = first.get_or_insert_with(|| vector.clone());
        let nearness: f32 = first.iter().zip(&vector).map(|(a, b)| a * b).sum();
        println!("{nearness:.4} {text}");
    }
    Ok(())
}
