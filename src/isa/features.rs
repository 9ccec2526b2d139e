//! Feature flags of the CPU, found once.
//!
//! `cpufeatures` asks CPUID and XGETBV (so it needs no std), but knows neither F16C nor the VNNI
//! extensions; those come from CPUID here. On aarch64 Advanced SIMD is the baseline, and std tells
//! about the rest.

/// The features that choose kernels, as found on this CPU.
///
/// A feature counts only where the operating system saves the registers it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the vendors' own
#[non_exhaustive]
pub struct Features {
    pub avx2: bool,
    pub fma: bool,
    pub f16c: bool,
    pub avxvnni: bool,
    pub avx512: bool,
    pub avx512vnni: bool,
    pub neon: bool,
    pub dotprod: bool,
    pub i8mm: bool,
}

impl Features {
    /// Asks the CPU. Costs a few CPUID instructions (some microseconds under a hypervisor, which
    /// traps them): callers keep the answer.
    pub fn get() -> Features {
        detect()
    }

    /// Each feature of this architecture by name, and whether it was found.
    pub fn list(self) -> impl Iterator<Item = (&'static str, bool)> {
        let x86 = X86_64.into_iter().filter(|_| cfg!(target_arch = "x86_64"));
        let arm = AARCH64.into_iter().filter(|_| cfg!(target_arch = "aarch64"));
        x86.chain(arm).map(move |(name, found)| (name, found(&self)))
    }
}

/// A feature's name, and how it is read.
type Named = (&'static str, fn(&Features) -> bool);

pub(super) const X86_64: [Named; 6] = [
    ("avx2", |f| f.avx2),
    ("fma", |f| f.fma),
    ("f16c", |f| f.f16c),
    ("avxvnni", |f| f.avxvnni),
    ("avx512 (f, bw, dq, vl)", |f| f.avx512),
    ("avx512vnni", |f| f.avx512vnni),
];

pub(super) const AARCH64: [Named; 3] =
    [("neon", |f| f.neon), ("dotprod", |f| f.dotprod), ("i8mm", |f| f.i8mm)];

/// Under Miri there is no CPU to ask: what the build enables is what it interprets.
#[cfg(all(miri, target_arch = "x86_64"))]
fn detect() -> Features {
    Features {
        avx2: cfg!(target_feature = "avx2"),
        fma: cfg!(target_feature = "fma"),
        f16c: cfg!(target_feature = "f16c"),
        avxvnni: cfg!(target_feature = "avxvnni"),
        avx512: cfg!(target_feature = "avx512f")
            && cfg!(target_feature = "avx512bw")
            && cfg!(target_feature = "avx512dq")
            && cfg!(target_feature = "avx512vl"),
        avx512vnni: cfg!(target_feature = "avx512vnni"),
        ..Features::default()
    }
}

// These keep what the CPU said.
#[cfg(all(not(miri), target_arch = "x86_64"))]
cpufeatures::new!(cpu_avx2, "avx", "avx2");
#[cfg(all(not(miri), target_arch = "x86_64"))]
cpufeatures::new!(cpu_fma, "avx", "fma");
#[cfg(all(not(miri), target_arch = "x86_64"))]
cpufeatures::new!(cpu_avx512, "avx512f", "avx512bw", "avx512dq", "avx512vl");

/// [`Features::avx2`], for callers that ask often.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    #[cfg(miri)]
    return Features::get().avx2;
    #[cfg(not(miri))]
    cpu_avx2::get()
}

/// [`Features::avx512`], for callers that ask often.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    #[cfg(miri)]
    return Features::get().avx512;
    #[cfg(not(miri))]
    cpu_avx512::get()
}

#[cfg(all(not(miri), target_arch = "x86_64"))]
fn detect() -> Features {
    use core::arch::x86_64::{__cpuid, __cpuid_count};

    let (avx2, avx512) = (cpu_avx2::get(), cpu_avx512::get());
    // SAFETY: every x86-64 CPU has CPUID with leaves 0 and 1; leaf 7 is asked for where leaf 0 says
    // that it exists. (Newer compilers know that CPUID is safe.)
    #[allow(unused_unsafe)]
    let (leaf1_ecx, leaf7_ecx, leaf7_1_eax) = unsafe {
        let has_leaf7 = __cpuid(0).eax >= 7;
        (
            __cpuid(1).ecx,
            if has_leaf7 { __cpuid_count(7, 0).ecx } else { 0 },
            if has_leaf7 { __cpuid_count(7, 1).eax } else { 0 },
        )
    };
    let bit = |register: u32, n: u32| register >> n & 1 == 1;
    Features {
        avx2,
        fma: cpu_fma::get(),
        // These work on ymm registers: AVX2, which stands for the system's support, is asked above.
        f16c: avx2 && bit(leaf1_ecx, 29),
        avxvnni: avx2 && bit(leaf7_1_eax, 4),
        avx512,
        avx512vnni: avx512 && bit(leaf7_ecx, 11),
        ..Features::default()
    }
}

#[cfg(all(target_arch = "aarch64", feature = "std"))]
fn detect() -> Features {
    Features {
        neon: true,
        dotprod: std::arch::is_aarch64_feature_detected!("dotprod"),
        i8mm: std::arch::is_aarch64_feature_detected!("i8mm"),
        ..Features::default()
    }
}

#[cfg(all(target_arch = "aarch64", not(feature = "std")))]
fn detect() -> Features {
    Features { neon: true, ..Features::default() }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Features {
    Features::default()
}
