//! The input of the helper, which becomes the sandboxed program. It is a file in memory.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The helper's whole input apart from its environment, which is the program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Built first; `None` if another program has done that.
    pub(super) namespaces: Option<Namespaces>,
    /// Directories that landlock lets the program write. `None` where landlock is not to be used.
    pub(super) writable: Option<Vec<PathBuf>>,
    /// Compiled filters for system calls, in this order.
    pub(super) filters: Vec<Vec<u8>>,
    /// Ports of the loopback interface on which the helper listens. The listeners are passed out.
    pub(super) listeners: Vec<u16>,
    pub(super) cwd: PathBuf,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespaces {
    /// Whether the program gets its own network.
    pub(super) has_own_network: bool,
    /// In this order. A later one is mounted over an earlier one.
    pub(super) mounts: Vec<Mount>,
    /// Largest size of each directory in memory, in bytes. 0 is that of the kernel: half of the machine's memory.
    pub(super) memory: u64,
    /// Largest number of processes and threads inside. 0 is no limit. Root has none.
    pub(super) tasks: u64,
}

/// A change of the file system that the program sees. Without one, everything is as outside but cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Absolute and without links.
    pub(super) path: PathBuf,
    pub(super) kind: MountKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountKind {
    /// An empty directory that can be written, in memory.
    Private,
    /// An empty directory that cannot be written.
    Hidden,
    /// The same file or directory, as outside. Only this inode, so that nothing else at its path is shown.
    Readable(Inode),
    Writable(Inode),
    /// The same directory, whose changes are kept in memory. Where the kernel cannot do that, it is readable only.
    Copied(Inode),
    /// A symbolic link to this path.
    Link(PathBuf),
    /// A file that is replaced by `/dev/null`.
    Masked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

impl Plan {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::new());
        writer.number(u64::from(self.namespaces.is_some()));
        if let Some(namespaces) = &self.namespaces {
            for number in [u64::from(namespaces.has_own_network), namespaces.memory, namespaces.tasks] {
                writer.number(number);
            }
            writer.number(namespaces.mounts.len() as u64);
            for mount in &namespaces.mounts {
                writer.text(mount.path.as_os_str());
                match &mount.kind {
                    MountKind::Private => writer.number(0),
                    MountKind::Hidden => writer.number(1),
                    MountKind::Readable(inode) => writer.inode(2, *inode),
                    MountKind::Writable(inode) => writer.inode(3, *inode),
                    MountKind::Copied(inode) => writer.inode(4, *inode),
                    MountKind::Masked => writer.number(5),
                    MountKind::Link(target) => {
                        writer.number(6);
                        writer.text(target.as_os_str());
                    }
                }
            }
        }
        writer.number(u64::from(self.writable.is_some()));
        writer.texts(self.writable.iter().flatten().map(|path| path.as_os_str()));
        writer.number(self.filters.len() as u64);
        for filter in &self.filters {
            writer.bytes(filter);
        }
        writer.number(self.listeners.len() as u64);
        for port in &self.listeners {
            writer.number(u64::from(*port));
        }
        writer.text(self.cwd.as_os_str());
        writer.text(&self.program);
        writer.texts(self.args.iter().map(OsString::as_os_str));
        writer.0
    }

    /// # Errors
    /// The bytes are not those of [`to_bytes`](Self::to_bytes).
    pub(super) fn read(input: impl Read) -> io::Result<Self> {
        let mut reader = Reader(input);
        let namespaces = match reader.flag()? {
            true => Some(reader.namespaces()?),
            false => None,
        };
        let is_restricted = reader.flag()?;
        let writable = reader.texts()?.into_iter().map(PathBuf::from).collect();
        Ok(Self {
            namespaces,
            writable: is_restricted.then_some(writable),
            filters: reader.filters()?,
            listeners: reader.ports()?,
            cwd: reader.text()?.into(),
            program: reader.text()?,
            args: reader.texts()?,
        })
    }
}

impl Mount {
    pub(super) fn depth(&self) -> usize {
        depth(&self.path)
    }
}

/// The number of a path's components.
pub(super) fn depth(path: &Path) -> usize {
    path.components().count()
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn inode(&mut self, kind: u64, Inode { device, number }: Inode) {
        for number in [kind, device, number] {
            self.number(number);
        }
    }

    fn text(&mut self, text: &OsStr) {
        self.bytes(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a OsStr>) {
        let texts: Vec<_> = texts.collect();
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }
}

struct Reader<R>(R);

impl<R: Read> Reader<R> {
    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn flag(&mut self) -> io::Result<bool> {
        Ok(self.number()? != 0)
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn text(&mut self) -> io::Result<OsString> {
        Ok(OsString::from_vec(self.bytes()?))
    }

    fn texts(&mut self) -> io::Result<Vec<OsString>> {
        (0..self.number()?).map(|_| self.text()).collect()
    }

    fn filters(&mut self) -> io::Result<Vec<Vec<u8>>> {
        (0..self.number()?).map(|_| self.bytes()).collect()
    }

    fn ports(&mut self) -> io::Result<Vec<u16>> {
        (0..self.number()?).map(|_| u16::try_from(self.number()?).map_err(invalid)).collect()
    }

    fn namespaces(&mut self) -> io::Result<Namespaces> {
        let (has_own_network, memory, tasks) = (self.flag()?, self.number()?, self.number()?);
        let mounts = (0..self.number()?).map(|_| self.mount()).collect::<io::Result<_>>()?;
        Ok(Namespaces { has_own_network, mounts, memory, tasks })
    }

    fn mount(&mut self) -> io::Result<Mount> {
        let path = self.text()?.into();
        let kind = match self.number()? {
            0 => MountKind::Private,
            1 => MountKind::Hidden,
            2 => MountKind::Readable(self.inode()?),
            3 => MountKind::Writable(self.inode()?),
            4 => MountKind::Copied(self.inode()?),
            5 => MountKind::Masked,
            6 => MountKind::Link(self.text()?.into()),
            kind => return Err(invalid(format!("there is no mount of kind {kind}"))),
        };
        Ok(Mount { path, kind })
    }

    fn inode(&mut self) -> io::Result<Inode> {
        Ok(Inode { device: self.number()?, number: self.number()? })
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_is_read_as_it_was_written() {
        let inode = Inode { device: 7, number: u64::MAX };
        let kinds = [
            MountKind::Private,
            MountKind::Hidden,
            MountKind::Readable(inode),
            MountKind::Writable(inode),
            MountKind::Copied(inode),
            MountKind::Link("/t".into()),
            MountKind::Masked,
        ];
        let mounts = kinds.map(|kind| Mount { path: "/a b/\u{1}".into(), kind }).to_vec();
        let plan = Plan {
            namespaces: Some(Namespaces { has_own_network: true, mounts, memory: 7, tasks: 9 }),
            writable: Some(vec!["/w".into()]),
            filters: vec![vec![1, 2, 3], Vec::new()],
            listeners: vec![80, u16::MAX],
            cwd: "/w".into(),
            program: OsString::from_vec(vec![0xff, b'x']),
            args: vec!["".into(), "-c".into()],
        };
        let bytes = plan.to_bytes();
        assert_eq!(Plan::read(bytes.as_slice()).unwrap(), plan);
        for cut in 0..bytes.len() {
            Plan::read(&bytes[..cut]).unwrap_err();
        }
        let bare = Plan { namespaces: None, writable: None, ..plan };
        assert_eq!(Plan::read(bare.to_bytes().as_slice()).unwrap(), bare);
    }
}
