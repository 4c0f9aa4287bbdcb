//! The repairs of `kugetsu doctor --fix`. None removes a worktree, a mirror or anything else that may contain work, and
//! none touches files of other programs, such as an agent's own database.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_engine::moved_home::marker;
use kugetsu_process::sweep;

use super::check::Fix;
use crate::daemon::{lock, start, unit};

/// Makes a repair and returns a description of what it did, or why it failed.
pub(crate) async fn apply(home: &Home, fix: &Fix) -> Result<String, String> {
    let message = |error: io::Error| error.to_string();
    match fix {
        Fix::Private(path) => make_private(path).map(|()| "now only you can read it".to_owned()).map_err(message),
        Fix::Home => home.create().map(|()| "created what was missing".to_owned()).map_err(|error| error.to_string()),
        Fix::Start => match start::start(home).await {
            Ok(_) => Ok("started the daemon, which corrects the paths".to_owned()),
            Err(failure) => Err(failure.message),
        },
        Fix::Socket(socket) => {
            // A daemon may have started to listen on it since the check.
            if lock::is_held(home).map_err(message)? {
                return Err("a daemon has just started".to_owned());
            }
            fs::remove_file(socket).map(|()| "removed the socket".to_owned()).map_err(message)
        }
        Fix::Processes(runs) => {
            let mut ended = 0;
            for run in runs {
                let marker = marker(home, &run.to_string()).map_err(|error| error.to_string())?;
                let swept = sweep(&marker).await.map_err(message)?;
                if !swept.survivors.is_empty() {
                    return Err(format!("could not kill the processes {:?}", swept.survivors));
                }
                ended += swept.signaled;
            }
            Ok(format!("leftover processes killed: {ended}"))
        }
        Fix::Reload => unit::systemctl(&["daemon-reload"]).await.map(|_| "systemd has reloaded its units".to_owned()),
    }
}

/// Removes the permissions of group and others. A link is refused, because its target may belong to another program.
fn make_private(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(io::Error::other("it is a symbolic link; change the permissions of its target yourself"));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() & 0o700))
}
