//! What this CPU can do.
//!
//! An [`Isa`] is a proof: it can only be made by [`Isa::detect`] or [`Isa::force`], both of which
//! ask the CPU. A table of kernels is reached through an `Isa`, so code for AVX2 cannot run on a CPU
//! without it. Every level gives the same bits; a level is a matter of speed alone.

use core::fmt;
use core::str::FromStr;

mod caches;
mod environment;
mod features;

pub use caches::Caches;
pub use environment::DefaultEnvironment;
pub use features::Features;
#[cfg(target_arch = "x86_64")]
pub(crate) use features::{has_avx2, has_avx512};

/// A set of kernels, named after the instructions they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust: the definition of every operation.
    Scalar,
    /// Portable SIMD by pulp: of 512 bits where the CPU has AVX-512, of 256 where it has AVX2, of 128 on aarch64.
    Generic,
    /// x86-64 with AVX2, FMA and F16C (Haswell 2013, Zen 2017, and later).
    Avx2,
    /// As [`Level::Avx2`], with hand-written assembly wherever a file of it exists.
    Avx2Asm,
    /// As [`Level::Avx2Asm`], with the byte dot products of AVX-VNNI (Alder Lake 2021, Zen 5 2024).
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, DQ and VL (Skylake-X 2017, Zen 4 2022).
    Avx512,
    /// As [`Level::Avx512`], with the byte dot products of AVX-512 VNNI (Cascade Lake 2019, Zen 4 2022).
    Avx512Vnni,
    /// As [`Level::Avx512Vnni`], with hand-written assembly wherever a file of it exists.
    Avx512VnniAsm,
    /// aarch64: Advanced SIMD is its baseline.
    Neon,
    /// As [`Level::Neon`], with hand-written assembly wherever a file of it exists.
    NeonAsm,
    /// As [`Level::Neon`], with the dot products of bytes that ARMv8.4 has, and most CPUs since 2018.
    NeonDotprod,
    /// As [`Level::NeonDotprod`], with hand-written assembly wherever a file of it exists.
    NeonDotprodAsm,
    /// As [`Level::NeonDotprodAsm`], with the products of matrices of bytes that ARMv8.6 has, in assembly: two rows
    /// times two columns.
    NeonI8mm,
}

impl Level {
    /// Every level, slowest first within an architecture.
    pub const ALL: [Level; 13] = [
        Level::Scalar,
        Level::Generic,
        Level::Avx2,
        Level::Avx2Asm,
        Level::AvxVnni,
        Level::Avx512,
        Level::Avx512Vnni,
        Level::Avx512VnniAsm,
        Level::Neon,
        Level::NeonAsm,
        Level::NeonDotprod,
        Level::NeonDotprodAsm,
        Level::NeonI8mm,
    ];

    /// The name that the command line takes.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Generic => "generic",
            Level::Avx2 => "avx2",
            Level::Avx2Asm => "avx2-asm",
            Level::AvxVnni => "avxvnni",
            Level::Avx512 => "avx512",
            Level::Avx512Vnni => "avx512vnni",
            Level::Avx512VnniAsm => "avx512vnni-asm",
            Level::Neon => "neon",
            Level::NeonAsm => "neon-asm",
            Level::NeonDotprod => "neon-dotprod",
            Level::NeonDotprodAsm => "neon-dotprod-asm",
            Level::NeonI8mm => "neon-i8mm",
        }
    }

    /// What the level asks of the CPU, in words.
    pub const fn needs(self) -> &'static str {
        match self {
            Level::Scalar | Level::Generic => "nothing",
            Level::Avx2 => "x86-64 with AVX2, FMA and F16C",
            Level::Avx2Asm => "x86-64 with AVX2, FMA and F16C, assembled in",
            Level::AvxVnni => "x86-64 with AVX2, FMA, F16C and AVX-VNNI",
            Level::Avx512 => "x86-64 with AVX2, FMA, F16C and AVX-512 F, BW, DQ and VL",
            Level::Avx512Vnni => "x86-64 with AVX2, FMA, F16C and AVX-512 F, BW, DQ, VL and VNNI",
            Level::Avx512VnniAsm => {
                "x86-64 with AVX2, FMA, F16C and AVX-512 F, BW, DQ, VL and VNNI, assembled in"
            }
            Level::Neon => "aarch64",
            Level::NeonAsm => "aarch64, assembled in",
            Level::NeonDotprod => "aarch64 with dotprod",
            Level::NeonDotprodAsm => "aarch64 with dotprod, assembled in",
            Level::NeonI8mm => "aarch64 with dotprod and i8mm, assembled in",
        }
    }

    /// The features of the CPU that the level's kernels use, by their names in [`Features::list`].
    pub const fn features(self) -> &'static [&'static str] {
        match self {
            Level::Scalar | Level::Generic => &[],
            Level::Avx2 | Level::Avx2Asm => &["avx2", "fma", "f16c"],
            Level::AvxVnni => &["avx2", "fma", "f16c", "avxvnni"],
            Level::Avx512 => &["avx2", "fma", "f16c", "avx512 (f, bw, dq, vl)"],
            Level::Avx512Vnni | Level::Avx512VnniAsm => {
                &["avx2", "fma", "f16c", "avx512 (f, bw, dq, vl)", "avx512vnni"]
            }
            Level::Neon | Level::NeonAsm => &["neon"],
            Level::NeonDotprod | Level::NeonDotprodAsm => &["neon", "dotprod"],
            Level::NeonI8mm => &["neon", "dotprod", "i8mm"],
        }
    }

    /// Those of [`features`](Self::features) that this CPU lacks, among them all of another architecture.
    pub fn lacks(self) -> impl Iterator<Item = &'static str> {
        let found = Features::get();
        let has = move |name| found.list().any(|feature| feature == (name, true));
        self.features().iter().copied().filter(move |&name| !has(name))
    }

    /// Whether the level was built for this target: its files of assembly are, where it has some.
    pub const fn is_built(self) -> bool {
        match self {
            Level::Scalar | Level::Generic => true,
            Level::Avx2 | Level::AvxVnni | Level::Avx512 | Level::Avx512Vnni => {
                cfg!(target_arch = "x86_64")
            }
            Level::Avx2Asm | Level::Avx512VnniAsm => cfg!(asm_x86_64),
            Level::Neon | Level::NeonDotprod => cfg!(target_arch = "aarch64"),
            Level::NeonAsm | Level::NeonDotprodAsm | Level::NeonI8mm => cfg!(asm_aarch64),
        }
    }

    fn is_supported(self) -> bool {
        self.is_built() && self.lacks().next().is_none()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        Self::ALL.into_iter().find(|l| l.name() == name).ok_or(UnknownLevel)
    }
}

