//! Draws the pictures of the documentation, each for light and for dark surroundings: `cargo run --release` in this folder.
//!
//! What they show is read from `docs/data`, which `scripts/picture_data.py` fills; each file there says by which command, on
//! which CPU and day it was made.
//!
//! Pictures whose file is missing are left as they are. `--data FOLDER` and `--out FOLDER` name others than `docs/data` and
//! `docs/pictures`.

mod data;
mod kernels;
mod models;
mod paper;
mod roofline;
mod scaling;

use std::path::PathBuf;

fn main() {
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    let (mut from, mut to) = (docs.join("data"), docs.join("pictures"));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--data", Some(folder)) => from = folder.into(),
            ("--out", Some(folder)) => to = folder.into(),
            _ => panic!("usage: quintile-pictures [--data FOLDER] [--out FOLDER]"),
        }
    }
    std::fs::create_dir_all(&to).expect("a folder for pictures");
    let [kernels, peers, sgemm, models, scaling] =
        ["kernels", "peers", "sgemm", "models", "scaling"]
            .map(|name| data::read(&from, &format!("{name}.json")));
    for theme in paper::THEMES {
        let pictures = [
            ("kernels", kernels.as_ref().map(|k| kernels::draw(k, theme))),
            (
                "roofline",
                kernels
                    .as_ref()
                    .and_then(|k| roofline::draw(k, peers.as_ref(), sgemm.as_ref(), theme)),
            ),
            ("models", models.as_ref().and_then(|m| models::draw(m, theme))),
            ("scaling", scaling.as_ref().and_then(|s| scaling::draw(s, theme))),
        ];
        for (name, svg) in pictures {
            let path = to.join(format!("{name}-{}.svg", theme.name));
            match svg {
                Some(svg) => {
                    std::fs::write(&path, svg).expect("room for a picture");
                    println!("{}", path.display());
                }
                None => eprintln!("{}: left as it is, its data are missing", path.display()),
            }
        }
    }
}
