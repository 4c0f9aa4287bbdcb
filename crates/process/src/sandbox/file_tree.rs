//! Builds the file system that a program in a sandbox sees.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};

use super::mount_calls::{
    NODEV, NOEXEC, NOSUID, RDONLY, attach, c_string, clone_tree, detach, enter_root, new_mount, new_overlay,
    open_below, open_real, restrict,
};
use super::plan::{Inode, Mount, MountKind};

/// The devices of the program. They are those of the machine.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`, with their targets.
const LINKS: [(&CStr, &CStr); 6] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"core", c"/proc/kcore"),
    (c"ptmx", c"pts/ptmx"),
];
/// Directories in which every user may create files.
const SHARED: [&str; 2] = ["/tmp", "/var/tmp"];

/// Replaces the root of this process, which must have a mount namespace with all rights in it: everything can be read as before and
/// not be written, apart from `mounts`, and from `/proc` and `/dev`, which are new. Each directory in memory takes at most
/// `memory` bytes, unless that is 0.
///
/// # Errors
/// The mount that failed, with the kernel's reason.
pub(super) fn enter(mounts: &[Mount], memory: u64) -> io::Result<()> {
    let mut tree = Tree::new(memory)?;
    tree.mount_processes().map_err(|error| named("/proc", &error))?;
    tree.mount_devices().map_err(|error| named("/dev", &error))?;
    for mount in mounts {
        tree.mount(mount).map_err(|error| named(&mount.path.to_string_lossy(), &error))?;
    }
    tree.finish()
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("could not mount {path}: {error}"))
}

struct Tree {
    root: OwnedFd,
    /// Those that are made read-only at the end: until then, mount points are created in them.
    closed: Vec<OwnedFd>,
    /// Largest size of a directory in memory, in bytes.
    size: Option<CString>,
}

impl Tree {
    fn new(memory: u64) -> io::Result<Self> {
        let old = open_real(Path::new("/"))?;
        let root = clone_tree(&old)?;
        // Devices that are not in /dev are not meant either.
        restrict(&root, RDONLY | NOSUID | NODEV, true)?;
        // Over the old root: any directory would do, and this one always exists.
        attach(&root, &old)?;
        let size = (memory > 0).then(|| c_string(Path::new(&memory.to_string()))).transpose()?;
        Ok(Self { root, closed: Vec::new(), size })
    }

    fn mount_processes(&mut self) -> io::Result<()> {
        let mount = new_mount(c"proc", &[], RDONLY | NOSUID | NODEV | NOEXEC)?;
        attach(&mount, &self.open(Path::new("/proc"))?)
    }

    fn mount_devices(&mut self) -> io::Result<()> {
        let devices = self.memory(c"0755", NOSUID)?;
        attach(&devices, &self.open(Path::new("/dev"))?)?;
        for name in DEVICES {
            let Ok(device) = open_real(&Path::new("/dev").join(name)) else { continue };
            let point = self.point(&Path::new("/dev").join(name), false)?;
            attach(&same_device(&device)?, &point)?;
        }
        let terminals = new_mount(c"devpts", &[(c"ptmxmode", c"0666"), (c"mode", c"0620")], NOSUID | NOEXEC)?;
        attach(&terminals, &self.point(Path::new("/dev/pts"), true)?)?;
        attach(&self.memory(c"1777", NOSUID | NODEV)?, &self.point(Path::new("/dev/shm"), true)?)?;
        for (name, target) in LINKS {
            // SAFETY: both are static and end with a zero byte.
            Errno::result(unsafe { libc::symlinkat(target.as_ptr(), devices.as_raw_fd(), name.as_ptr()) })?;
        }
        self.closed.push(devices);
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> io::Result<()> {
        let (path, attributes) = (mount.path.as_path(), NOSUID | NODEV);
        match &mount.kind {
            MountKind::Private | MountKind::Hidden => {
                let is_shared = SHARED.iter().any(|shared| path == Path::new(shared));
                let empty = self.memory(if is_shared { c"1777" } else { c"0755" }, attributes)?;
                attach(&empty, &self.point(path, true)?)?;
                if matches!(mount.kind, MountKind::Hidden) {
                    self.closed.push(empty);
                }
                Ok(())
            }
            MountKind::Readable(inode) => self.show(path, *inode, attributes | RDONLY),
            MountKind::Writable(inode) => self.show(path, *inode, attributes),
            MountKind::Copied(inode) => match self.copy(path, *inode) {
                // Not every kernel allows it, or not on this file system.
                Err(_) => self.show(path, *inode, attributes | RDONLY),
                copied => copied,
            },
            MountKind::Link(target) => self.link(path, target),
            MountKind::Masked => {
                let nothing = same_device(&open_real(Path::new("/dev/null"))?)?;
                match self.open(path) {
                    // A socket whose program has ended.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    found => attach(&nothing, &found?),
                }
            }
        }
    }

    /// Shows a directory with a layer above it, in memory, that takes what is written.
    fn copy(&self, path: &Path, inode: Inode) -> io::Result<()> {
        let (source, is_directory) = open_same(path, inode)?;
        if !is_directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let layer = self.memory(c"0700", NOSUID | NODEV)?;
        let mut options = vec![(c"lowerdir".to_owned(), below(&source, "")?)];
        for name in [c"upperdir", c"workdir"] {
            // SAFETY: the name ends with a zero byte.
            Errno::result(unsafe { libc::mkdirat(layer.as_raw_fd(), name.as_ptr(), 0o700) })?;
            options.push((name.to_owned(), below(&layer, &name.to_string_lossy())?));
        }
        // The layer has to be somewhere. The copy hides it.
        let point = self.point(path, true)?;
        attach(&layer, &point)?;
        let options: Vec<_> = options.iter().map(|(key, value)| (key.as_c_str(), value.as_c_str())).collect();
        let copy = match new_overlay(&options, NOSUID | NODEV) {
            Ok(copy) => copy,
            Err(error) => {
                detach(&layer)?;
                return Err(error);
            }
        };
        attach(&copy, &self.open(path)?)
    }

    fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (parent, name, target) = (self.point(parent, true)?, c_string(Path::new(name))?, c_string(target)?);
        // SAFETY: both texts end with a zero byte.
        match Errno::result(unsafe { libc::symlinkat(target.as_ptr(), parent.as_raw_fd(), name.as_ptr()) }) {
            // Its directory is shown, and the link with it.
            Err(Errno::EEXIST) => Ok(()),
            made => Ok(made.map(drop)?),
        }
    }

