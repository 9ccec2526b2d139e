//! What tells one model from another.

use std::hash::Hasher;

use twox_hash::XxHash64;

use super::{Model, Pool};

impl Model {
    /// A number that two models share only if they give the same logits for the same tokens, but for an accident of one in 2^64:
    /// a sum of the configuration, the rotation's frequencies, and the names, shapes, types and bytes of all tensors.
    ///
    /// All weights are read, once for this model: of 1.2 GB about a tenth of a second where they are in memory, which is what one or two
    /// decoded tokens take; otherwise as long as the disk needs, for what the first pass would read anyway. A sample of them would be
    /// cheaper, and would take a model for another that differs in a few rows.
    pub fn fingerprint(&self, pool: &Pool) -> u64 {
        /// Bytes of a piece: some tenths of a millisecond.
        const PIECE: usize = 1 << 20;
        *self.fingerprint.get_or_init(|| {
            let file = self.file();
            let mut sum = XxHash64::with_seed(0);
            sum.write(format!("{:?} {:?}", self.config(), self.rope).as_bytes());
            let mut pieces = Vec::new();
            for tensor in file.tensors() {
                let (name, dims) = (&tensor.name, &*tensor.dims);
                sum.write(format!(" {name:?} {dims:?} {}", tensor.type_id).as_bytes());
                pieces.extend(file.tensor_bytes(tensor).chunks(PIECE));
            }
            let mut sums = vec![0; pieces.len()];
            pool.chunks_mut(&mut sums, 1, |i, sum| sum[0] = XxHash64::oneshot(0, pieces[i]));
            sums.iter().for_each(|piece| sum.write(&piece.to_le_bytes()));
            sum.finish()
        })
    }
}
