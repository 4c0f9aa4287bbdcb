//! What nobody owns any more: processes of runs that are over, and directories that no issue knows.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::naming;
use kugetsu_domain::task::TaskState;
use kugetsu_process::{MARKER, leftover_processes};

use super::check::{Check, Fix};
use super::database::NotReadable;
use crate::daemon::lock::is_file_held;
use crate::read_only_db::ReadOnlyDb;

/// Processes and directories. Without facts nothing is known to be nobody's.
/// `is_sound` is whether nothing is wrong with the database, `daemon` whether one runs.
pub(crate) async fn checks(
    home: &Home,
    db: Result<Option<&ReadOnlyDb>, NotReadable>,
    is_sound: bool,
    daemon: bool,
) -> Vec<Check> {
    let db = match db {
        Ok(Some(db)) => db,
        Ok(None) => return Vec::new(),
        Err(NotReadable) => {
            let why = "what belongs to nobody is not known while the database cannot be read";
            return vec![Check::unknown("orphan.processes", "", why), Check::unknown("orphan.worktrees", "", why)];
        }
    };
    let mut checks = vec![match processes(home, db, daemon).await {
        Ok(check) => check,
        Err(why) => Check::unknown("orphan.processes", "", why).repaired_by("look yourself: ps e | grep KUGETSU_RUN"),
    }];
    match directories(home, db, is_sound).await {
        Ok(found) => checks.extend(found),
        Err(why) => checks.push(Check::unknown("orphan.worktrees", "", why)),
    }
    checks
}

async fn processes(home: &Home, db: &ReadOnlyDb, daemon: bool) -> Result<Check, String> {
    let id = "orphan.processes";
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let marked = leftover_processes(MARKER).await.map_err(|error| format!("processes could not be listed: {error}"))?;
    // Read after the processes: a run that began meanwhile is among them.
    let live = db.running().await.map_err(|error| words(&error))?;
    let (mut over, mut unattended): (BTreeMap<RunId, Vec<String>>, usize) = (BTreeMap::new(), 0);
    for (pid, run) in marked {
        let Some(run) = parsed(&run) else { continue };
        // Another home's run is not known here.
        if !home.run(run).path().is_dir() && !db.has_run(run).await.map_err(|error| words(&error))? {
            continue;
        }
        if live.contains(&run) || is_held(&home.run(run).lock()) {
            unattended += 1;
        } else {
            over.entry(run).or_default().push(pid.to_string());
        }
    }
    if !over.is_empty() {
        let pids: Vec<&str> = over.values().flatten().map(String::as_str).collect();
        let said = format!("processes of runs that are over: {}", pids.join(" "));
        let check = Check::warning(id, "", said, format!("kugetsu doctor --fix; or: kill {}", pids.join(" ")));
        return Ok(check.fixed_by(Fix::Processes(over.keys().copied().collect())));
    }
    if unattended > 0 && !daemon {
        let said = "processes of runs go on without a daemon";
        return Ok(Check::warning(id, "", said, "start it, and it looks after them: kugetsu daemon start"));
    }
    Ok(Check::ok(id, "", "no process of an ended run goes on"))
}

fn parsed(run: &OsString) -> Option<RunId> {
    run.to_str()?.parse().ok()
}

/// Whether the run's runner lives. In doubt it does.
fn is_held(lock: &Path) -> bool {
    is_file_held(lock).unwrap_or(true)
}

async fn directories(home: &Home, db: &ReadOnlyDb, is_sound: bool) -> Result<Vec<Check>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    // Listed before the facts are read: what is made meanwhile is not nobody's.
    let (trees, relays) = (listed(&home.worktrees())?, listed(&home.relays())?);
    let (mirrors, runs) = (listed(&home.mirrors())?, listed(&home.runs())?);
    let mut known = BTreeSet::new();
    for view in db.latest_runs().await.map_err(|error| words(&error))? {
        // It may be in the making.
        if matches!(view.task.state, TaskState::Queued | TaskState::Running) {
            known.insert(naming::worktree_directory(&view.reference));
        }
        known.extend(view.worktree.map(|worktree| worktree.directory));
    }
    let repositories = db.repositories().await.map_err(|error| words(&error))?;
    let known_mirrors: BTreeSet<String> =
        repositories.iter().map(|repo| naming::mirror_directory(&repo.name)).collect();
    let look = "look at what lies there, then remove it yourself; nothing here does";
    let kept = |id, what: &str, place: &Path, names: Vec<String>| {
        if names.is_empty() {
            return Check::ok(id, place.display().to_string(), format!("every {what} there belongs to something"));
        }
        let said = format!("no issue knows: {}; kept, as work may lie there", names.join(" "));
        Check::warning(id, place.display().to_string(), said, look)
    };
    let unknown = |names: Vec<String>, known: &BTreeSet<String>| -> Vec<String> {
        names.into_iter().filter(|name| !known.contains(name)).collect()
    };
    let mut checks = vec![
        kept("orphan.worktrees", "worktree", &home.worktrees(), unknown(trees, &known)),
        kept("orphan.gates", "relay", &home.relays(), unknown(relays, &known)),
        kept("orphan.mirrors", "mirror", &home.mirrors(), unknown(mirrors, &known_mirrors)),
    ];
    let mut over = Vec::new();
    for run in runs.iter().filter_map(|name| name.parse::<RunId>().ok()) {
        if !db.has_run(run).await.map_err(|error| words(&error))? && !is_held(&home.run(run).lock()) {
            over.push(run);
        }
    }
    let place = home.runs().display().to_string();
    checks.push(if over.is_empty() {
        Check::ok("orphan.runs", place, "every run's directory belongs to a run")
    } else {
        let names: Vec<String> = over.iter().map(ToString::to_string).collect();
        let said = format!("no longer stored: {}", names.join(" "));
        let check =
            Check::warning("orphan.runs", place, said, "kugetsu doctor --fix; the next daemon removes them as well");
        // A damaged database may know more than it can tell.
        if is_sound { check.fixed_by(Fix::Runs(over)) } else { check }
    });
    Ok(checks)
}

/// The directories in a place, without those whose names begin with a dot.
fn listed(place: &Path) -> Result<Vec<String>, String> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", place.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", place.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
