//! The repairs that can do no harm. None removes a worktree, a mirror or anything else with work in it, and none touches
//! what is not kugetsu's: an agent's own database least of all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_process::{Marker, sweep};

use super::check::Fix;
use crate::daemon::{lock, unit};

/// Makes the repair, and says what it did.
///
/// # Errors
/// Why it could not be made, in words.
pub(crate) async fn make(home: &Home, fix: &Fix) -> Result<String, String> {
    let words = |error: io::Error| error.to_string();
    match fix {
        Fix::Private(path) => private(path).map(|()| "only you can read it now".to_owned()).map_err(words),
        Fix::Home => home.create().map(|()| "made what was missing".to_owned()).map_err(|error| error.to_string()),
        Fix::Socket(socket) => {
            // One that a daemon has begun to listen on meanwhile stays.
            if lock::is_held(home).map_err(words)? {
                return Err("a daemon has just started".to_owned());
            }
            fs::remove_file(socket).map(|()| "removed the socket".to_owned()).map_err(words)
        }
        Fix::Processes(runs) => {
            let mut ended = 0;
            for run in runs {
                let marker = Marker::new(run.to_string()).map_err(|error| error.to_string())?;
                let swept = sweep(&marker).await.map_err(words)?;
                if !swept.survivors.is_empty() {
                    return Err(format!("these would not end: {:?}", swept.survivors));
                }
                ended += swept.signalled;
            }
            Ok(format!("ended {ended} processes"))
        }
        Fix::Runs(runs) => {
            for run in runs {
                let run = home.run(*run);
                let said = |error| format!("{} could not be removed: {error}", run.path().display());
                kugetsu_api::discard::discard_run(&run).await.map_err(said)?;
            }
            Ok(format!("removed {} directories of runs", runs.len()))
        }
        Fix::Reload => unit::systemctl(&["daemon-reload"]).await.map(|_| "systemd has read its units again".to_owned()),
    }
}

/// What a link points to is somebody else's.
fn private(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Err(io::Error::other("it is a link; change what it points to yourself"));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(found.permissions().mode() & 0o700))
}
