//! The program of this process.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// How Linux marks the path of a program whose file was deleted or replaced (proc(5)).
const DELETED: &[u8] = b" (deleted)";

/// Returns the path of this program, as others can start it. After an upgrade that is the new program.
pub fn path() -> io::Result<PathBuf> {
    Ok(without_mark(std::env::current_exe()?.into_os_string()).into())
}

fn without_mark(path: OsString) -> OsString {
    let plain = path.as_bytes().strip_suffix(DELETED).map(ToOwned::to_owned);
    match plain {
        Some(plain) if !PathBuf::from(&path).exists() => OsString::from_vec(plain),
        _ => path,
    }
}

/// Returns what starts exactly this program, also after its file was replaced: a daemon must start runners of
/// the same version.
pub fn same() -> io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && own.symlink_metadata().is_ok() { Ok(own) } else { path() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_a_replaced_program_is_removed() {
        assert_eq!(without_mark("/bin/missing (deleted)".into()), "/bin/missing");
        assert_eq!(without_mark("/bin/missing".into()), "/bin/missing");
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("x (deleted)");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(without_mark(odd.clone().into()), odd.into_os_string());
    }
}
