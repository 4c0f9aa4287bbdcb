//! The backend that creates the namespaces itself, by the helper. Needs no program, and user namespaces of the kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;

use super::layout::{Network, Sandbox};
use super::paths::{ResolvedPath, ResolvedPaths};
use super::plan::{Inode, Mount, MountKind, Namespaces};
use super::shared_paths::{private_directories, system_paths, visible_sockets};
use crate::tracking::controllers::TreeLimits;

/// The kernel counts no processes that it refuses, so a measurement has to find more than the limit before it holds them.
const TASKS_FACTOR: u64 = 2;

/// The file system and the network of a program.
pub(super) fn plan(sandbox: &Sandbox, paths: &ResolvedPaths, limits: &TreeLimits) -> io::Result<Namespaces> {
    let all = |paths: &[ResolvedPath], kind: &dyn Fn(&ResolvedPath) -> io::Result<MountKind>| {
        paths
            .iter()
            .map(|path| Ok(Mount { path: path.path.clone(), kind: kind(path)? }))
            .collect::<io::Result<Vec<_>>>()
    };
    let mut mounts: Vec<Mount> =
        private_directories().into_iter().map(|path| Mount { path, kind: MountKind::Private }).collect();
    mounts.extend(all(&paths.hidden, &|_| Ok(MountKind::Hidden))?);
    mounts.extend(all(&paths.private, &|_| Ok(MountKind::Private))?);
    for path in system_paths() {
        // On NixOS it is a link.
        let real = fs::canonicalize(&path)?;
        let kind = match real == path {
            true => MountKind::Readable(Inode::of_path(&path)?),
            false => MountKind::Link(real),
        };
        mounts.push(Mount { path, kind });
    }
    mounts.extend(all(&paths.readable, &|path| Ok(MountKind::Readable(Inode::of(path)?)))?);
    mounts.extend(all(&paths.copied, &|path| Ok(MountKind::Copied(Inode::of(path)?)))?);
    mounts.extend(all(&paths.writable, &|path| Ok(MountKind::Writable(Inode::of(path)?)))?);
    mounts.extend(
        paths.links.iter().map(|(path, target)| Mount { path: path.clone(), kind: MountKind::Link(target.clone()) }),
    );
    // A stable sort: of two equal paths the later one applies.
    mounts.sort_by_key(Mount::depth);
    mounts.extend(visible_sockets(paths).into_iter().map(|path| Mount { path, kind: MountKind::Masked }));
    let has_own_network = matches!(sandbox.network, Network::Own { .. });
    let tasks = limits.tasks.saturating_mul(TASKS_FACTOR);
    Ok(Namespaces { has_own_network, mounts, memory: limits.memory, tasks })
}

/// The directories that landlock lets the program write.
pub(super) fn writable(paths: &ResolvedPaths) -> Vec<PathBuf> {
    let named = paths.writable.iter().chain(&paths.copied).chain(&paths.private).map(|path| path.path.clone());
    named.chain(private_directories()).chain([PathBuf::from("/dev/shm")]).collect()
}

impl Inode {
    fn of(path: &ResolvedPath) -> io::Result<Self> {
        let found = fstat(&path.fd)?;
        Ok(Self { device: found.st_dev, number: found.st_ino })
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), number: found.ino() })
    }
}
