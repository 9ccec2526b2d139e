//! The assembly, called without anything of the compiler's between it and the check.

use quintile::formats::{ActBlock, Format};
use quintile::isa::{Isa, Level};

use crate::guard::{Buffer, Side};
use crate::registers::call_assembly;
use crate::{SCALAR, activations, bits_of, lengths, row, values};

/// What a function takes and returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Two vectors of f32.
    DotF32,
    /// A row of the format, and one of activations.
    Row(Format),
    /// A row of the format, and a vector of f32.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    ExactRow(Format),
    /// Pairs of rows, a row of activations, and the place of a result for each.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    Pairs(Format),
    /// A super-block of eight rows, one of so many columns, the place of their elements, and from column to column.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    Micro(usize),
    /// Blocks of 32 of sixteen rows, unpacked, so many columns, and the lanes of their elements.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    Tile(Format, usize),
    /// A super-block of 32 rows, one of so many columns and from each to the next, their sums, the place of their elements,
    /// and from column to column.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    Wide(usize),
    /// Blocks of 32 of 32 rows, so many columns and from each to the next, their sides, eight lanes of their elements, and how
    /// many.
    #[cfg_attr(asm_aarch64, allow(dead_code))]
    WideBlocks(usize),
    /// Two rows, two rows of activations, and the place of four results.
    #[cfg_attr(asm_x86_64, allow(dead_code))]
    TwoByTwo(Format),
    /// A super-block of eight rows, one of so many columns, packed, the place of their elements, and from column to column.
    #[cfg_attr(asm_x86_64, allow(dead_code))]
    Packed(usize),
    /// Blocks of 32 of eight rows, of so many columns, packed, and eight lanes of their elements.
    #[cfg_attr(asm_x86_64, allow(dead_code))]
    PackedBlocks(usize),
}

/// The functions of a folder of `asm`: by name, with the level that runs them, and their addresses.
macro_rules! functions {
    ($folder:literal, extern $convention:literal; $($name:ident: $level:ident, $kind:expr;)*) => {
        unsafe extern $convention {
            $(#[link_name = concat!(stringify!($name), env!("QUINTILE_ASM_SUFFIX"))]
            fn $name();)*
        }
        const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/asm/", $folder);
        const FUNCTIONS: &[(&str, Level, Kind, unsafe extern $convention fn())] =
            &[$((stringify!($name), Level::$level, $kind, $name)),*];
    };
}

