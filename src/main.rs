//! The `quintile` command.
fn main() {}
