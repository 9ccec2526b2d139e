use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

use crate::draw::{SCALAR, any, assert_same, below, bytes, check, row, siblings, stride};

/// Numbers around `out` that must stay.
const UNTOUCHED: f32 = 1.2345e-33;

/// Dequantises `row` at an address `offset` behind one that is aligned, into the middle of a longer slice.
fn dequantized(kernels: &Kernels, format: Format, row: &[u8], n: usize, offset: usize) -> Vec<f32> {
    let mut moved = vec![0; row.len() + 128];
    let start = moved.as_ptr().align_offset(64) + offset;
    moved[start..start + row.len()].copy_from_slice(row);
    let mut out = vec![UNTOUCHED; n + 32];
    let at = offset % 16..offset % 16 + n;
    kernels.dequantize(format, &moved[start..start + row.len()], &mut out[at.clone()]);
    for (i, x) in out.iter().enumerate() {
        assert!(at.contains(&i) || x.to_bits() == UNTOUCHED.to_bits(), "{format}: wrote {i}");
    }
    out[at].to_vec()
}

fn assert_siblings(format: Format, row: &[u8], n: usize, offset: usize) {
    let mut want = vec![UNTOUCHED; n];
    format.dequantize(row, &mut want);
    for kernels in siblings().chain([SCALAR]) {
        let got = dequantized(&kernels, format, row, n, offset);
        assert_same(&got, &want, &format_args!("{kernels:?} {format} of {n} at {offset}"));
    }
}

#[test]
fn dequantize_equals_the_definition_for_every_format_on_any_bytes() {
    check(5_000, |g| {
        for format in Format::ALL {
            let most = if format.block_len() == 1 { 200 } else { 5 };
            let blocks = below(g, most);
            let (row, offset) = (row(g, format, blocks), below(g, 64));
            assert_siblings(format, &row, blocks * format.block_len(), offset);
        }
    });
}

#[test]
fn dequantize_equals_the_definition_for_every_length_and_alignment() {
    let mut g = quickcheck::Gen::from_size_and_seed(64, 5);
    for format in Format::ALL {
        let most = if format.block_len() == 1 { 3 * 32 } else { 3 };
        for blocks in 0..=most {
            let row = row(&mut g, format, blocks);
            for offset in (0..64).step_by(stride()) {
                assert_siblings(format, &row, blocks * format.block_len(), offset);
            }
        }
    }
}

#[test]
fn every_f16_and_every_bf16_has_the_bits_of_the_definition_its_payload_too() {
    let row: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for format in [Format::F16, Format::Bf16] {
        let mut want = vec![0.0; 1 << 16];
        format.dequantize(&row, &mut want);
        for kernels in siblings() {
            let mut got = vec![1.0; 1 << 16];
            kernels.dequantize(format, &row, &mut got);
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert_eq!(got.to_bits(), want.to_bits(), "{kernels:?} {format} {i:#06x}");
            }
        }
    }
}

#[test]
fn every_f16_scale_gives_the_bits_of_the_definition() {
    let mut g = quickcheck::Gen::from_size_and_seed(64, 9);
    for format in [Format::Q4_0, Format::Q5_1, Format::Q5K, Format::Q6K] {
        let at = if format == Format::Q6K { 208 } else { 0 };
        let mut block = bytes(&mut g, format.block_bytes());
        for scale in (0..=u16::MAX).step_by(stride()) {
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            if at == 0 && format != Format::Q4_0 {
                // The minimum: of either sign, sometimes as large as the scale's multiples.
                block[2..4].copy_from_slice(&scale.wrapping_mul(7919).to_le_bytes());
            }
            let mut want = vec![0.0; format.block_len()];
            format.dequantize(&block, &mut want);
            for kernels in siblings() {
                let mut got = vec![1.0; format.block_len()];
                kernels.dequantize(format, &block, &mut got);
                assert_same(&got, &want, &format_args!("{kernels:?} {format} {scale:#06x}"));
            }
        }
    }
}

#[test]
fn f32_rows_are_copied() {
    check(500, |g| {
        let n = below(g, 100);
        let x = any(g, n);
        let row: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        for kernels in siblings().chain([SCALAR]) {
            let got = dequantized(&kernels, Format::F32, &row, x.len(), 1);
            assert_same(&got, &x, &format_args!("{kernels:?}"));
        }
    });
}

#[test]
#[should_panic(
    expected = "bytes of a Q5_K row of 256 values\n  left: Some(175)\n right: Some(176)"
)]
fn dequantize_panics_with_both_numbers_on_a_wrong_length() {
    Kernels::new(Isa::detect()).dequantize(Format::Q5K, &[0; 175], &mut [0.0; 256]);
}