#[cfg(asm_x86_64)]
functions! {
    "x86_64", extern "sysv64";
    quintile_dot_f32_avx2: Avx2Asm, Kind::DotF32;
    quintile_gemm_blocks_mins_32x1_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(1);
    quintile_gemm_blocks_mins_32x2_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(2);
    quintile_gemm_blocks_mins_32x3_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(3);
    quintile_gemm_blocks_mins_32x4_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(4);
    quintile_gemm_blocks_mins_32x5_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(5);
    quintile_gemm_blocks_mins_32x6_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(6);
    quintile_gemm_blocks_offset_32x1_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(1);
    quintile_gemm_blocks_offset_32x2_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(2);
    quintile_gemm_blocks_offset_32x3_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(3);
    quintile_gemm_blocks_offset_32x4_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(4);
    quintile_gemm_blocks_offset_32x5_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(5);
    quintile_gemm_blocks_offset_32x6_avx512vnni: Avx512VnniAsm, Kind::WideBlocks(6);
    quintile_gemm_flat_mins_16_32x1_avx512vnni: Avx512VnniAsm, Kind::Wide(1);
    quintile_gemm_flat_mins_16_32x2_avx512vnni: Avx512VnniAsm, Kind::Wide(2);
    quintile_gemm_flat_mins_16_32x3_avx512vnni: Avx512VnniAsm, Kind::Wide(3);
    quintile_gemm_flat_mins_16_32x4_avx512vnni: Avx512VnniAsm, Kind::Wide(4);
    quintile_gemm_flat_mins_16_32x5_avx512vnni: Avx512VnniAsm, Kind::Wide(5);
    quintile_gemm_flat_mins_16_32x6_avx512vnni: Avx512VnniAsm, Kind::Wide(6);
    quintile_gemm_flat_offset_32x1_avx512vnni: Avx512VnniAsm, Kind::Wide(1);
    quintile_gemm_flat_offset_32x2_avx512vnni: Avx512VnniAsm, Kind::Wide(2);
    quintile_gemm_flat_offset_32x3_avx512vnni: Avx512VnniAsm, Kind::Wide(3);
    quintile_gemm_flat_offset_32x4_avx512vnni: Avx512VnniAsm, Kind::Wide(4);
    quintile_gemm_flat_offset_32x5_avx512vnni: Avx512VnniAsm, Kind::Wide(5);
    quintile_gemm_flat_offset_32x6_avx512vnni: Avx512VnniAsm, Kind::Wide(6);
    quintile_gemm_mins_16_8x1_avx2: Avx2Asm, Kind::Micro(1);
    quintile_gemm_mins_16_8x2_avx2: Avx2Asm, Kind::Micro(2);
    quintile_gemm_mins_16_8x3_avx2: Avx2Asm, Kind::Micro(3);
    quintile_gemm_mins_16_8x4_avx2: Avx2Asm, Kind::Micro(4);
    quintile_gemm_mins_16_8x5_avx2: Avx2Asm, Kind::Micro(5);
    quintile_gemm_mins_16_8x6_avx2: Avx2Asm, Kind::Micro(6);
    quintile_gemm_mins_32_32x1_avx512vnni: Avx512VnniAsm, Kind::Wide(1);
    quintile_gemm_mins_32_32x2_avx512vnni: Avx512VnniAsm, Kind::Wide(2);
    quintile_gemm_mins_32_32x3_avx512vnni: Avx512VnniAsm, Kind::Wide(3);
    quintile_gemm_mins_32_32x4_avx512vnni: Avx512VnniAsm, Kind::Wide(4);
    quintile_gemm_mins_32_32x5_avx512vnni: Avx512VnniAsm, Kind::Wide(5);
    quintile_gemm_mins_32_32x6_avx512vnni: Avx512VnniAsm, Kind::Wide(6);
    quintile_gemm_mins_32_8x1_avx2: Avx2Asm, Kind::Micro(1);
    quintile_gemm_mins_32_8x2_avx2: Avx2Asm, Kind::Micro(2);
    quintile_gemm_mins_32_8x3_avx2: Avx2Asm, Kind::Micro(3);
    quintile_gemm_mins_32_8x4_avx2: Avx2Asm, Kind::Micro(4);
    quintile_gemm_mins_32_8x5_avx2: Avx2Asm, Kind::Micro(5);
    quintile_gemm_mins_32_8x6_avx2: Avx2Asm, Kind::Micro(6);
    quintile_gemm_offset_16_32x1_avx512vnni: Avx512VnniAsm, Kind::Wide(1);
    quintile_gemm_offset_16_32x2_avx512vnni: Avx512VnniAsm, Kind::Wide(2);
    quintile_gemm_offset_16_32x3_avx512vnni: Avx512VnniAsm, Kind::Wide(3);
    quintile_gemm_offset_16_32x4_avx512vnni: Avx512VnniAsm, Kind::Wide(4);
    quintile_gemm_offset_16_32x5_avx512vnni: Avx512VnniAsm, Kind::Wide(5);
    quintile_gemm_offset_16_32x6_avx512vnni: Avx512VnniAsm, Kind::Wide(6);
    quintile_gemm_offset_16_8x1_avx2: Avx2Asm, Kind::Micro(1);
    quintile_gemm_offset_16_8x2_avx2: Avx2Asm, Kind::Micro(2);
    quintile_gemm_offset_16_8x3_avx2: Avx2Asm, Kind::Micro(3);
    quintile_gemm_offset_16_8x4_avx2: Avx2Asm, Kind::Micro(4);
    quintile_gemm_offset_16_8x5_avx2: Avx2Asm, Kind::Micro(5);
    quintile_gemm_offset_16_8x6_avx2: Avx2Asm, Kind::Micro(6);
    quintile_gemm_q4_0_16x1_avx2: Avx2Asm, Kind::Tile(Format::Q4_0, 1);
    quintile_gemm_q4_0_16x4_avx2: Avx2Asm, Kind::Tile(Format::Q4_0, 4);
    quintile_gemm_q4_1_16x1_avx2: Avx2Asm, Kind::Tile(Format::Q4_1, 1);
    quintile_gemm_q4_1_16x4_avx2: Avx2Asm, Kind::Tile(Format::Q4_1, 4);
    quintile_gemm_q5_0_16x1_avx2: Avx2Asm, Kind::Tile(Format::Q5_0, 1);
    quintile_gemm_q5_0_16x4_avx2: Avx2Asm, Kind::Tile(Format::Q5_0, 4);
    quintile_gemm_q5_1_16x1_avx2: Avx2Asm, Kind::Tile(Format::Q5_1, 1);
    quintile_gemm_q5_1_16x4_avx2: Avx2Asm, Kind::Tile(Format::Q5_1, 4);
    quintile_gemm_q8_0_16x1_avx2: Avx2Asm, Kind::Tile(Format::Q8_0, 1);
    quintile_gemm_q8_0_16x4_avx2: Avx2Asm, Kind::Tile(Format::Q8_0, 4);
    quintile_q2_k_dot_avx2: Avx2Asm, Kind::Row(Format::Q2K);
    quintile_q3_k_dot_avx2: Avx2Asm, Kind::Row(Format::Q3K);
    quintile_q4_0_dot_ahead_avx2: Avx2Asm, Kind::Row(Format::Q4_0);
    quintile_q4_0_dot_avx2: Avx2Asm, Kind::Row(Format::Q4_0);
    quintile_q4_1_dot_ahead_avx2: Avx2Asm, Kind::Row(Format::Q4_1);
    quintile_q4_1_dot_avx2: Avx2Asm, Kind::Row(Format::Q4_1);
    quintile_q4_k_dot_avx2: Avx2Asm, Kind::Row(Format::Q4K);
    quintile_q4_k_dot_exact_avx2: Avx2Asm, Kind::ExactRow(Format::Q4K);
    quintile_q4_k_gemv_avx2: Avx2Asm, Kind::Pairs(Format::Q4K);
    quintile_q5_0_dot_ahead_avx2: Avx2Asm, Kind::Row(Format::Q5_0);
    quintile_q5_0_dot_avx2: Avx2Asm, Kind::Row(Format::Q5_0);
    quintile_q5_1_dot_ahead_avx2: Avx2Asm, Kind::Row(Format::Q5_1);
    quintile_q5_1_dot_avx2: Avx2Asm, Kind::Row(Format::Q5_1);
    quintile_q5_k_dot_avx2: Avx2Asm, Kind::Row(Format::Q5K);
    quintile_q5_k_dot_exact_avx2: Avx2Asm, Kind::ExactRow(Format::Q5K);
    quintile_q5_k_gemv_avx2: Avx2Asm, Kind::Pairs(Format::Q5K);
    quintile_q6_k_dot_avx2: Avx2Asm, Kind::Row(Format::Q6K);
    quintile_q6_k_gemv_avx2: Avx2Asm, Kind::Pairs(Format::Q6K);
    quintile_q8_0_dot_ahead_avx2: Avx2Asm, Kind::Row(Format::Q8_0);
    quintile_q8_0_dot_avx2: Avx2Asm, Kind::Row(Format::Q8_0);
}

