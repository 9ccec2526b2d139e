//! Sizes of the caches, where the CPU tells.

const KIB: usize = 1 << 10;

/// Sizes in bytes, of the core that runs; of a cache that cores share, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caches {
    /// Of the first level, for data.
    pub l1d: usize,
    /// Of the second level.
    pub l2: usize,
    /// Of the third level; 0 where there is none.
    pub l3: usize,
    /// The CPU does not tell, and these are [`ASSUMED`](Self::ASSUMED).
    pub assumed: bool,
}

impl Caches {
    /// What most CPUs since 2013 have at least: 32 KiB, and 256 KiB (Haswell to Coffee Lake, Cortex-A53 to A76; Zen and
    /// everything later has 512 KiB or more). No third level is counted on.
    pub const ASSUMED: Caches = Caches { l1d: 32 * KIB, l2: 256 * KIB, l3: 0, assumed: true };

    /// Asks the CPU: x86-64 by CPUID, leaf 4 (Intel) or 8000_001D (AMD). Some instructions that a hypervisor traps, about a
    /// microsecond each; callers keep the answer. Elsewhere, and where the answer makes no sense, [`ASSUMED`](Self::ASSUMED).
    pub fn get() -> Caches {
        #[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(unused_mut))]
        let mut found = Caches { l1d: 0, l2: 0, l3: 0, assumed: false };
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        for [eax, ebx, ecx] in cpuid::caches() {
            found.add(eax, ebx, ecx);
        }
        if found.is_plausible() { found } else { Caches::ASSUMED }
    }

    /// Counts a cache as CPUID tells of it (Intel SDM 2A, "CPUID", leaf 4; AMD APM 3, appendix E, 8000_001D): kind and level in
    /// EAX; ways, partitions and bytes of a line, each less one, in EBX; sets less one in ECX.
    #[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(dead_code))]
    fn add(&mut self, eax: u32, ebx: u32, ecx: u32) {
        const DATA: u32 = 1;
        const UNIFIED: u32 = 3;
        let field = |from: u32, bits: u32| (ebx >> from & ((1 << bits) - 1)) as usize + 1;
        let size = field(22, 10) * field(12, 10) * field(0, 12);
        let size = size.saturating_mul((ecx as usize).saturating_add(1));
        match (eax & 31, eax >> 5 & 7) {
            (DATA | UNIFIED, 1) => self.l1d = size,
            (DATA | UNIFIED, 2) => self.l2 = size,
            (DATA | UNIFIED, 3) => self.l3 = size,
            _ => {}
        }
    }

    /// Hypervisors make things up, zeros most of all.
    fn is_plausible(&self) -> bool {
        let Caches { l1d, l2, l3, .. } = *self;
        (4 * KIB..=1024 * KIB).contains(&l1d)
            && (2 * l1d..=256 * 1024 * KIB).contains(&l2)
            && (l3 == 0 || l3 >= l2)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod cpuid {
    use core::arch::x86_64::{__cpuid, __cpuid_count};

    /// EAX, EBX and ECX of each cache that the CPU tells of.
    pub fn caches() -> impl Iterator<Item = [u32; 3]> {
        // Newer compilers know that CPUID is safe; where older ones do not, every x86-64 CPU has it, and its leaves are
        // asked for where it says that they exist.
        #[allow(unused_unsafe)]
        // SAFETY: as said.
        let leaf = unsafe {
            const INTEL: u32 = 4;
            const AMD: u32 = 0x8000_001d;
            let has_amd =
                __cpuid(0x8000_0000).eax >= AMD && __cpuid(0x8000_0001).ecx >> 22 & 1 == 1;
            match has_amd {
                true => Some(AMD),
                false => Some(INTEL).filter(|&leaf| __cpuid(0).eax >= leaf),
            }
        };
        let one = |leaf, i| {
            #[allow(unused_unsafe)]
            // SAFETY: as above.
            let answer = unsafe { __cpuid_count(leaf, i) };
            [answer.eax, answer.ebx, answer.ecx]
        };
        // No CPU has so many; the last is followed by one of no kind.
        leaf.into_iter()
            .flat_map(move |leaf| (0..16).map(move |i| one(leaf, i)))
            .take_while(|[eax, ..]| eax & 31 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_ways_times_partitions_times_lines_times_sets() {
        let mut caches = Caches { l1d: 0, l2: 0, l3: 0, assumed: false };
        // As a Zen 3 tells: 32 KiB of 8 ways, then instructions, 512 KiB of 8 ways, 32 MiB of 16.
        for [eax, ebx, ecx] in [
            [0x121, 0x01c0_003f, 63],
            [0x122, 0x01c0_003f, 63],
            [0x143, 0x01c0_003f, 1023],
            [0x163, 0x03c0_003f, 32767],
        ] {
            caches.add(eax, ebx, ecx);
        }
        let want = Caches { l1d: 32 * KIB, l2: 512 * KIB, l3: 32 * 1024 * KIB, assumed: false };
        assert_eq!(caches, want);
        assert!(caches.is_plausible());
    }

    #[test]
    fn what_makes_no_sense_is_not_believed() {
        for caches in [
            Caches { l1d: 0, l2: 0, l3: 0, assumed: false },
            Caches { l2: 32 * KIB, ..Caches::ASSUMED },
            Caches { l3: 64 * KIB, ..Caches::ASSUMED },
        ] {
            assert!(!caches.is_plausible(), "{caches:?}");
        }
        assert!(Caches::ASSUMED.is_plausible() && Caches::get().is_plausible());
    }
}
