//! Controllers of cgroups (version 2): the limits of a tree's cgroup, and what makes the kernel offer them.
//!
//! A cgroup whose children have controllers may contain no process itself, apart from the root of the hierarchy. So the
//! daemon moves itself one level down, into [`HOST`], before it enables controllers. Its runners start there, too, and
//! the cgroups of trees are beside it. Other processes are never moved: where one is in the way, trees get no controllers.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::mount::Mount;

/// The cgroup of the daemon and its runners. A systemd unit can name it in `DelegateSubgroup=`.
pub const HOST: &str = "kugetsu-host";
/// The files of a controller appear in a cgroup when its parent has enabled it.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "io"];
/// A tree may have this part of its memory again in swap, so that idle agents can be swapped out.
const SWAP_PART: u64 = 4;

/// Limits of a tree, with everything that it starts. 0 is no limit.
///
/// The kernel enforces them where the tree's cgroup has the controllers ([`enable_controllers`]).
/// Elsewhere only a [`Meter`](super::Meter) notices that one is exceeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeLimits {
    /// Bytes.
    pub memory: u64,
    /// Processes and their threads.
    pub tasks: u64,
    /// The share of processors and disks compared with that of other trees, from 1 to 10000. The kernel's default is 100.
    pub weight: u64,
}

/// The controllers that the cgroups of trees have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controllers {
    pub memory: bool,
    /// Of processes and threads.
    pub tasks: bool,
    pub cpu: bool,
    pub io: bool,
}

impl Controllers {
    fn parse(names: &str) -> Self {
        let has = |name: &str| names.split_ascii_whitespace().any(|other| other == name);
        Self { memory: has("memory"), tasks: has("pids"), cpu: has("cpu"), io: has("io") }
    }

    /// Those that trees have which the process `pid` starts.
    pub fn of(pid: u32) -> Self {
        let parent = Mount::find().and_then(|mount| mount.of(&pid.to_string())).map(|own| parent_of_trees(&own));
        parent.map(|parent| Self::enabled_in(&parent)).unwrap_or_default()
    }

    fn enabled_in(dir: &Path) -> Self {
        Self::parse(&fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default())
    }
}

/// Makes the kernel offer controllers to the trees of this process and of its children, as far as it may. Call it once, in
/// the daemon, before anything is started. Moves this process into a cgroup below its own if it is alone there.
///
/// # Errors
/// The process could not be moved. It works without controllers.
pub fn enable_controllers() -> io::Result<Controllers> {
    let Some(own) = Mount::find().and_then(|mount| mount.own()) else { return Ok(Controllers::default()) };
    let parent = parent_of_trees(&own);
    if own == parent && !is_root(&own) {
        let is_service = own.extension().is_some_and(|extension| extension == "service");
        // systemd could not start the next daemon in the cgroup of a service while runs of this one are below it.
        if is_service || !offers_any(&own) || !is_alone(&own) {
            return Ok(Controllers::enabled_in(&own));
        }
        move_below(&own)?;
    }
    enable_in(&parent);
    Ok(Controllers::enabled_in(&parent))
}

/// The cgroup that contains those of the trees that a process in `own` starts.
pub(crate) fn parent_of_trees(own: &Path) -> PathBuf {
    match own.parent() {
        Some(parent) if own.file_name().is_some_and(|name| name == HOST) => parent.to_owned(),
        _ => own.to_owned(),
    }
}

/// Whether it is the root of the hierarchy, not only of a namespace.
fn is_root(dir: &Path) -> bool {
    dir.join("cgroup.procs").exists() && !dir.join("cgroup.type").exists()
}

fn offers_any(dir: &Path) -> bool {
    let offered = Controllers::parse(&fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default());
    offered != Controllers::default()
}

/// Whether this process is the only one in the cgroup.
fn is_alone(dir: &Path) -> bool {
    let listed = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    listed.lines().eq([std::process::id().to_string()])
}

fn move_below(dir: &Path) -> io::Result<()> {
    let host = dir.join(HOST);
    match fs::create_dir(&host) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?,
    }
    write(&host.join("cgroup.procs"), "0")
}

/// One by one, because the kernel refuses all if it refuses one.
fn enable_in(dir: &Path) {
    for name in CONTROLLERS {
        if let Err(error) = write(&dir.join("cgroup.subtree_control"), &format!("+{name}")) {
            tracing::debug!(name, %error, "could not enable a controller");
        }
    }
}