/// A level that this CPU is known to support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Isa(Level);

impl Isa {
    /// The definitions: supported everywhere.
    pub const SCALAR: Isa = Isa(Level::Scalar);

    /// The fastest level that this CPU supports.
    pub fn detect() -> Isa {
        for level in [
            Level::NeonI8mm,
            Level::NeonDotprodAsm,
            Level::NeonDotprod,
            Level::NeonAsm,
            Level::Neon,
            Level::Avx512VnniAsm,
            Level::Avx512Vnni,
            Level::Avx512,
            Level::AvxVnni,
            Level::Avx2Asm,
            Level::Avx2,
        ] {
            if level.is_supported() {
                return Isa(level);
            }
        }
        Isa(Level::Generic)
    }

    /// The level asked for, or an error where the CPU lacks it.
    pub fn force(level: Level) -> Result<Isa, UnsupportedLevel> {
        if level.is_supported() { Ok(Isa(level)) } else { Err(UnsupportedLevel(level)) }
    }

    /// Every level that this CPU supports, in the order of [`Level::ALL`].
    pub fn available() -> impl Iterator<Item = Isa> {
        Level::ALL.into_iter().filter_map(|level| Isa::force(level).ok())
    }

    /// A level that nobody asked the CPU about.
    ///
    /// # Safety
    /// No kernel that it leads to runs unless the CPU supports the level.
    #[cfg(feature = "capi")]
    pub(crate) const unsafe fn unchecked(level: Level) -> Isa {
        Isa(level)
    }

    /// The level.
    pub const fn level(self) -> Level {
        self.0
    }
}

/// The CPU lacks what a level needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedLevel(pub Level);

impl fmt::Display for UnsupportedLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this CPU does not support `{}`, which needs {}; it supports",
            self.0,
            self.0.needs()
        )?;
        for (i, isa) in Isa::available().enumerate() {
            write!(f, "{} {}", if i == 0 { "" } else { "," }, isa.level())?;
        }
        Ok(())
    }
}

impl core::error::Error for UnsupportedLevel {}

/// No level has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown level; the levels are")?;
        for (i, level) in Level::ALL.into_iter().enumerate() {
            write!(f, "{} {level}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownLevel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_level() {
        for level in Level::ALL {
            assert_eq!(level.name().parse(), Ok(level));
        }
        assert_eq!("AVX2".parse::<Level>(), Err(UnknownLevel));
    }

    #[test]
    fn the_detected_level_can_be_forced() {
        let isa = Isa::detect();
        assert_eq!(Isa::force(isa.level()), Ok(isa));
    }

    #[test]
    fn a_level_names_features_that_some_architecture_lists() {
        let listed = features::X86_64.into_iter().chain(features::AARCH64);
        let listed: Vec<_> = listed.map(|(name, _)| name).collect();
        for level in Level::ALL {
            assert!(level.features().iter().all(|name| listed.contains(name)), "{level}");
        }
    }

    #[test]
    fn a_level_of_the_other_architecture_is_refused_by_name() {
        let foreign = if cfg!(target_arch = "aarch64") { Level::Avx2 } else { Level::Neon };
        let error = Isa::force(foreign).unwrap_err();
        assert!(error.to_string().contains(foreign.name()), "{error}");
    }
}
