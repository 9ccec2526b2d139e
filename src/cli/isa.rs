//! `quintile isa`.

use crate::isa::{Features, Isa, Level};
use crate::model::system;

use super::output::{Failure, line};
use super::setup::Compute;

/// Options of `isa`.
#[derive(clap::Args)]
#[command(after_help = "Example: quintile isa --isa scalar")]
pub struct Args {
    #[command(flatten)]
    compute: Compute,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let chosen = args.compute.isa()?;
    line(format_args!("cpu       {}", system::cpu_name().unwrap_or_else(|| "unknown".into())))?;
    line(format_args!("threads   {}", args.compute.threads()))?;
    let features = Features::get();
    for (name, found) in features.list() {
        line(format_args!("feature   {name:24} {}", if found { "yes" } else { "no" }))?;
    }
    for level in Level::ALL {
        let state = match Isa::force(level) {
            Ok(isa) if isa == chosen => "chosen",
            Ok(_) => "supported",
            Err(_) => "not supported",
        };
        line(format_args!("level     {level:16} {state:14} needs {}", level.needs()))?;
    }
    Ok(())
}
