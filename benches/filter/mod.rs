//! `cargo bench -- FILTER` hands the filter to every benchmark: those without criterion look here whether they are meant.

/// Whether a name is to be run: it contains what the arguments name, if they name anything.
pub fn wants(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut filters = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    filters.peek().is_none() || filters.any(|filter| name.contains(&filter.to_lowercase()))
}
