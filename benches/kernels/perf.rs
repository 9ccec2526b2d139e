//! Cycles and instructions of this thread's user code, as the kernel counts them: Linux, where it has such events. Virtual
//! machines mostly have none.

use std::io;
use std::ops::{Add, Sub};

/// What was counted.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub cycles: u64,
    pub instructions: u64,
}

impl Add for Counts {
    type Output = Counts;
    fn add(self, b: Counts) -> Counts {
        Counts { cycles: self.cycles + b.cycles, instructions: self.instructions + b.instructions }
    }
}

impl Sub for Counts {
    type Output = Counts;
    fn sub(self, b: Counts) -> Counts {
        Counts { cycles: self.cycles - b.cycles, instructions: self.instructions - b.instructions }
    }
}

/// Both counters, read together.
pub struct Counters {
    #[cfg(target_os = "linux")]
    group: std::fs::File,
    /// Counts while the group does.
    #[cfg(target_os = "linux")]
    _instructions: std::fs::File,
}

#[cfg(target_os = "linux")]
impl Counters {
    /// Starts to count.
    pub fn open() -> io::Result<Counters> {
        const CYCLES: u64 = 0;
        const INSTRUCTIONS: u64 = 1;
        let group = event(CYCLES, -1)?;
        let leader = std::os::fd::AsRawFd::as_raw_fd(&group);
        Ok(Counters { _instructions: event(INSTRUCTIONS, leader)?, group })
    }

    /// What was counted since they were opened; nothing if the kernel does not answer.
    pub fn read(&self) -> Counts {
        // How many, and each.
        let mut bytes = [0; 24];
        match io::Read::read(&mut &self.group, &mut bytes) {
            Ok(24) => {
                let [_, cycles, instructions] = [0, 8, 16]
                    .map(|at| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight")));
                Counts { cycles, instructions }
            }
            _ => Counts::default(),
        }
    }
}

/// An event of hardware, of this thread on any CPU: `perf_event_open(2)`.
#[cfg(target_os = "linux")]
fn event(config: u64, group: i32) -> io::Result<std::fs::File> {
    use std::os::fd::FromRawFd;
    /// As the kernel's header has it, up to the first version.
    #[repr(C)]
    struct Attributes {
        kind: u32,
        size: u32,
        config: u64,
        period: u64,
        sample: u64,
        read_format: u64,
        flags: u64,
        wakeup: u32,
        breakpoint: u32,
        address: u64,
    }
    const HARDWARE: u32 = 0;
    const GROUP: u64 = 8;
    const EXCLUDE_KERNEL: u64 = 1 << 5;
    const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
    let attributes = Attributes {
        kind: HARDWARE,
        size: size_of::<Attributes>() as u32,
        config,
        period: 0,
        sample: 0,
        read_format: GROUP,
        flags: EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR,
        wakeup: 0,
        breakpoint: 0,
        address: 0,
    };
    // SAFETY: the kernel reads as many bytes of `attributes` as `size` says, and a descriptor that it returns is
    // nobody else's.
    unsafe {
        let file =
            libc::syscall(libc::SYS_perf_event_open, &raw const attributes, 0, -1, group, 0u64);
        match i32::try_from(file) {
            Ok(file) if file >= 0 => Ok(std::fs::File::from_raw_fd(file)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Counters {
    /// There are none.
    pub fn open() -> io::Result<Counters> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn read(&self) -> Counts {
        Counts::default()
    }
}
