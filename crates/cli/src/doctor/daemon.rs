//! The daemon: whether it answers and has this version, whether its socket is stale, and its systemd unit.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::client::Client;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;

use super::check::{Check, Fix};
use crate::daemon::{lock, unit};
use crate::{connect, format, paths};

const DAEMON: &str = "daemon";
const UNIT: &str = "unit";
const REINSTALL: &str = "write it again: kugetsu daemon install";
/// A daemon that holds the lock without answering may be starting or stopping. It gets this long to do so.
const GRACE: Duration = Duration::from_secs(5);

/// Checks the daemon. Returns its process id if it answers.
pub(crate) async fn check(home: &Home) -> (Option<u32>, Check) {
    let repair = format!("read its log {}; restart it: kugetsu daemon stop", home.log().display());
    let mut client = match connect::running(home).await {
        Ok(Some(client)) => client,
        Ok(None) => match after_grace(home).await {
            Some(client) => client,
            None => return (None, not_running(home)),
        },
        Err(failure) => return (None, Check::bad(DAEMON, "", failure.message, repair)),
    };
    let status = match client.call(&endpoints::STATUS, &NoFields {}).await {
        Ok(status) => status,
        Err(error) => return (None, Check::bad(DAEMON, "", error.to_string(), repair)),
    };
    let since = format::ago(&status.started_at, Timestamp::now());
    let message = format!("version {} is running as process {}, started {since}", status.version, status.pid);
    let own = env!("CARGO_PKG_VERSION");
    let check = if status.version != own {
        let repair = "restart it: kugetsu daemon stop; runs continue";
        Check::warning(DAEMON, "", format!("{message}; this command has version {own}"), repair)
    } else if let Some(stall) = &status.stall {
        let repair = "see what keeps it: kugetsu why <issue>; read the daemon's log";
        Check::warning(DAEMON, "", format!("{message}; {}", format::stall(stall)), repair)
    } else if let Some(unmeasured) = status.unmeasured.first() {
        let repair = format!("turn the floor off: kugetsu config set {} 0", unmeasured.setting);
        let message = format!("{message}; it cannot measure what {} limits: {}", unmeasured.setting, unmeasured.error);
        Check::warning(DAEMON, "", message, repair)
    } else if let Some(hold) = status.holds.first() {
        let repair = hold.hint.clone().unwrap_or_else(|| "see the holds: kugetsu status".to_owned());
        let is_partial = hold.repo.is_some() || matches!(hold.kind.as_str(), "agent" | "model_limit");
        let effect = if is_partial { "some tasks wait" } else { "no agent starts" };
        Check::warning(DAEMON, "", format!("{message}; {effect}: {}", hold.reason), repair)
    } else {
        Check::ok(DAEMON, "", format!("{message}; {} running, {} queued", status.running, status.queued))
    };
    (Some(status.pid), check)
}

/// Connects to a daemon that was just starting, or waits for one that was stopping.
async fn after_grace(home: &Home) -> Option<Client> {
    if !lock::is_held(home).ok()? || lock::released(home, GRACE).await.ok()? {
        return None;
    }
    connect::running(home).await.ok()?
}

fn not_running(home: &Home) -> Check {
    match lock::is_held(home) {
        Ok(true) => {
            let holder =
                lock::holder(home).map_or_else(|| "a process".to_owned(), |holder| format!("process {}", holder.pid));
            let message = format!("{holder} holds the home's lock but does not answer");
            return Check::bad(DAEMON, "", message, format!("read its log {}, then kill it", home.log().display()));
        }
        Ok(false) => {}
        Err(error) => return Check::unknown(DAEMON, "", format!("could not lock {}: {error}", home.lock().display())),
    }
    let socket = match paths::socket(home) {
        Ok(socket) => socket,
        Err(failure) => return Check::bad(DAEMON, "", failure.message, "set KUGETSU_HOME to a shorter path"),
    };
    let message = "not running; it starts when a command needs it";
    let shown = socket.display().to_string();
    match fs::symlink_metadata(&socket) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            let repair = format!("rm {shown}; the next daemon removes it, too");
            Check::warning(DAEMON, "", format!("{message}; the socket {shown} is stale"), repair)
                .with_fix(Fix::Socket(socket))
        }
        Ok(_) => {
            let repair = format!("move it away: mv {shown} {shown}.old");
            Check::bad(DAEMON, &shown, "it exists and is not a socket, so the daemon cannot listen", repair)
        }
        Err(_) => Check::ok(DAEMON, "", message),
    }
}

/// Checks the systemd unit of the daemon, if one is installed.
pub(crate) async fn unit_check(home: &Home) -> Option<Check> {
    let path = unit::directory()?.join(unit::NAME);
    let shown = path.display().to_string();
    let text = match regular_file::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Check::unknown(UNIT, shown, error.to_string()).with_repair(REINSTALL)),
        Ok(text) => text,
    };
    if !text.contains(&unit::home_line(home.path())) {
        return Some(Check::warning(UNIT, shown, "it is for another home", REINSTALL));
    }
    if let Some(program) = unit::program(&text).filter(|program| !Path::new(program).is_file()) {
        return Some(Check::warning(UNIT, shown, format!("its program {program} does not exist"), REINSTALL));
    }
    Some(match unit::systemctl(&["show", "-p", "NeedDaemonReload", "--value", unit::NAME]).await {
        Ok(answer) if answer == "yes" => {
            let repair = "systemctl --user daemon-reload";
            Check::warning(UNIT, shown, "it has changed since systemd read it", repair).with_fix(Fix::Reload)
        }
        Ok(_) => Check::ok(UNIT, shown, "it starts the daemon at login"),
        Err(why) => Check::unknown(UNIT, shown, format!("systemd does not answer: {why}")),
    })
}
