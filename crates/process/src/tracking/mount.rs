//! Where the hierarchy of cgroups (version 2) is mounted.
//!
//! Systems mount version 2 alone at `/sys/fs/cgroup`, or both versions side by side with version 2 at
//! `/sys/fs/cgroup/unified`. The mount table tells which.

use std::fs;
use std::path::{Path, PathBuf};

/// The mount of version 2, which may show only a part of the hierarchy.
pub(super) struct Mount {
    /// The part of the hierarchy that is mounted.
    root: PathBuf,
    /// Where it is mounted.
    pub(super) point: PathBuf,
}

impl Mount {
    pub(super) fn find() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    /// Parses lines of the form `id parent device root point options ... - type source options`.
    fn parse(mounts: &str) -> Option<Self> {
        mounts.lines().find_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (root, point) = (fields.next()?.into(), fields.next()?.into());
            (filesystem.split(' ').next() == Some("cgroup2")).then_some(Self { root, point })
        })
    }

    /// Returns the directory of the cgroup that this process is in.
    pub(super) fn own(&self) -> Option<PathBuf> {
        self.of("self")
    }

    /// The same of the process with this entry in `/proc`.
    pub(super) fn of(&self, process: &str) -> Option<PathBuf> {
        self.cgroup_dir(&fs::read_to_string(Path::new("/proc").join(process).join("cgroup")).ok()?)
    }

    /// Parses `/proc/self/cgroup`, where version 2 is the line `0::/path`.
    fn cgroup_dir(&self, cgroups: &str) -> Option<PathBuf> {
        let path = Path::new(cgroups.lines().find_map(|line| line.strip_prefix("0::"))?);
        Some(self.point.join(path.strip_prefix(&self.root).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Mount;

    #[test]
    fn version_2_alone_is_found() {
        let mounts = "25 30 0:23 / /sys rw - sysfs sysfs rw\n\
                      29 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = Mount::parse(mounts).unwrap().cgroup_dir("0::/user.slice/user-1000.slice/session-2.scope\n");
        assert_eq!(own.unwrap(), Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"));
    }

    #[test]
    fn version_2_is_found_beside_version_1() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = Mount::parse(mounts).unwrap().cgroup_dir("4:memory:/x\n1:cpu:/\n0::/\n");
        assert_eq!(own.unwrap(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn paths_are_relative_to_a_partial_mount() {
        let mounts = "29 25 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let mount = Mount::parse(mounts).unwrap();
        assert_eq!(mount.cgroup_dir("0::/docker/abc/x\n").unwrap(), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(mount.cgroup_dir("0::/elsewhere\n"), None);
    }

    #[test]
    fn version_1_alone_is_ignored() {
        assert!(Mount::parse("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n").is_none());
    }
}
