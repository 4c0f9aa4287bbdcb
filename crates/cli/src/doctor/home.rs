//! The home: whether it is writable and private, the space on its disk, and what the shell script left in it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_api::location;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::check::{Check, Fix};
use crate::atomic::is_full;
use crate::connect;
use crate::format::size;
use crate::setup::SCRIPT_FILES;

/// Free space at which a check becomes a warning, and at which it becomes bad.
struct Thresholds {
    warning: u64,
    bad: u64,
}

/// In bytes. With less than 2 GiB the mirror or worktree of an ordinary repository may not fit; with less than 200 MiB
/// even the transcripts may not.
const BYTES: Thresholds = Thresholds { warning: 2 << 30, bad: 200 << 20 };
/// In inodes. The worktree of an ordinary repository may need 50,000.
const INODES: Thresholds = Thresholds { warning: 50_000, bad: 1000 };

const CHECK: &str = "home.place";
const ELSEWHERE: &str = "set KUGETSU_HOME to a writable directory";
const FREE_SPACE: &str =
    "remove what is old: `kugetsu gc --dry-run`, then `kugetsu gc`; remove finished issues: `kugetsu destroy --merged`";

pub(crate) fn checks(home: &Home) -> Vec<Check> {
    let mut checks = access_checks(home);
    checks.extend(space_checks(home));
    checks
}

fn access_checks(home: &Home) -> Vec<Check> {
    let (id, path) = (CHECK, home.path());
    let shown = path.display().to_string();
    let repair = ELSEWHERE;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = existing(path);
            return vec![if access(above, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() {
                Check::ok(id, shown, "it does not exist yet; the first command that needs it creates it")
                    .with_fix(Fix::Home)
            } else {
                Check::bad(id, shown, format!("could not create it: {} is not writable", above.display()), repair)
            }];
        }
        Err(error) => return vec![Check::bad(id, shown, error.to_string(), repair)],
    };
    if !metadata.is_dir() {
        return vec![Check::bad(id, shown, "it is not a directory", repair)];
    }
    let mut checks = vec![match home.probe() {
        Err(error) => unwritable(&shown, &error),
        Ok(()) => match home.missing() {
            missing if missing.is_empty() => Check::ok(id, shown.clone(), "it is writable"),
            missing => {
                let names: Vec<String> = missing.iter().map(|path| path.display().to_string()).collect();
                let message = format!("missing: {}; the daemon creates it when it starts", names.join(" "));
                Check::warning(id, shown.clone(), message, "kugetsu doctor --fix").with_fix(Fix::Home)
            }
        },
    }];
    checks.extend(moved_check(home));
    let mode = metadata.permissions().mode() & 0o777;
    checks.push(if mode & 0o077 == 0 {
        Check::ok("home.private", shown, "only you can read it")
    } else {
        let message = format!("others can read it (mode {mode:o})");
        Check::warning("home.private", &shown, message, format!("chmod 700 {shown}"))
            .with_fix(Fix::Private(path.to_owned()))
    });
    checks
}

fn unwritable(shown: &str, error: &io::Error) -> Check {
    let (message, repair) = match is_full(error) {
        true => (format!("its disk is full: {error}"), FREE_SPACE),
        false => (format!("it is not writable: {error}"), ELSEWHERE),
    };
    Check::bad(CHECK, shown, message, repair)
}

/// Whether the home is where its last daemon found it. `None` if none has run yet.
fn moved_check(home: &Home) -> Option<Check> {
    let (id, shown) = ("home.moved", home.path().display().to_string());
    let earlier = location::LocationRecord::read(home).and_then(|record| match record {
        Some(_) => location::earlier_path(home).map(Some),
        None => Ok(None),
    });
    let earlier = match earlier {
        Ok(Some(Some(earlier))) => earlier,
        Ok(Some(None)) => return Some(Check::ok(id, shown, "its daemon knows this path")),
        Ok(None) => return None,
        Err(error) => {
            let file = home.location();
            let message = format!("could not read {}, so it may be a copy: {error}", file.display());
            let repair = format!("make {} a file that you can read, or an empty one", file.display());
            return Some(Check::bad(id, shown, message, repair));
        }
    };
    let message = format!("it was moved or copied from {}", earlier.display());
    Some(match connect::refuse_moved(home) {
        Err(failure) => {
            Check::bad(id, shown, failure.message, "kugetsu daemon stop; the next command corrects the paths")
        }
        Ok(()) => {
            Check::warning(id, shown, message, "start the daemon, which corrects the paths: kugetsu daemon start")
                .with_fix(Fix::Start)
        }
    })
}

/// The closest ancestor that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|one| one.exists()).unwrap_or(path)
}

fn space_checks(home: &Home) -> Vec<Check> {
    let path = existing(home.path());
    let disk = match statvfs(path) {
        Ok(disk) => disk,
        Err(error) => return vec![Check::unknown("home.disk", path.display().to_string(), error.to_string())],
    };
    #[allow(clippy::useless_conversion, reason = "these types differ on macOS")]
    let (bytes, inodes, has_inodes) = (
        u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size())),
        u64::from(disk.files_available()),
        u64::from(disk.files()) > 0,
    );
    let mut checks = vec![space("home.disk", path, &size(bytes), bytes, &BYTES)];
    // Some file systems do not limit the number of files.
    if has_inodes {
        checks.push(space("home.files", path, &format!("{inodes} inodes"), inodes, &INODES));
    }
    checks
}

fn space(id: &'static str, path: &Path, shown: &str, free: u64, thresholds: &Thresholds) -> Check {
    let path = path.display().to_string();
    let message = format!("{shown} free");
    match free {
        free if free < thresholds.bad => Check::bad(id, path, message, FREE_SPACE),
        free if free < thresholds.warning => Check::warning(id, path, message, FREE_SPACE),
        _ => Check::ok(id, path, message),
    }
}

/// Checks for files of the shell script that preceded kugetsu. `None` if there are none.
pub(crate) fn script_check(home: &Home) -> Option<Check> {
    let id = "script";
    let shown = home.path().display().to_string();
    let left: Vec<&str> = SCRIPT_FILES.into_iter().filter(|name| home.path().join(name).exists()).collect();
    if !left.is_empty() {
        let message = format!("not imported from the shell script: {}", left.join(", "));
        let repair = "kugetsu init, which reports what it does not import and why";
        return Some(Check::warning(id, shown, message, repair));
    }
    let is_used = home.old_config().is_file();
    is_used.then(|| Check::ok(id, shown, "the config of the shell script is in use; config.toml takes precedence"))
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn full_disk_is_no_reason_for_another_home() {
        let full = unwritable("/h", &io::ErrorKind::StorageFull.into());
        assert!(full.message.contains("disk is full") && full.repair.unwrap().contains("kugetsu gc"));
        let denied = unwritable("/h", &io::ErrorKind::PermissionDenied.into());
        assert!(denied.message.contains("not writable") && denied.repair.unwrap().contains("KUGETSU_HOME"));
    }

    #[test]
    fn free_space_has_two_thresholds() {
        let state = |bytes| space("home.disk", Path::new("/h"), &size(bytes), bytes, &BYTES).state;
        assert_eq!(
            [200 << 20, (200 << 20) - 1, 2 << 30, (2 << 30) - 1].map(state),
            [State::Warning, State::Bad, State::Ok, State::Warning]
        );
        assert_eq!((size(5 << 20), size(3 << 29)), ("5 MiB".to_owned(), "1.5 GiB".to_owned()));
    }
}
