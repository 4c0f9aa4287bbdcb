//! `kugetsu doctor`: checks what kugetsu needs, suggests repairs, and makes the safe ones.

use clap::Args;
use kugetsu_api::home::Home;

use crate::config::load::{load, own_environment};
use crate::doctor::check::{Check, Fix, State};
use crate::doctor::{agents, daemon, database, home as home_checks, host, orphans, repair, servers, settings, watches};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};

/// The column of the message, behind the mark.
const COLUMN: usize = 6;

/// Check the installation, and show how to repair it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu doctor
  kugetsu doctor --fix
  kugetsu doctor --offline --json")]
pub(crate) struct Doctor {
    /// Make the repairs that are safe.
    #[arg(long)]
    fix: bool,
    /// Only make kugetsu's files private again.
    #[arg(long, conflicts_with = "fix")]
    fix_permissions: bool,
    /// Do not contact any server.
    #[arg(long)]
    offline: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Doctor) -> Result<Exit, Failure> {
    let mut checks = ui::notify_if_slow("checking the installation", checks(home, arguments.offline)).await;
    for check in &mut checks {
        let Some(fix) = check.fix.clone() else { continue };
        if arguments.fix || (arguments.fix_permissions && matches!(fix, Fix::Private(_))) {
            match repair::apply(home, &fix).await {
                Ok(done) => {
                    check.state = State::Ok;
                    check.fixed = Some(done);
                }
                Err(why) => check.message = format!("{}; the repair failed: {why}", check.message),
            }
        }
    }
    let usable = checks.iter().all(|check| check.state != State::Bad);
    if arguments.json {
        ui::json(&checks)?;
    } else {
        checks.iter().for_each(print);
    }
    Ok(if usable { Exit::Done } else { Exit::Failed })
}

async fn checks(home: &Home, offline: bool) -> Vec<Check> {
    let mut checks = host::git_checks().await;
    let loaded = load(home, &own_environment);
    let (pid, daemon) = daemon::check(home).await;
    if let Ok(loaded) = &loaded {
        let path = pid.and_then(agents::path_of);
        checks.extend(agents::checks(home, &loaded.settings, path.as_deref()).await);
    }
    checks.extend(home_checks::checks(home));
    let (db, database) = database::check(home).await;
    checks.push(database);
    checks.extend(settings::checks(home, &loaded));
    checks.extend(settings::env_checks(home));
    checks.push(daemon);
    checks.extend(daemon::unit_check(home).await);
    checks.extend(host::kernel_checks(loaded.as_ref().ok().map(|loaded| &loaded.settings), pid).await);
    let db = db.as_ref().map(Option::as_ref).map_err(|not_readable| *not_readable);
    if let Ok(loaded) = &loaded {
        let repositories = match db {
            Ok(Some(db)) => db.repositories().await.ok(),
            _ => None,
        };
        checks.extend(servers::checks(loaded, repositories.as_deref(), offline).await);
    }
    if let (Ok(loaded), Ok(Some(db))) = (&loaded, db) {
        checks.extend(watches::checks(loaded, db).await);
    }
    checks.extend(orphans::checks(home, db, pid.is_some()).await);
    checks.extend(home_checks::script_check(home));
    checks
}

pub(crate) fn print(check: &Check) {
    let mark = match check.state {
        State::Ok => (Tone::Good, "ok"),
        State::Warning => (Tone::Warning, "warn"),
        State::Bad => (Tone::Bad, "bad"),
        State::Unknown => (Tone::Dim, "?"),
    };
    let subject = if check.subject.is_empty() { check.id } else { check.subject.as_str() };
    let below = match (&check.fixed, &check.repair) {
        (Some(done), _) => Some(format!("repaired: {done}")),
        (None, repair) => repair.as_ref().map(|repair| format!("repair: {repair}")),
    };
    ui::bullet(mark, COLUMN, &format!("{subject}: {}", check.message), below.as_slice());
}
