//! The calls of the kernel that mount by descriptors (Linux 5.12 or newer), so that no path is looked up twice.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

const OPEN_TREE: libc::c_long = 428;
const MOVE_MOUNT: libc::c_long = 429;
const FSOPEN: libc::c_long = 430;
const FSCONFIG: libc::c_long = 431;
const FSMOUNT: libc::c_long = 432;
const OPENAT2: libc::c_long = 437;
const MOUNT_SETATTR: libc::c_long = 442;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;

/// Attributes of mounts (`linux/mount.h`).
pub(super) const RDONLY: u64 = 0x1;
pub(super) const NOSUID: u64 = 0x2;
pub(super) const NODEV: u64 = 0x4;
pub(super) const NOEXEC: u64 = 0x8;

/// Opens an absolute path without links, for use as a mount.
pub(super) fn open_real(path: &Path) -> io::Result<OwnedFd> {
    openat2(libc::AT_FDCWD, path, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
}

/// Opens a path below a directory, for use as a mount point.
pub(super) fn open_below(directory: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    openat2(directory.as_raw_fd(), path, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
}

fn openat2(directory: libc::c_int, path: &Path, resolve: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let path = c_string(path)?;
    let flags = u64::from((libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW).unsigned_abs());
    let how = How { flags, mode: 0, resolve };
    // SAFETY: the path ends with a zero byte, and the structure has the size that the call gets.
    descriptor(unsafe { libc::syscall(OPENAT2, directory, path.as_ptr(), &raw const how, size_of::<How>()) })
}

/// Copies the mounts at a file or directory, and those below it. The copy is attached nowhere yet.
pub(super) fn clone_tree(at: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.unsigned_abs() | AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: the path is static and empty.
    descriptor(unsafe { libc::syscall(OPEN_TREE, at.as_raw_fd(), c"".as_ptr(), flags) })
}

const AT_EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH.unsigned_abs();

/// Adds attributes to a mount, or to those below it, too. A recursive change also makes them private.
pub(super) fn restrict(mount: &OwnedFd, attributes: u64, recursive: bool) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let propagation = if recursive { libc::MS_PRIVATE } else { 0 };
    let attributes = Attributes { set: attributes, clear: 0, propagation, userns_fd: 0 };
    let flags = if recursive { AT_EMPTY_PATH | AT_RECURSIVE } else { AT_EMPTY_PATH };
    let (attributes, size) = (&raw const attributes, size_of::<Attributes>());
    // SAFETY: the path is static and empty, and the structure has the size that the call gets.
    let status = unsafe { libc::syscall(MOUNT_SETATTR, mount.as_raw_fd(), c"".as_ptr(), flags, attributes, size) };
    Errno::result(status)?;
    Ok(())
}

/// Makes a mount visible at an open directory or file.
pub(super) fn attach(mount: &OwnedFd, at: &OwnedFd) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to) = (mount.as_raw_fd(), at.as_raw_fd());
    // SAFETY: the paths are static and empty.
    let status = unsafe { libc::syscall(MOVE_MOUNT, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    Errno::result(status)?;
    Ok(())
}

/// Creates a file system that is attached nowhere yet.
pub(super) fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> io::Result<OwnedFd> {
    new_mount_with(kind, options, &[], attributes)
}

/// Creates an overlay (Linux 5.11 or newer without rights outside, with its layer in memory 6.6).
pub(super) fn new_overlay(options: &[(&CStr, &CStr)], attributes: u64) -> io::Result<OwnedFd> {
    new_mount_with(c"overlay", options, &[c"userxattr"], attributes)
}

/// Takes an attached mount away.
pub(super) fn detach(mount: &OwnedFd) -> io::Result<()> {
    let path = c_string(Path::new(&format!("/proc/self/fd/{}", mount.as_raw_fd())))?;
    // SAFETY: the path ends with a zero byte.
    Errno::result(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) })?;
    Ok(())
}

fn new_mount_with(kind: &CStr, options: &[(&CStr, &CStr)], flags: &[&CStr], attributes: u64) -> io::Result<OwnedFd> {
    // SAFETY: all texts end with a zero byte.
    unsafe {
        let context = descriptor(libc::syscall(FSOPEN, kind.as_ptr(), FSOPEN_CLOEXEC))?;
        let configure = |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            Errno::result(libc::syscall(FSCONFIG, context.as_raw_fd(), command, key, value, 0))
        };
        for (key, value) in options {
            configure(FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())?;
        }
        for flag in flags {
            configure(FSCONFIG_SET_FLAG, flag.as_ptr(), std::ptr::null())?;
        }
        configure(FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())?;
        descriptor(libc::syscall(FSMOUNT, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes))
    }
}

/// Makes a mount the root of this process, and drops the old root.
pub(super) fn enter_root(root: impl AsFd) -> io::Result<()> {
    // SAFETY: the paths are static.
    unsafe {
        Errno::result(libc::fchdir(root.as_fd().as_raw_fd()))?;
        // Both paths are the same: the old root is stacked onto the new one, and taken away at once.
        Errno::result(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        Errno::result(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        Errno::result(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}

fn descriptor(answer: libc::c_long) -> io::Result<OwnedFd> {
    let fd = Errno::result(answer)?;
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}
