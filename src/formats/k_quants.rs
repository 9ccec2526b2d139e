//! The K formats.
