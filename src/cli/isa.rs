//! `quintile isa`.

use crate::isa::{Features, Isa, Level};
use crate::model::system;

use super::output::{Failure, line};

/// Shows the features found, the levels supported, and the level chosen
#[derive(clap::Args)]
pub struct Args {
    /// Choose a level, as the other commands would
    #[arg(long, value_name = "LEVEL")]
    isa: Option<Level>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let chosen = match args.isa {
        Some(level) => Isa::force(level).map_err(Failure::of)?,
        None => Isa::detect(),
    };
    line(format_args!("cpu       {}", system::cpu_name().unwrap_or_else(|| "unknown".into())))?;
    line(format_args!("threads   {}", system::default_threads()))?;
    let features = Features::get();
    for (name, found) in features.list() {
        line(format_args!("feature   {name:24} {}", if found(&features) { "yes" } else { "no" }))?;
    }
    for level in Level::ALL {
        let state = match Isa::force(level) {
            Ok(isa) if isa == chosen => "chosen",
            Ok(_) => "supported",
            Err(_) => "not supported",
        };
        line(format_args!("level     {level:10} {state:14} needs {}", level.needs()))?;
    }
    Ok(())
}
