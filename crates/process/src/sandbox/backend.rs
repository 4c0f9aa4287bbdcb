//! How the kernel enforces a sandbox.

use std::fmt;

/// How the kernel enforces a sandbox.
///
/// All keep files from being written. None lets a process open a unix socket of another program, trace a process, mount, create a
/// namespace, use io_uring, or gain privileges by a setuid program; root has no more rights than the owner of root's files. All reject
/// 32-bit programs on a 64-bit system. None prevents a readable file from being locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Namespaces for users, mounts, processes and IPC that the helper creates, a seccomp filter, and landlock as a second layer (Linux
    /// 5.12 or newer). Needs no program.
    ///
    /// `/tmp`, `/run`, `/dev/shm` and terminals are private, and other processes are invisible. The process that is started is the
    /// helper, which exits with the status of its program; a program killed by signal n shows as exit status 128 + n.
    Namespaces,
    /// The same by the program `bwrap`. Copied directories cannot be written.
    ///
    /// `/tmp`, `/run`, `/dev/shm` and terminals are private, and other processes are invisible. The
    /// process that is started is bwrap, which exits with the status of its program; a program killed by signal n shows as
    /// exit status 128 + n. bwrap itself ends at once on SIGTERM, while its program may take its time.
    Bubblewrap,
    /// The security module landlock (Linux 6.2 or newer) and a seccomp filter. Needs no program.
    ///
    /// - Permission bits, owners and times of files cannot be changed, not even in writable directories: the calls
    ///   succeed without effect (for extended attributes they fail as unsupported). To keep files of a sandboxed program
    ///   private, its umask is 077. A file that it makes executable later is not changed.
    /// - `/tmp` and `/dev/shm` are not writable and no terminal can be created, so `TMPDIR` must be a writable directory.
    /// - No unix socket can be opened, not even among sandboxed programs; connected pairs of streams work.
    /// - Private directories are hidden instead, copied ones cannot be written, and there are no links.
    /// - Below hidden directories, names can be listed but contents cannot be read. The same goes for files that are
    ///   created beside a hidden directory, or beside one of its parents, after the start.
    /// - Before Linux 6.12, processes of the same user outside can be sent signals. In any version their priority can be
    ///   lowered.
    Landlock,
}

impl Backend {
    /// From the strongest to the weakest.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Bubblewrap, Self::Landlock];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock and seccomp",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no sandbox is available: {}", .tried.iter().map(|(backend, why)| format!("{backend}: {why}")).collect::<Vec<_>>().join("; "))]
pub struct NoBackend {
    /// Each backend with the reason why it does not work.
    pub tried: Vec<(Backend, String)>,
    pub(super) hint: String,
}

impl NoBackend {
    pub fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, NoBackend};

    #[test]
    fn no_backend_names_each_reason() {
        let tried = vec![(Backend::Bubblewrap, "not there".to_owned()), (Backend::Landlock, "too old".to_owned())];
        let error = NoBackend { tried, hint: "install it".to_owned() };
        assert_eq!(error.to_string(), "no sandbox is available: bubblewrap: not there; landlock and seccomp: too old");
        assert_eq!(error.hint().as_deref(), Some("install it"));
    }
}