#[cfg(asm_aarch64)]
functions! {
    "aarch64", extern "C";
    quintile_dot_f32_neon: NeonAsm, Kind::DotF32;
    quintile_gemm_blocks_8x2_dotprod: NeonDotprodAsm, Kind::PackedBlocks(2);
    quintile_gemm_blocks_8x2_i8mm: NeonI8mm, Kind::PackedBlocks(2);
    quintile_gemm_blocks_8x4_dotprod: NeonDotprodAsm, Kind::PackedBlocks(4);
    quintile_gemm_blocks_8x4_i8mm: NeonI8mm, Kind::PackedBlocks(4);
    quintile_gemm_blocks_8x6_dotprod: NeonDotprodAsm, Kind::PackedBlocks(6);
    quintile_gemm_blocks_8x6_i8mm: NeonI8mm, Kind::PackedBlocks(6);
    quintile_gemm_blocks_mins_8x2_dotprod: NeonDotprodAsm, Kind::PackedBlocks(2);
    quintile_gemm_blocks_mins_8x2_i8mm: NeonI8mm, Kind::PackedBlocks(2);
    quintile_gemm_blocks_mins_8x4_dotprod: NeonDotprodAsm, Kind::PackedBlocks(4);
    quintile_gemm_blocks_mins_8x4_i8mm: NeonI8mm, Kind::PackedBlocks(4);
    quintile_gemm_blocks_mins_8x6_dotprod: NeonDotprodAsm, Kind::PackedBlocks(6);
    quintile_gemm_blocks_mins_8x6_i8mm: NeonI8mm, Kind::PackedBlocks(6);
    quintile_gemm_flat_8x2_dotprod: NeonDotprodAsm, Kind::Packed(2);
    quintile_gemm_flat_8x2_i8mm: NeonI8mm, Kind::Packed(2);
    quintile_gemm_flat_8x4_dotprod: NeonDotprodAsm, Kind::Packed(4);
    quintile_gemm_flat_8x4_i8mm: NeonI8mm, Kind::Packed(4);
    quintile_gemm_flat_8x6_dotprod: NeonDotprodAsm, Kind::Packed(6);
    quintile_gemm_flat_8x6_i8mm: NeonI8mm, Kind::Packed(6);
    quintile_gemm_flat_mins_16_8x2_dotprod: NeonDotprodAsm, Kind::Packed(2);
    quintile_gemm_flat_mins_16_8x2_i8mm: NeonI8mm, Kind::Packed(2);
    quintile_gemm_flat_mins_16_8x4_dotprod: NeonDotprodAsm, Kind::Packed(4);
    quintile_gemm_flat_mins_16_8x4_i8mm: NeonI8mm, Kind::Packed(4);
    quintile_gemm_flat_mins_16_8x6_dotprod: NeonDotprodAsm, Kind::Packed(6);
    quintile_gemm_flat_mins_16_8x6_i8mm: NeonI8mm, Kind::Packed(6);
    quintile_gemm_mins_32_8x2_dotprod: NeonDotprodAsm, Kind::Packed(2);
    quintile_gemm_mins_32_8x2_i8mm: NeonI8mm, Kind::Packed(2);
    quintile_gemm_mins_32_8x4_dotprod: NeonDotprodAsm, Kind::Packed(4);
    quintile_gemm_mins_32_8x4_i8mm: NeonI8mm, Kind::Packed(4);
    quintile_gemm_mins_32_8x6_dotprod: NeonDotprodAsm, Kind::Packed(6);
    quintile_gemm_mins_32_8x6_i8mm: NeonI8mm, Kind::Packed(6);
    quintile_gemm_scales_16_8x2_dotprod: NeonDotprodAsm, Kind::Packed(2);
    quintile_gemm_scales_16_8x2_i8mm: NeonI8mm, Kind::Packed(2);
    quintile_gemm_scales_16_8x4_dotprod: NeonDotprodAsm, Kind::Packed(4);
    quintile_gemm_scales_16_8x4_i8mm: NeonI8mm, Kind::Packed(4);
    quintile_gemm_scales_16_8x6_dotprod: NeonDotprodAsm, Kind::Packed(6);
    quintile_gemm_scales_16_8x6_i8mm: NeonI8mm, Kind::Packed(6);
    quintile_q4_k_dot2x2_i8mm: NeonI8mm, Kind::TwoByTwo(Format::Q4K);
    quintile_q4_k_dot_dotprod: NeonDotprodAsm, Kind::Row(Format::Q4K);
    quintile_q4_k_dot_neon: NeonAsm, Kind::Row(Format::Q4K);
    quintile_q5_k_dot2x2_i8mm: NeonI8mm, Kind::TwoByTwo(Format::Q5K);
    quintile_q5_k_dot_dotprod: NeonDotprodAsm, Kind::Row(Format::Q5K);
    quintile_q5_k_dot_neon: NeonAsm, Kind::Row(Format::Q5K);
    quintile_q6_k_dot2x2_i8mm: NeonI8mm, Kind::TwoByTwo(Format::Q6K);
    quintile_q6_k_dot_dotprod: NeonDotprodAsm, Kind::Row(Format::Q6K);
    quintile_q6_k_dot_neon: NeonAsm, Kind::Row(Format::Q6K);
    quintile_q8_0_dot2x2_i8mm: NeonI8mm, Kind::TwoByTwo(Format::Q8_0);
    quintile_q8_0_dot_dotprod: NeonDotprodAsm, Kind::Row(Format::Q8_0);
    quintile_q8_0_dot_neon: NeonAsm, Kind::Row(Format::Q8_0);
}

