//! The caches of this machine, and how much memory is read to measure one of them.

use std::fs::read_to_string;
use std::path::Path;

use crate::isa;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caches {
    pub l1d: usize,
    pub l2: usize,
    /// 0 where there is none.
    pub l3: usize,
    /// The system did not tell, and these are sizes that most CPUs have at least.
    pub assumed: bool,
}

/// A level of the memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    L1,
    L2,
    L3,
    Dram,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::L1, Level::L2, Level::L3, Level::Dram];

    pub const fn name(self) -> &'static str {
        match self {
            Level::L1 => "L1",
            Level::L2 => "L2",
            Level::L3 => "L3",
            Level::Dram => "DRAM",
        }
    }
}

impl Caches {
    /// Those of the first CPU, as Linux tells them; elsewhere, as the CPU does.
    pub fn find() -> Caches {
        let found = Caches::read(Path::new("/sys/devices/system/cpu/cpu0/cache"));
        found.unwrap_or_else(|| {
            let isa::Caches { l1d, l2, l3, assumed } = isa::Caches::get();
            Caches { l1d, l2, l3: if assumed { 8 * MIB } else { l3 }, assumed }
        })
    }

    fn read(folder: &Path) -> Option<Caches> {
        let mut caches = Caches { l1d: 0, l2: 0, l3: 0, assumed: false };
        for i in 0..16 {
            let text = |name| read_to_string(folder.join(format!("index{i}/{name}"))).ok();
            let (Some(level), Some(kind)) = (text("level"), text("type")) else { break };
            let size = match (level.trim(), kind.trim()) {
                (_, "Instruction") => continue,
                ("1", _) => &mut caches.l1d,
                ("2", _) => &mut caches.l2,
                ("3", _) => &mut caches.l3,
                _ => continue,
            };
            *size = bytes(text("size")?.trim())?;
        }
        (caches.l1d > 0 && caches.l2 > 0).then_some(caches)
    }

    /// Bytes that each of `threads` threads reads again and again at `level`, of `room` for all; none where
    /// that level is not there, or too small to be told from the one before it.
    pub fn working_set(&self, level: Level, threads: usize, room: usize) -> Option<usize> {
        let bytes = match level {
            Level::L1 => self.l1d / 2,
            Level::L2 => Some(self.l2 / 2).filter(|&bytes| bytes >= 2 * self.l1d)?,
            // Twice the cache before it, read in a circle, leaves nothing there to be found again.
            Level::L3 => {
                let share = (4 * self.l2).min(self.l3 / 4 * 3 / threads);
                Some(share).filter(|&bytes| bytes >= 2 * self.l2)?
            }
            Level::Dram => room / threads,
        };
        // The loops read four streams of 256 bytes.
        let bytes = bytes.min(room / threads) / KIB * KIB;
        (bytes > 0).then_some(bytes)
    }

    /// Bytes to be read by all threads together to measure DRAM: eight times the last cache, so that a visit hardly comes
    /// back to what it has read.
    pub fn beyond(&self) -> usize {
        (8 * self.l2.max(self.l3)).clamp(64 * MIB, 1024 * MIB)
    }
}

/// A size as Linux writes it: `32K`, `4M`, or a number.
fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = match text.strip_suffix('K') {
        Some(number) => (number, KIB),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, MIB)),
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEN_3: Caches = Caches { l1d: 32 * KIB, l2: 512 * KIB, l3: 32 * MIB, assumed: false };

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("48K"), Some(48 * KIB));
        assert_eq!(bytes("2M"), Some(2 * MIB));
        assert_eq!(bytes("512"), Some(512));
        assert_eq!(bytes("K"), None);
    }

    #[test]
    fn a_working_set_lies_in_its_level_and_not_in_the_one_before() {
        let set = |level, threads| ZEN_3.working_set(level, threads, 64 * MIB);
        for threads in [1, 2, 8] {
            assert_eq!(set(Level::L1, threads), Some(16 * KIB));
            assert_eq!(set(Level::L2, threads), Some(256 * KIB));
            assert_eq!(set(Level::L3, threads), Some(2 * MIB));
            assert_eq!(set(Level::Dram, threads), Some(64 * MIB / threads));
        }
        assert_eq!(set(Level::L3, 16), Some(3 * MIB / 2));
        // Shares too small to leave L2.
        assert_eq!(set(Level::L3, 32), None);
        assert_eq!(Caches { l3: 0, ..ZEN_3 }.working_set(Level::L3, 1, 64 * MIB), None);
        // No room is not a level.
        assert_eq!(ZEN_3.working_set(Level::L1, 1, 0), None);
    }
}
