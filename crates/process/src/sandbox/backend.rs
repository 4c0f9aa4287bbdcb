//! The means by which the kernel keeps a cage shut.

use std::fmt;

/// By what means a cage is kept shut.
///
/// Both keep files from being written, and neither lets a process open a unix socket, trace a process, mount, use a
/// ring of the kernel's (io_uring), or gain rights by a setuid program; root is no more in it than the owner of root's
/// files. Both have no room for 32-bit programs on a 64-bit system, nor for unix sockets between caged programs;
/// pairs of connected ones work. Neither keeps a file that can be read from being locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The program `bwrap`: file systems mounted read-only in a mount namespace, a process table of its own, and a
    /// seccomp filter. The stronger one: `/tmp`, `/run`, `/dev/shm` and terminals are private, other processes are not
    /// even seen. The process that is started is bwrap itself, which ends as the program ended; a program killed by
    /// signal n shows as exit status 128 + n, and bwrap obeys SIGTERM at once, while its program takes its time.
    Bubblewrap,
    /// The security module landlock (Linux 6.2 or newer) and a seccomp filter, without any program installed.
    ///
    /// - Permission bits, owners and times of files cannot be changed, in writable directories neither: the calls
    ///   succeed and do nothing (extended attributes are "not supported"). So that files of a caged program are not
    ///   open to others, its umask is 077. What it makes executable afterwards is not.
    /// - `/tmp` and `/dev/shm` are not writable, no terminal can be made: `TMPDIR` must be a writable directory.
    /// - Names below hidden directories can be listed, contents are not readable. Neither is what is put beside a
    ///   hidden directory, or beside one of its parents, after the start.
    /// - Before Linux 6.12 processes of the same user outside can be sent signals. Their priority can be lowered on any version.
    Landlock,
}

impl Backend {
    /// From the strongest to the weakest.
    pub const ALL: [Self; 2] = [Self::Bubblewrap, Self::Landlock];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock and seccomp",
        })
    }
}

/// No means to keep a cage shut was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no read-only cage can be had here: {}. {repair}", .tried.iter().map(|(means, why)| format!("{means}: {why}")).collect::<Vec<_>>().join("; "))]
pub struct NoBackend {
    /// Each means with what became of the try, in words.
    pub tried: Vec<(Backend, String)>,
    /// What to do about it, as sentences.
    pub repair: String,
}

#[cfg(test)]
mod tests {
    use super::{Backend, NoBackend};

    #[test]
    fn who_has_no_cage_is_told_what_was_tried_and_what_to_do() {
        let tried = vec![(Backend::Bubblewrap, "not there".to_owned()), (Backend::Landlock, "old".to_owned())];
        let told = NoBackend { tried, repair: "Install it.".to_owned() }.to_string();
        let wanted = "no read-only cage can be had here: bubblewrap: not there; landlock and seccomp: old. Install it.";
        assert_eq!(told, wanted);
    }
}
