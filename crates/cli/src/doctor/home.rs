//! The home: is it there, private and writable, and is there room on its disk.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kugetsu_api::home::Home;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::check::{Check, Fix};

/// Below this a mirror or a worktree of an ordinary repository may not fit any more.
const FEW_BYTES: u64 = 2 << 30;
/// Below this not even what happened can be written down for long.
const NO_BYTES: u64 = 200 << 20;
/// A worktree of an ordinary repository has so many files.
const FEW_FILES: u64 = 50_000;
const NO_FILES: u64 = 1000;

/// Everything about the place.
pub(crate) fn checks(home: &Home) -> Vec<Check> {
    let mut checks = place(home);
    checks.extend(room(home));
    checks
}

fn place(home: &Home) -> Vec<Check> {
    let (id, path) = ("home.place", home.path());
    let shown = path.display().to_string();
    let elsewhere = "set KUGETSU_HOME to a directory that you may write";
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = existing(path);
            return vec![if access(above, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() {
                Check::ok(id, shown, "there is none yet; the first command that needs it makes it").fixed_by(Fix::Home)
            } else {
                Check::bad(id, shown, format!("it cannot be made: {} cannot be written", above.display()), elsewhere)
            }];
        }
        Err(error) => return vec![Check::bad(id, shown, error.to_string(), elsewhere)],
    };
    if !found.is_dir() {
        return vec![Check::bad(id, shown, "it is no directory", elsewhere)];
    }
    let mut checks = vec![match home.probe() {
        Err(error) => Check::bad(id, shown.clone(), format!("it cannot be written: {error}"), elsewhere),
        Ok(()) => match home.missing() {
            missing if missing.is_empty() => Check::ok(id, shown.clone(), "it can be written"),
            missing => {
                let names: Vec<String> = missing.iter().map(|path| path.display().to_string()).collect();
                let said = format!("missing: {}; the daemon makes it when it starts", names.join(" "));
                Check::warning(id, shown.clone(), said, "kugetsu doctor --fix").fixed_by(Fix::Home)
            }
        },
    }];
    let mode = found.permissions().mode() & 0o777;
    checks.push(if mode & 0o077 == 0 {
        Check::ok("home.private", shown, "only you can read it")
    } else {
        Check::warning(
            "home.private",
            &shown,
            format!("others can read it (mode {mode:o})"),
            format!("chmod 700 {shown}"),
        )
        .fixed_by(Fix::Private(path.to_owned()))
    });
    checks
}

fn existing(path: &Path) -> &Path {
    path.ancestors().find(|one| one.exists()).unwrap_or(path)
}

fn room(home: &Home) -> Vec<Check> {
    let place = existing(home.path());
    let found = match statvfs(place) {
        Ok(found) => found,
        Err(error) => return vec![Check::unknown("home.disk", place.display().to_string(), error.to_string())],
    };
    #[allow(clippy::useless_conversion, reason = "the numbers have another width on macOS")]
    let (bytes, files, has_files) = (
        u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size())),
        u64::from(found.files_available()),
        u64::from(found.files()) > 0,
    );
    let mut checks = vec![judged("home.disk", place, size(bytes), bytes, (FEW_BYTES, NO_BYTES))];
    // Some file systems count no files.
    if has_files {
        checks.push(judged("home.files", place, format!("{files} more files"), files, (FEW_FILES, NO_FILES)));
    }
    checks
}

fn judged(id: &'static str, place: &Path, room: String, left: u64, (few, none): (u64, u64)) -> Check {
    let place = place.display().to_string();
    let said = format!("there is room for {room}");
    let repair = "remove what is done: `kugetsu list`, then `kugetsu destroy <reference>`";
    match left {
        left if left < none => Check::bad(id, place, said, repair),
        left if left < few => Check::warning(id, place, said, repair),
        _ => Check::ok(id, place, said),
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        megabytes @ ..1024 => format!("{megabytes} MiB"),
        megabytes => format!("{}.{} GiB", megabytes / 1024, megabytes % 1024 * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_is_left() {
        let state = |bytes| judged("home.disk", Path::new("/h"), size(bytes), bytes, (FEW_BYTES, NO_BYTES)).state;
        assert_eq!(
            [200 << 20, (200 << 20) - 1, 2 << 30, (2 << 30) - 1].map(state),
            [State::Warning, State::Bad, State::Ok, State::Warning]
        );
        assert_eq!((size(5 << 20), size(3 << 29)), ("5 MiB".to_owned(), "1.5 GiB".to_owned()));
    }
}