    fn show(&self, path: &Path, inode: Inode, attributes: u64) -> io::Result<()> {
        let (source, is_directory) = open_same(path, inode)?;
        let mount = clone_tree(&source)?;
        restrict(&mount, attributes, true)?;
        attach(&mount, &self.point(path, is_directory)?)
    }

    fn memory(&self, mode: &CStr, attributes: u64) -> io::Result<OwnedFd> {
        let size = self.size.as_deref().map(|size| (c"size", size));
        let options: Vec<_> = [Some((c"mode", mode)), size].into_iter().flatten().collect();
        new_mount(c"tmpfs", &options, attributes)
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        open_below(self.root.as_fd(), relative(path))
    }

    /// Opens a path in the new file system, and creates it first if it is in an empty directory.
    fn point(&self, path: &Path, is_directory: bool) -> io::Result<OwnedFd> {
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let parent = self.point(parent, true)?;
        let name = c_string(Path::new(name))?;
        let (parent, name) = (parent.as_raw_fd(), name.as_ptr());
        // SAFETY: the name ends with a zero byte.
        unsafe {
            match is_directory {
                true => Errno::result(libc::mkdirat(parent, name, 0o755))?,
                false => Errno::result(libc::mknodat(parent, name, libc::S_IFREG | 0o600, 0))?,
            };
        }
        self.open(path)
    }

    fn finish(self) -> io::Result<()> {
        for mount in &self.closed {
            restrict(mount, RDONLY, false)?;
        }
        enter_root(&self.root)?;
        // Nothing outside is left to follow.
        fs::metadata("/proc/self").map(drop)
    }
}

/// A device that can be used, while its permissions cannot be changed.
fn same_device(device: &OwnedFd) -> io::Result<OwnedFd> {
    let mount = clone_tree(device)?;
    restrict(&mount, RDONLY | NOSUID | NOEXEC, false)?;
    Ok(mount)
}

/// Opens a path if it is still the same file or directory. Returns whether it is a directory, too.
fn open_same(path: &Path, inode: Inode) -> io::Result<(OwnedFd, bool)> {
    let source = open_real(path)?;
    let found = fstat(&source)?;
    if (found.st_dev, found.st_ino) != (inode.device, inode.number) {
        return Err(io::Error::other("it was replaced"));
    }
    let is_directory = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    Ok((source, is_directory))
}

/// A path below an open directory, without characters that mean something in options of mounts.
fn below(directory: &OwnedFd, name: &str) -> io::Result<CString> {
    c_string(Path::new(&format!("/proc/self/fd/{}/{name}", directory.as_raw_fd())))
}

fn relative(path: &Path) -> &Path {
    match path.strip_prefix("/") {
        Ok(relative) if relative.as_os_str().is_empty() => Path::new("."),
        Ok(relative) => relative,
        Err(_) => path,
    }
}
