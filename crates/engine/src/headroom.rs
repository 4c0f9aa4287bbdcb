//! How much memory and disk space the machine has left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_domain::hold::{Headroom, Resource, Shortage};
use nix::sys::statvfs::statvfs;

const MIB: u64 = 1024 * 1024;

/// Measures what the machine has left. Returns also why something could not be measured.
pub type Measure = dyn Fn(&Home) -> (Headroom, Vec<Unmeasured>) + Send + Sync;

/// Something that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmeasured {
    pub resource: Resource,
    pub error: String,
}

/// The latest measurement, for the times and for the log.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// With the times since when.
    pub(crate) short: Vec<(Shortage, Timestamp)>,
    pub(crate) unmeasured: Vec<Unmeasured>,
}

impl Latest {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Floors whose measurement failed. What is left counts as enough.
    pub(crate) fn unmeasured(&self) -> Vec<Unmeasured> {
        self.state().unmeasured.clone()
    }
}

/// Measures this machine.
pub fn measure(home: &Home) -> (Headroom, Vec<Unmeasured>) {
    let mut unmeasured = Vec::new();
    let mut known = |resource, measured: io::Result<u64>| match measured {
        Ok(bytes) => Some(bytes / MIB),
        Err(error) => {
            unmeasured.push(Unmeasured { resource, error: error.to_string() });
            None
        }
    };
    let memory = known(Resource::Memory, memory());
    let disk = known(Resource::Disk, free(home));
    (Headroom { memory, pressure: pressure(), disk }, unmeasured)
}

/// Free bytes where the home is.
pub(crate) fn free(home: &Home) -> io::Result<u64> {
    let disk = statvfs(home.path())?;
    #[allow(clippy::useless_conversion, reason = "these types differ on macOS")]
    Ok(u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size())))
}

/// Bytes that new processes can have: of the machine, or of this process's cgroups if that is less.
fn memory() -> io::Result<u64> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    let available = field(&text, "MemAvailable:").and_then(|kilobytes| kilobytes.checked_mul(1024));
    let available = available.ok_or_else(|| io::Error::other(format!("{path} has no MemAvailable")))?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Ok(limits(&groups).into_iter().filter_map(|limit| limit.left()).chain([available]).min().unwrap_or(available))
}

/// Bytes that all processes can have together: of the machine, or of this process's cgroups if that is less. `None` if it is
/// not known.
pub(crate) fn total_memory() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?.checked_mul(1024)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limits(&groups).into_iter().filter_map(|limit| limit.most()).chain([machine]).min()
}

/// A directory of a cgroup, with the names of its files.
struct Limit {
    directory: PathBuf,
    names: [&'static str; 3],
}

const V1: [&str; 3] = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
const V2: [&str; 3] = ["memory.max", "memory.current", "inactive_file"];

/// The cgroups that limit this process, from `/proc/self/cgroup`.
fn limits(groups: &str) -> Vec<Limit> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", V2),
            _ if controllers.split(',').any(|controller| controller == "memory") => ("/sys/fs/cgroup/memory", V1),
            _ => continue,
        };
        let group = Path::new(root).join(path.trim_start_matches('/'));
        let parents = group.ancestors().take_while(|directory| directory.starts_with(root));
        limits.extend(parents.map(|directory| Limit { directory: directory.to_owned(), names }));
    }
    limits
}

impl Limit {
    /// `None` without a limit.
    fn most(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join(self.names[0])).ok()?.trim().parse().ok()
    }

    /// Bytes up to the limit; `None` without a limit. Files that can be dropped from memory do not count as used.
    fn left(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.directory.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let [max, current, droppable] = self.names;
        let cached = read("memory.stat").and_then(|text| field(&text, droppable)).unwrap_or(0);
        Some(number(max)?.saturating_sub(number(current)?.saturating_sub(cached)))
    }
}

/// The number behind the first word `name` of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How much of the last ten seconds processes waited for memory, in percent, where the kernel says so.
fn pressure() -> Option<u64> {
    percent(&fs::read_to_string("/proc/pressure/memory").ok()?)
}

fn percent(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    average.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_measured() {
        let directory = tempfile::tempdir().unwrap();
        let (headroom, unmeasured) = measure(&Home::new(directory.path().to_owned()));
        assert!(headroom.disk.is_some(), "{unmeasured:?}");
        #[cfg(target_os = "linux")]
        assert!(headroom.memory.is_some_and(|left| left > 0 && Some(left * MIB) <= total_memory()), "{unmeasured:?}");
        let (_, unmeasured) = measure(&Home::new(directory.path().join("missing")));
        assert_eq!(unmeasured.iter().map(|one| one.resource).collect::<Vec<_>>(), [Resource::Disk]);
    }

    #[test]
    fn files_of_the_kernel_are_understood() {
        assert_eq!(field("MemTotal: 9 kB\nMemAvailable:   512 kB\n", "MemAvailable:"), Some(512));
        assert_eq!(percent("some avg10=61.34 avg60=1.00 total=9\nfull avg10=0.00\n"), Some(61));
        let groups = limits("4:memory:/a/b\n1:cpu:/x\n0::/c\n");
        let found: Vec<_> = groups.iter().map(|limit| limit.directory.to_str().unwrap()).collect();
        let memory = "/sys/fs/cgroup/memory";
        let expected = [&format!("{memory}/a/b"), &format!("{memory}/a"), memory, "/sys/fs/cgroup/c", "/sys/fs/cgroup"];
        assert_eq!(found, expected);
    }

    #[test]
    fn cgroup_counts_without_files_that_can_be_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let limit = Limit { directory: directory.path().to_owned(), names: V2 };
        write("memory.current", "900\n");
        write("memory.max", "max\n");
        assert_eq!(limit.left(), None);
        assert_eq!(limit.most(), None);
        write("memory.max", "1000\n");
        assert_eq!((limit.left(), limit.most()), (Some(100), Some(1000)));
        write("memory.stat", "anon 1\ninactive_file 300\n");
        assert_eq!(limit.left(), Some(400));
    }
}