/// The functions that the CPU can run.
pub fn functions() -> impl Iterator<Item = (&'static str, Kind, usize)> {
    FUNCTIONS
        .iter()
        .filter(|(_, level, ..)| Isa::force(*level).is_ok())
        .map(|(name, _, kind, function)| (*name, *kind, *function as usize))
}

/// Every number of blocks, with either place of the slices: three super-blocks of blocks of 32; nine super-blocks.
fn row_cases(format: Format) -> impl Iterator<Item = (usize, Side)> {
    let most = if format.block_len() == 32 { 24 } else { 9 };
    (0..=most).flat_map(|n| Side::BOTH.map(|side| (n, side)))
}

fn columns<const N: usize>(format: Format, blocks: usize) -> [Vec<ActBlock>; N] {
    let scale = format.activation().expect("quantised");
    std::array::from_fn(|i| activations(scale, blocks * format.block_len(), 3 + i as u32))
}

#[test]
fn every_function_of_the_assembly_files_is_called_here() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(FOLDER).expect("the folder") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        let names = text.lines().filter_map(|line| line.strip_prefix("FUNCTION "));
        found.extend(names.map(|name| name.split(',').next().unwrap_or(name).trim().to_owned()));
    }
    found.sort();
    assert_eq!(found, FUNCTIONS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
}

