//! The daemon: does it answer, is it of this version, and does a socket lie there that nobody listens on.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::client::Client;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::status::StatusObject;

use super::check::{Check, Fix};
use crate::daemon::lock;
use crate::{connect, format, place};

const ID: &str = "daemon";
/// How long a daemon may take to begin or to end before something seems wrong with it.
const MOMENT: Duration = Duration::from_secs(5);

/// The daemon's process, if it answers, and what came of asking.
pub(crate) async fn look(home: &Home) -> (Option<u32>, Check) {
    let log = format!("see its log {}; start it anew: kugetsu daemon stop", home.log().display());
    let mut client = match connect::running(home).await {
        Ok(Some(client)) => client,
        Ok(None) => match begins_or_ends(home).await {
            Some(client) => client,
            None => return (None, not_running(home)),
        },
        Err(failure) => return (None, Check::bad(ID, "", failure.message, log)),
    };
    let status = match client.get::<StatusObject>(path::STATUS).await {
        Ok(status) => status,
        Err(error) => return (None, Check::bad(ID, "", error.to_string(), log)),
    };
    let since = format::ago(&status.started_at, Timestamp::now());
    let said = format!("version {} runs as process {}, started {since}", status.version, status.pid);
    let own = env!("CARGO_PKG_VERSION");
    let check = if status.version == own {
        Check::ok(ID, "", format!("{said}; {} running, {} queued", status.running, status.queued))
    } else {
        Check::warning(ID, "", format!("{said}; this command is {own}"), "kugetsu daemon stop; runs go on meanwhile")
    };
    (Some(status.pid), check)
}

/// One that holds the home and does not answer is just beginning, or just ending.
async fn begins_or_ends(home: &Home) -> Option<Client> {
    if !lock::is_held(home).ok()? || lock::released(home, MOMENT).await.ok()? {
        return None;
    }
    connect::running(home).await.ok()?
}

fn not_running(home: &Home) -> Check {
    let said = "none runs; it starts by itself when a command needs it";
    match lock::is_held(home) {
        Ok(true) => {
            let who = lock::holder(home).map_or_else(|| "a process".to_owned(), |one| format!("process {}", one.pid));
            let said = format!("{who} holds the home and does not answer");
            return Check::bad(ID, "", said, format!("see its log {}, then end it", home.log().display()));
        }
        Ok(false) => {}
        Err(error) => return Check::unknown(ID, "", format!("{} cannot be locked: {error}", home.lock().display())),
    }
    let socket = match place::socket(home) {
        Ok(socket) => socket,
        Err(failure) => return Check::bad(ID, "", failure.message, "use a shorter KUGETSU_HOME"),
    };
    match fs::symlink_metadata(&socket) {
        Ok(found) if found.file_type().is_socket() => {
            let shown = socket.display().to_string();
            let said = format!("{said}; nobody listens on the socket {shown}");
            Check::warning(ID, "", said, format!("rm {shown}; the next daemon does it as well"))
                .fixed_by(Fix::Socket(socket))
        }
        Ok(_) => {
            let shown = socket.display().to_string();
            Check::bad(
                ID,
                &shown,
                "something that is no socket lies in the place of the daemon's",
                format!("move it away: mv {shown} {shown}.old"),
            )
        }
        Err(_) => Check::ok(ID, "", said),
    }
}
