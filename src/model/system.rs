//! stub
/// stub
pub fn memory_available() -> Option<u64> {
    None
}
