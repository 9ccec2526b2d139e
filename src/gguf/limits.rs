//! How much of an untrusted file the reader accepts.

/// Bounds on what a header may hold. The defaults are well above every published model's.
///
/// Memory follows the bytes that are there whatever the limits: a count is never trusted before
/// the bytes it promises have been seen. An array takes no more memory than its bytes in the file,
/// a whole header at most eight times its size while it is read, and within the default limits no
/// file takes more than 64 MiB beyond itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole header: metadata and tensor records. Default: 32 MiB (the largest
    /// vocabularies take about 16 MiB).
    pub header_bytes: usize,
    /// Metadata keys. Default: 65,536.
    pub metadata_count: usize,
    /// Tensors. Default: 131,072.
    pub tensor_count: usize,
    /// Bytes of a metadata key. Default: 65,535, the specification's limit.
    pub key_bytes: usize,
    /// Bytes of a tensor's name. Default: 256 (the specification allows 64; some writers exceed
    /// it).
    pub name_bytes: usize,
    /// Bytes of a string value, alone or in an array. Default: 16 MiB.
    pub string_bytes: usize,
    /// Elements of an array. Default: 16,777,216.
    pub array_len: usize,
    /// The alignment of tensor data, in bytes. Default: 2 MiB, a huge page.
    pub alignment: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: 32 << 20,
            metadata_count: 1 << 16,
            tensor_count: 1 << 17,
            key_bytes: 65_535,
            name_bytes: 256,
            string_bytes: 16 << 20,
            array_len: 1 << 24,
            alignment: 2 << 20,
        }
    }
}
