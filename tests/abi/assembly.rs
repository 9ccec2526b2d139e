//! The assembly, called without anything of the compiler's between it and the check.

use quintile::formats::Format;
use quintile::isa::Isa;

use crate::guard::{Buffer, Side};
use crate::registers::call_assembly;
use crate::{SCALAR, activations, lengths, row, values};

macro_rules! symbols {
    ($($name:ident),*) => {
        unsafe extern "sysv64" {
            $(#[link_name = concat!(stringify!($name), env!("QUINTILE_ASM_SUFFIX"))]
            fn $name();)*
        }
        /// By name, with their addresses.
        const FUNCTIONS: [(&str, unsafe extern "sysv64" fn()); [$(stringify!($name)),*].len()] =
            [$((stringify!($name), $name)),*];
    };
}

symbols!(quintile_dot_f32_avx2, quintile_q4_k_dot_avx2, quintile_q5_k_dot_avx2);

/// The function's address, where the CPU can run it.
fn address(name: &str) -> Option<usize> {
    let (_, function) = FUNCTIONS.iter().find(|(n, _)| *n == name).expect("a function");
    Isa::force(quintile::isa::Level::Avx2Asm).ok().map(|_| *function as usize)
}

#[test]
fn every_function_of_the_assembly_files_is_called_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/asm/x86_64");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        let names = text.lines().filter_map(|line| line.strip_prefix("FUNCTION "));
        found.extend(names.map(|name| name.trim().to_owned()));
    }
    found.sort();
    assert_eq!(found, FUNCTIONS.map(|(name, _)| name));
}

#[test]
fn the_assembled_dot_f32_leaves_the_registers_of_its_caller() {
    let Some(f) = address("quintile_dot_f32_avx2") else { return };
    let (mut a, mut b) = (Buffer::new(1000), Buffer::new(1000));
    for (n, side) in lengths().flat_map(|n| Side::BOTH.map(|side| (n, side))) {
        let (x, y) = (values(n, 1), values(n, 2));
        let (a, b) = (a.input(side, &x), b.input(side, &y));
        let label = format_args!("quintile_dot_f32_avx2 of {n}, {side:?}");
        // SAFETY: two slices of `n` elements.
        let got = unsafe { call_assembly(label, f, [a.as_ptr() as usize, b.as_ptr() as usize, n]) };
        assert_eq!(got.to_bits(), SCALAR.dot_f32(&x, &y).to_bits(), "{label}");
    }
}

#[test]
fn the_assembled_row_dots_leave_the_registers_of_their_caller() {
    let (mut w, mut x) = (Buffer::new(9 * 320), Buffer::new(9));
    for (name, format) in
        [("quintile_q4_k_dot_avx2", Format::Q4K), ("quintile_q5_k_dot_avx2", Format::Q5K)]
    {
        let Some(f) = address(name) else { return };
        for (blocks, side) in (0..=9).flat_map(|n| Side::BOTH.map(|side| (n, side))) {
            let weights = row(format, blocks);
            let acts = activations(format.activation().expect("quantised"), blocks * 256, 3);
            let (w, x) = (w.input(side, &weights), x.input(side, &acts));
            let label = format_args!("{name} of {blocks}, {side:?}");
            // SAFETY: `blocks` blocks of the format and of activations.
            let got = unsafe {
                call_assembly(label, f, [w.as_ptr() as usize, x.as_ptr() as usize, blocks])
            };
            assert_eq!(got.to_bits(), SCALAR.qdot(format, &weights, &acts).to_bits(), "{label}");
        }
    }
}
