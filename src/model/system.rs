//! What the system grants this process: cores, memory.

use std::num::NonZeroUsize;

/// How many threads to use where nobody says: the physical cores that this process may run on, within
/// its share of processor time.
///
/// On Linux: the affinity mask, with the hardware threads of one core counted once, and at most the quota of
/// the control group, rounded up. Elsewhere, what the standard library tells.
pub fn default_threads() -> NonZeroUsize {
    let fallback = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(linux::default_threads()).unwrap_or_else(fallback)
}

/// The processors that this process may run on; hardware threads of one core count each.
pub fn processors() -> NonZeroUsize {
    let fallback = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(linux::affinity().len()).unwrap_or_else(fallback)
}

/// The CPUs that this process may run on, by number; none where the system does not tell.
pub fn affinity() -> Vec<usize> {
    linux::affinity()
}

/// Bytes of memory that can be had without swapping, where the system tells: what is available on the
/// machine, and at most what the control group leaves.
pub fn memory_available() -> Option<u64> {
    linux::memory_available()
}

/// The largest resident set of this process so far, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    parse::kibibytes(&status, "VmHWM:")
}

/// The CPU's name, where the system tells.
pub fn cpu_name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(target_os = "linux")]
mod linux {
    use super::parse;
    use std::collections::BTreeSet;
    use std::fs::read_to_string;

    pub fn default_threads() -> usize {
        let allowed = affinity();
        let core = |cpu: &usize| {
            let siblings =
                format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            read_to_string(siblings).map_or_else(|_| cpu.to_string(), |list| list.trim().to_owned())
        };
        let cores = allowed.iter().map(core).collect::<BTreeSet<_>>().len();
        quota().map_or(cores, |quota| cores.min(quota))
    }

    /// The CPUs of this process's affinity mask; none where the system does not tell.
    pub fn affinity() -> Vec<usize> {
        // SAFETY: `cpu_set_t` is plain bits, for which zero is a value; the kernel writes at most its
        // size.
        let set = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
                return Vec::new();
            }
            set
        };
        // SAFETY: every index is below the size of the set.
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
            .collect()
    }

    /// The directories of this process's control group and of its parents.
    fn groups(controller: &str) -> Vec<String> {
        let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
        parse::groups(&own, controller)
    }

    fn read_number(path: String) -> Option<u64> {
        read_to_string(path).ok()?.trim().parse().ok()
    }

    fn quota() -> Option<usize> {
        let unified = groups("")
            .into_iter()
            .filter_map(|group| parse::cpu_max(&read_to_string(format!("{group}/cpu.max")).ok()?));
        let separate = groups("cpu").into_iter().filter_map(|group| {
            let quota = read_number(format!("{group}/cpu.cfs_quota_us"))?;
            let period = read_number(format!("{group}/cpu.cfs_period_us"))?;
            parse::quota(quota, period)
        });
        unified.chain(separate).min()
    }

    pub fn memory_available() -> Option<u64> {
        let info = read_to_string("/proc/meminfo").ok();
        let machine = info.and_then(|info| parse::kibibytes(&info, "MemAvailable:"));
        let left = |limit: String, used: String| {
            // What the group has cached can be given back; `usage` counts it, so this errs low.
            Some(read_number(limit)?.saturating_sub(read_number(used)?))
        };
        let unified = groups("").into_iter().filter_map(|group| {
            left(format!("{group}/memory.max"), format!("{group}/memory.current"))
        });
        let separate = groups("memory").into_iter().filter_map(|group| {
            left(format!("{group}/memory.limit_in_bytes"), format!("{group}/memory.usage_in_bytes"))
        });
        unified.chain(separate).chain(machine).min()
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn default_threads() -> usize {
        0
    }

    pub fn affinity() -> Vec<usize> {
        Vec::new()
    }

    pub fn memory_available() -> Option<u64> {
        None
    }
}

/// The texts of `/proc` and of control groups.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod parse {
    /// The number of KiB after `name` at the start of a line, in bytes.
    pub fn kibibytes(text: &str, name: &str) -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Whole threads within a quota of processor time: rounded up, at least one.
    pub fn quota(quota: u64, period: u64) -> Option<usize> {
        (period > 0).then(|| usize::try_from(quota.div_ceil(period)).unwrap_or(usize::MAX).max(1))
    }

    /// `cpu.max`: `QUOTA PERIOD`, or `max PERIOD` for no limit.
    pub fn cpu_max(text: &str) -> Option<usize> {
        let (limit, period) = text.trim().split_once(' ')?;
        quota(limit.parse().ok()?, period.parse().ok()?)
    }

    /// The directories, innermost first, of the group that `/proc/self/cgroup` names for a controller;
    /// of the unified hierarchy for the empty name.
    pub fn groups(own: &str, controller: &str) -> Vec<String> {
        let path = own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|c| c == controller).then_some(path)
        });
        let Some(mut path) = path else { return Vec::new() };
        let root = match controller {
            "" => "/sys/fs/cgroup".to_owned(),
            name => format!("/sys/fs/cgroup/{name}"),
        };
        let mut groups = Vec::new();
        while let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            let group = path.trim_end_matches('/');
            if !group.is_empty() {
                groups.push(format!("{root}{group}"));
            }
            path = parent;
        }
        groups.push(root);
        groups
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_quota_is_rounded_up_to_whole_threads_and_max_is_none() {
            assert_eq!(cpu_max("150000 100000\n"), Some(2));
            assert_eq!(cpu_max("5000 100000\n"), Some(1));
            assert_eq!(cpu_max("max 100000\n"), None);
            assert_eq!(cpu_max(""), None);
            assert_eq!(quota(1, 0), None);
        }

        #[test]
        fn the_group_and_its_parents_are_found_by_controller() {
            let own = "12:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/user.slice/x\n";
            assert_eq!(
                groups(own, "cpu"),
                [
                    "/sys/fs/cgroup/cpu/docker/abc",
                    "/sys/fs/cgroup/cpu/docker",
                    "/sys/fs/cgroup/cpu"
                ]
            );
            assert_eq!(
                groups(own, ""),
                ["/sys/fs/cgroup/user.slice/x", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"]
            );
            assert_eq!(groups("0::/\n", ""), ["/sys/fs/cgroup"]);
            assert_eq!(groups("", ""), [""; 0]);
        }

        #[test]
        fn kibibytes_are_read_by_name() {
            let text = "MemTotal:       24 kB\nMemAvailable:   16 kB\n";
            assert_eq!(kibibytes(text, "MemAvailable:"), Some(16 << 10));
            assert_eq!(kibibytes(text, "MemFree:"), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_at_least_one_thread_and_at_most_what_std_grants() {
        let all = std::thread::available_parallelism().unwrap();
        assert!(default_threads() <= all, "{} > {all}", default_threads());
    }
}
