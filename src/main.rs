//! The `quintile` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    quintile::cli::main(std::env::args_os())
}