#[test]
fn assembly_for_aarch64_leaves_the_register_of_the_platform_alone() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/asm/aarch64");
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for line in text.lines().map(|line| line.split("//").next().unwrap_or(line)) {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(
                !words.any(|word| word == "x18" || word == "w18"),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn the_assembled_dot_f32_leaves_the_registers_of_its_caller() {
    let (mut a, mut b) = (Buffer::new(1000), Buffer::new(1000));
    for (name, _, f) in functions().filter(|(_, kind, _)| *kind == Kind::DotF32) {
        for (n, side) in lengths().flat_map(|n| Side::BOTH.map(|side| (n, side))) {
            let (x, y) = (values(n, 1), values(n, 2));
            let (a, b) = (a.input(side, &x), b.input(side, &y));
            let label = format_args!("{name} of {n}, {side:?}");
            // SAFETY: two slices of `n` elements.
            let got =
                unsafe { call_assembly(label, f, &[a.as_ptr() as usize, b.as_ptr() as usize, n]) };
            assert_eq!(got.to_bits(), SCALAR.dot_f32(&x, &y).to_bits(), "{label}");
        }
    }
}

#[test]
fn the_assembled_row_dots_leave_the_registers_of_their_caller() {
    let (mut w, mut x) = (Buffer::new(9 * 320), Buffer::new(9));
    for (name, kind, f) in functions() {
        let Kind::Row(format) = kind else { continue };
        for (blocks, side) in row_cases(format) {
            let (weights, [acts]) = (row(format, blocks), columns(format, blocks));
            let (w, x) = (w.input(side, &weights), x.input(side, &acts));
            let label = format_args!("{name} of {blocks}, {side:?}");
            let arguments = [w.as_ptr() as usize, x.as_ptr() as usize, blocks];
            // SAFETY: `blocks` blocks of the format and of activations.
            let got = unsafe { call_assembly(label, f, &arguments) };
            assert_eq!(got.to_bits(), SCALAR.qdot(format, &weights, &acts).to_bits(), "{label}");
        }
    }
}

#[test]
fn the_assembled_exact_dots_leave_the_registers_of_their_caller() {
    let (mut w, mut x) = (Buffer::new(9 * 320), Buffer::new(9 * 256));
    for (name, kind, f) in functions() {
        let Kind::ExactRow(format) = kind else { continue };
        for (blocks, side) in row_cases(format) {
            let (weights, vector) = (row(format, blocks), values(blocks * format.block_len(), 2));
            let (w, x) = (w.input(side, &weights), x.input(side, &vector));
            let label = format_args!("{name} of {blocks}, {side:?}");
            let arguments = [w.as_ptr() as usize, x.as_ptr() as usize, blocks];
            // SAFETY: `blocks` blocks of the format, and as many values.
            let got = unsafe { call_assembly(label, f, &arguments) };
            let want = SCALAR.qdot_exact(format, &weights, &vector);
            assert_eq!(got.to_bits(), want.to_bits(), "{label}");
        }
    }
}

#[test]
fn the_assembled_rows_of_a_matrix_leave_the_registers_of_their_caller() {
    let (mut w, mut x, mut out) = (Buffer::new(4 * 9 * 320), Buffer::new(9), Buffer::new(4));
    for (name, kind, f) in functions() {
        let Kind::Pairs(format) = kind else { continue };
        for (blocks, side) in row_cases(format).filter(|&(blocks, _)| blocks > 0) {
            for pairs in [1, 2] {
                let (weights, [acts]) = (row(format, 2 * pairs * blocks), columns(format, blocks));
                let (w, x) = (w.input(side, &weights), x.input(side, &acts));
                let place = out.output(side, &vec![9.0f32; 2 * pairs]).as_mut_ptr() as usize;
                let label = format_args!("{name} of {pairs} x {blocks}, {side:?}");
                let arguments = [w.as_ptr() as usize, x.as_ptr() as usize, blocks, pairs, place];
                // SAFETY: pairs of rows of `blocks` blocks of the format, as many of activations, place for the results.
                unsafe { call_assembly(label, f, &arguments) };
                let rows = weights.chunks(blocks * format.block_bytes());
                let want: Vec<f32> = rows.map(|w| SCALAR.qdot(format, w, &acts)).collect();
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn the_assembled_pairs_of_rows_leave_the_registers_of_their_caller() {
    let (mut w, mut x, mut out) = (Buffer::new(18 * 320), Buffer::new(18), Buffer::new(4));
    for (name, kind, f) in functions() {
        let Kind::TwoByTwo(format) = kind else { continue };
        for (blocks, side) in row_cases(format) {
            let weights = row(format, 2 * blocks);
            let rows: Vec<_> = weights.chunks(blocks.max(1) * format.block_bytes()).collect();
            let acts = columns::<2>(format, blocks);
            let w = w.input(side, &weights).as_ptr() as usize;
            let x = x.input(side, &acts.concat()).as_ptr() as usize;
            let place = out.output(side, &[9.0f32; 4]).as_mut_ptr() as usize;
            let label = format_args!("{name} of {blocks}, {side:?}");
            let second = [w + weights.len() / 2, x + acts[0].len() * size_of::<ActBlock>()];
            let arguments = [w, second[0], x, second[1], blocks, place];
            // SAFETY: two rows of `blocks` blocks of the format, as many activations twice, and place for the results.
            unsafe { call_assembly(label, f, &arguments) };
            let want: Vec<f32> = match blocks {
                0 => vec![0.0; 4],
                _ => rows
                    .iter()
                    .flat_map(|w| acts.each_ref().map(|x| SCALAR.qdot(format, w, x)))
                    .collect(),
            };
            assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
        }
    }
}

#[test]
fn the_assembled_micro_kernels_leave_the_registers_of_their_caller() {
    /// Bytes of a panel and of columns: whole lines of a cache, so that either place is aligned.
    const PANEL: usize = 64 * 32 + 16 * 32 + 8 * 32 + 2 * 32;
    const COLUMNS: usize = (6 * (64 + 16) * 32 + 6 * 4usize).next_multiple_of(64);
    const STRIDE: usize = 11;
    let (mut w, mut x) = (Buffer::new(PANEL), Buffer::new(COLUMNS));
    let mut out = Buffer::new(5 * STRIDE + 8);
    for (name, kind, f) in functions() {
        let Kind::Micro(columns) = kind else { continue };
        for side in Side::BOTH {
            let w = w.input(side, &[0u8; PANEL]).as_ptr() as usize;
            let x = x.input(side, &[0u8; COLUMNS]).as_ptr() as usize;
            let before = values((columns - 1) * STRIDE + 8, 4);
            let place = out.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name}, {side:?}");
            // SAFETY: both structures, and place for eight elements of each column.
            unsafe { call_assembly(label, f, &[w, x, place, STRIDE]) };
            assert_eq!(
                bits_of(out.written()),
                bits_of(&before),
                "{label}: nothing was to be added"
            );
        }
    }
}

#[test]
fn the_assembled_tiles_leave_the_registers_of_their_caller() {
    /// Eight lanes of sixteen registers.
    const TILE: usize = 8 * 16 * 8;
    let (mut w, mut x) = (Buffer::new(2 * 9 * 18 * 32), Buffer::<ActBlock>::new(4 * 2));
    let mut out = Buffer::new(TILE);
    for (name, kind, f) in functions() {
        let Kind::Tile(format, columns) = kind else { continue };
        let registers = match format {
            Format::Q8_0 => 18,
            Format::Q4_1 | Format::Q5_1 => 10,
            _ => 9,
        };
        for (blocks, side) in (1..=9).flat_map(|n| Side::BOTH.map(|side| (n, side))) {
            let panel = blocks * registers * 32;
            let w = w.input(side, &vec![0u8; 2 * panel]).as_ptr() as usize;
            let acts = vec![ActBlock::ZERO; columns * blocks.div_ceil(8)];
            let stride = blocks.div_ceil(8) * size_of::<ActBlock>();
            let x = x.input(side, &acts).as_ptr() as usize;
            let before = values(TILE, 4);
            let place = out.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name} of {blocks}, {side:?}");
            // SAFETY: two panels and the columns of so many blocks, and a tile.
            unsafe { call_assembly(label, f, &[w, panel, x, stride, place, blocks]) };
            // Of each lane, two registers of each column.
            let lanes = |tile: &[f32]| {
                tile.chunks(16 * 8).flat_map(|l| bits_of(&l[..2 * columns * 8])).collect::<Vec<_>>()
            };
            assert_eq!(lanes(out.written()), lanes(&before), "{label}: nothing was to be added");
        }
    }
}

/// Bytes of what the wide micro-kernels take: of a panel and of a block, whole lines of a cache.
#[cfg(asm_x86_64)]
const WIDE: [usize; 2] = [64 * 128 + 16 * 128 + 8 * 128 + 256, 1024 + 256];

#[test]
#[cfg(asm_x86_64)]
fn the_wide_micro_kernels_leave_the_registers_of_their_caller() {
    const STRIDE: usize = 35;
    let (mut w, mut x, mut sums) = (Buffer::new(WIDE[0]), Buffer::new(6), Buffer::new(6 * 64));
    let mut out = Buffer::new(5 * STRIDE + 32);
    for (name, kind, f) in functions() {
        let Kind::Wide(columns) = kind else { continue };
        for side in Side::BOTH {
            let w = w.input(side, &[0u8; WIDE[0]]).as_ptr() as usize;
            let x = x.input(side, &vec![ActBlock::ZERO; columns]).as_ptr() as usize;
            let sums = sums.input(side, &vec![0u8; columns * 64]).as_ptr() as usize;
            let before = values((columns - 1) * STRIDE + 32, 4);
            let place = out.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name}, {side:?}");
            let arguments = [w, x, size_of::<ActBlock>(), sums, place, STRIDE];
            // SAFETY: all of the structures, and place for 32 elements of each column.
            unsafe { call_assembly(label, f, &arguments) };
            assert_eq!(
                bits_of(out.written()),
                bits_of(&before),
                "{label}: nothing was to be added"
            );
        }
    }
}

#[test]
#[cfg(asm_x86_64)]
fn the_wide_micro_kernels_of_blocks_leave_the_registers_of_their_caller() {
    const COUNT: usize = 2;
    let (mut w, mut x) = (Buffer::new(8 * COUNT * WIDE[1]), Buffer::new(6 * COUNT));
    let (mut sides, mut lanes) = (Buffer::new(6 * 12 * 64), Buffer::new(8 * 6 * 32));
    for (name, kind, f) in functions() {
        let Kind::WideBlocks(columns) = kind else { continue };
        for (side, is_first) in Side::BOTH.into_iter().flat_map(|s| [(s, 0), (s, 1)]) {
            let w = w.input(side, &[0u8; 8 * COUNT * WIDE[1]]).as_ptr() as usize;
            let x = x.input(side, &vec![ActBlock::ZERO; columns * COUNT]).as_ptr() as usize;
            let len = (columns - 1) * 12 * 64 + COUNT * 64;
            let sides = sides.input(side, &vec![0u8; len]).as_ptr() as usize;
            let before = values(8 * 6 * 32, 4);
            let place = lanes.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name}, {side:?}, first: {is_first}");
            let step = COUNT * size_of::<ActBlock>();
            let arguments = [w, x, step, sides, place, 2 * COUNT + is_first];
            // SAFETY: all of the structures, of two super-blocks.
            unsafe { call_assembly(label, f, &arguments) };
            let mut want = before.clone();
            if is_first == 1 {
                want.chunks_mut(6 * 32).for_each(|lane| lane[..columns * 32].fill(0.0));
            }
            assert_eq!(bits_of(lanes.written()), bits_of(&want), "{label}");
        }
    }
}