/// Sets the limits of the cgroup of a tree, as far as it has the controllers.
///
/// `memory.high` is not set: the kernel slows a tree above it so much that it seems to hang, and the run would end by its
/// time limit instead of this one. Neither is `memory.oom.group`: an agent can continue without the compiler that was
/// killed.
pub(crate) fn limit(dir: &Path, limits: &TreeLimits) {
    let set = |file: &str, value: u64| {
        if let Err(error) = write(&dir.join(file), &value.to_string()) {
            tracing::debug!(file, %error, "could not limit a cgroup");
        }
    };
    if limits.memory > 0 {
        set("memory.max", limits.memory);
        set("memory.swap.max", limits.memory / SWAP_PART);
    }
    if limits.tasks > 0 {
        set("pids.max", limits.tasks);
    }
    if limits.weight > 0 {
        set("cpu.weight", limits.weight);
        set("io.weight", limits.weight);
    }
}

/// How often the kernel has enforced the limits of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Processes that were killed for memory.
    pub(crate) killed: u64,
    /// Processes and threads that were not started.
    pub(crate) refused: u64,
}

/// The limits that the kernel holds in a cgroup, and what they have led to. `None` for one that it does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) memory: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) counters: Counters,
}

impl Held {
    pub(crate) fn read(dir: &Path) -> Self {
        let text = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
        // A cgroup without a limit has the word `max` there.
        let number = |file: &str| text(file).trim().parse().ok();
        let counters =
            Counters { killed: field(&text("memory.events"), "oom_kill"), refused: field(&text("pids.events"), "max") };
        Self { memory: number("memory.max"), tasks: number("pids.max"), counters }
    }
}

/// The number in a line `name number`; 0 without such a line.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Writes a file that exists.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with files like those of a cgroup.
    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn limits_are_set_as_far_as_there_are_controllers() {
        let dir = directory(&[("memory.max", "max\n"), ("memory.swap.max", "max\n"), ("cpu.weight", "100\n")]);
        limit(dir.path(), &TreeLimits { memory: 4096, tasks: 7, weight: 0 });
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("memory.max").trim_end(), read("memory.swap.max").trim_end()), ("4096", "1024"));
        assert_eq!(read("cpu.weight"), "100\n", "0 changes nothing");
        assert!(!dir.path().join("pids.max").exists());
        let held = Held::read(dir.path());
        assert_eq!((held.memory, held.tasks), (Some(4096), None));
    }

    #[test]
    fn what_the_kernel_did_is_counted() {
        let dir = directory(&[
            ("memory.events", "low 0\nhigh 0\nmax 31\noom 4\noom_kill 3\noom_group_kill 0\n"),
            ("pids.events", "max 12\n"),
            ("pids.max", "max\n"),
        ]);
        let held = Held::read(dir.path());
        assert_eq!(held, Held { memory: None, tasks: None, counters: Counters { killed: 3, refused: 12 } });
        assert_eq!(Held::read(&dir.path().join("gone")), Held::default());
    }

    #[test]
    fn controllers_are_those_that_the_parent_of_trees_has_enabled() {
        assert_eq!(parent_of_trees(Path::new("/c/k.scope/kugetsu-host")), Path::new("/c/k.scope"));
        assert_eq!(parent_of_trees(Path::new("/c/k.scope")), Path::new("/c/k.scope"));
        let dir =
            directory(&[("cgroup.subtree_control", "cpu memory pids\n"), ("cgroup.controllers", "hugetlb misc\n")]);
        let enabled = Controllers::enabled_in(dir.path());
        assert_eq!(enabled, Controllers { memory: true, tasks: true, cpu: true, io: false });
        assert!(!offers_any(dir.path()));
        assert!(Controllers::enabled_in(&dir.path().join("gone")) == Controllers::default());
    }

    #[test]
    fn the_daemon_moves_only_itself() {
        let own = std::process::id();
        let dir = directory(&[("cgroup.procs", &format!("{own}\n"))]);
        assert!(is_alone(dir.path()) && is_root(dir.path()));
        fs::write(dir.path().join("cgroup.type"), "domain\n").unwrap();
        assert!(!is_root(dir.path()));
        for others in [format!("1\n{own}\n"), String::new(), format!("0\n{own}\n")] {
            fs::write(dir.path().join("cgroup.procs"), &others).unwrap();
            assert!(!is_alone(dir.path()), "{others:?}");
        }
    }
}
