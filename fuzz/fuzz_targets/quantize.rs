//! Any numbers as weights: every format takes them, at every level with the same bytes, and gives back numbers where it got numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

fuzz_target!(|bytes: &[u8]| {
    let Some((&format, bytes)) = bytes.split_first() else { return };
    let format = Format::ALL[usize::from(format) % Format::ALL.len()];
    let mut x: Vec<f32> =
        bytes.as_chunks().0.iter().take(512).map(|four| f32::from_le_bytes(*four)).collect();
    x.resize(x.len().next_multiple_of(format.block_len()), 0.0);
    let mut want = vec![0; x.len() / format.block_len() * format.block_bytes()];
    format.quantize(&x, &mut want);
    for kernels in Isa::available().map(Kernels::new) {
        let mut row = vec![0; want.len()];
        kernels.quantize_weights(format, &x, &mut row);
        assert_eq!(row, want, "{format} at {}", kernels.isa().level());
    }
    let mut back = vec![0.0; x.len()];
    format.dequantize(&want, &mut back);
    // Beyond what a scale of 16 bits holds, a block is as it is.
    if x.iter().all(|x| x.abs() < 1e4) {
        assert!(back.iter().all(|x| x.is_finite()), "{format}: {back:?}");
    }
});
