//! The daemon as a service of the user's own systemd, where it was installed as one.

use std::fs;
use std::path::Path;

use kugetsu_api::home::Home;

use super::check::{Check, Fix};
use crate::daemon::unit;

const ID: &str = "unit";
const AGAIN: &str = "write it anew: kugetsu daemon install";

/// None where there is no unit.
pub(crate) async fn check(home: &Home) -> Option<Check> {
    let path = unit::directory()?.join(unit::NAME);
    let shown = path.display().to_string();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Check::unknown(ID, shown, error.to_string()).repaired_by(AGAIN)),
        Ok(text) => text,
    };
    if !text.contains(&unit::home_line(home.path())) {
        return Some(Check::warning(ID, shown, "it is for another home than this one", AGAIN));
    }
    if let Some(program) = unit::program(&text).filter(|program| !Path::new(program).is_file()) {
        return Some(Check::warning(ID, shown, format!("its program {program} is not there"), AGAIN));
    }
    Some(match unit::systemctl(&["show", "-p", "NeedDaemonReload", "--value", unit::NAME]).await {
        Ok(answer) if answer == "yes" => {
            let check =
                Check::warning(ID, shown, "it was changed since systemd read it", "systemctl --user daemon-reload");
            check.fixed_by(Fix::Reload)
        }
        Ok(_) => Check::ok(ID, shown, "it starts the daemon at login"),
        Err(why) => Check::unknown(ID, shown, format!("systemd does not answer: {why}")),
    })
}
