//! The kernels of each level, and names.

use core::ffi::c_char;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Status;
use crate::formats::Format;
use crate::isa::{Isa, Level};
use crate::kernels::Kernels;

const LEVELS: usize = Level::ALL.len();

/// The kernels of every level that there is, whether the CPU has it or not.
static TABLES: [Kernels; LEVELS] = {
    let mut tables = [Kernels::new(Isa::SCALAR); LEVELS];
    let mut i = 0;
    while i < LEVELS {
        // SAFETY: a table is reached through `at` alone, which asks the CPU first.
        tables[i] = Kernels::new(unsafe { Isa::unchecked(Level::ALL[i]) });
        i += 1;
    }
    tables
};

/// One bit for each level that the CPU supports, and [`BEST`] times the number of the fastest; 0 before it was asked. Asking takes
/// microseconds under a hypervisor, and every call needs the answer.
static FOUND: AtomicU32 = AtomicU32::new(0);
const BEST: u32 = 1 << 16;
const _: () = assert!(LEVELS < 16);

fn number(level: Level) -> u32 {
    Level::ALL.into_iter().position(|other| other == level).map_or(0, |at| at as u32)
}

fn found() -> u32 {
    match FOUND.load(Relaxed) {
        0 => {
            let supported = Isa::available().map(|isa| 1 << number(isa.level()));
            let found = supported.fold(BEST * number(Isa::detect().level()), |all, bit| all | bit);
            FOUND.store(found, Relaxed);
            found
        }
        found => found,
    }
}

/// The number of the fastest level.
pub(super) fn best() -> u32 {
    found() / BEST
}

/// The kernels of the level with this number.
pub(super) fn at(level: u32) -> Result<&'static Kernels, Status> {
    let kernels = TABLES.get(level as usize).ok_or(Status::Unsupported)?;
    let supported = found() >> level & 1 == 1;
    if supported { Ok(kernels) } else { Err(Status::Unsupported) }
}

/// The fastest kernels.
pub(super) fn kernels() -> &'static Kernels {
    &TABLES[best() as usize]
}

/// The number of the level that a text names.
pub(super) fn named(name: &[u8]) -> Result<u32, Status> {
    let at = Level::ALL.into_iter().position(|level| level.name().as_bytes() == name);
    at.map(|at| at as u32).ok_or(Status::InvalidOption)
}

/// The format of a file's number.
pub(super) fn format(id: u32) -> Result<Format, Status> {
    Format::from_gguf_id(id).ok_or(Status::UnknownFormat)
}

/// A name and zeros.
const fn padded<const N: usize>(name: &str) -> [u8; N] {
    let (name, mut out) = (name.as_bytes(), [0; N]);
    let mut i = 0;
    while i < name.len() {
        out[i] = name[i];
        i += 1;
    }
    assert!(i < N);
    out
}

static LEVEL_NAMES: [[u8; 20]; LEVELS] = {
    let mut names = [[0; 20]; LEVELS];
    let mut i = 0;
    while i < LEVELS {
        names[i] = padded(Level::ALL[i].name());
        i += 1;
    }
    names
};

static FORMAT_NAMES: [[u8; 8]; Format::ALL.len()] = {
    let mut names = [[0; 8]; Format::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = padded(Format::ALL[i].name());
        i += 1;
    }
    names
};

/// The set of kernels that was chosen for this CPU, such as "avx2-asm", or the one that a plan has: all give the same bits. The
/// name of a number that no level has is null. Not to be freed. `level` is that of quintile_plan, or UINT32_MAX for the
/// chosen one.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_level_name(level: u32) -> *const c_char {
    let level = if level == u32::MAX { best() } else { level };
    LEVEL_NAMES.get(level as usize).map_or(ptr::null(), |name| name.as_ptr().cast())
}

/// The name of a format by its number in GGUF files (ggml_type), such as "Q5_K" of 13; null where nothing here computes with it. Not
/// to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_format_name(format: u32) -> *const c_char {
    let at = Format::ALL.into_iter().position(|known| known.gguf_id() == format);
    at.map_or(ptr::null(), |at| FORMAT_NAMES[at].as_ptr().cast())
}
