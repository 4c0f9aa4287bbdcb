//! Orphans: processes of ended runs, and directories that belong to no issue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::naming;
use kugetsu_domain::task::TaskState;
use kugetsu_engine::home::quarantine;
use kugetsu_engine::moved_home::run_of;
use kugetsu_process::{MARKER, leftover_processes};

use super::check::{Check, Fix};
use super::database::NotReadable;
use crate::daemon::lock::is_file_held;
use crate::read_only_db::ReadOnlyDb;

/// The repair of what the database does not know and kugetsu made.
const QUARANTINES: &str = "the next daemon moves them into quarantine: kugetsu daemon restart";

/// Finds orphans by comparing processes and directories with the database.
pub(crate) async fn checks(
    home: &Home,
    db: Result<Option<&ReadOnlyDb>, NotReadable>,
    is_daemon_running: bool,
) -> Vec<Check> {
    let db = match db {
        Ok(Some(db)) => db,
        Ok(None) => return Vec::new(),
        Err(NotReadable) => {
            let why = "not known: the database cannot be read";
            return vec![Check::unknown("orphan.processes", "", why), Check::unknown("orphan.worktrees", "", why)];
        }
    };
    let mut checks = vec![match process_check(home, db, is_daemon_running).await {
        Ok(check) => check,
        Err(why) => Check::unknown("orphan.processes", "", why).with_repair("list them: ps e | grep KUGETSU_RUN"),
    }];
    match directory_checks(home, db).await {
        Ok(found) => checks.extend(found),
        Err(why) => checks.push(Check::unknown("orphan.worktrees", "", why)),
    }
    checks
}

async fn process_check(home: &Home, db: &ReadOnlyDb, is_daemon_running: bool) -> Result<Check, String> {
    let id = "orphan.processes";
    let marked = leftover_processes(MARKER).await.map_err(|error| format!("could not list processes: {error}"))?;
    // Read after the list of processes, so that it contains every run that has started meanwhile.
    let live = db.running().await.map_err(|error| error.to_string())?;
    let (mut orphans, mut live_count): (BTreeMap<RunId, Vec<String>>, usize) = (BTreeMap::new(), 0);
    for (pid, run) in marked {
        // It may be a run of another home.
        let Some(run) = run.to_str().and_then(|run| run_of(home, run)) else { continue };
        // The database may be that of another home.
        if !home.run(run).path().is_dir() && !db.has_run(run).await.map_err(|error| error.to_string())? {
            continue;
        }
        if live.contains(&run) || has_runner(&home.run(run).lock()) {
            live_count += 1;
        } else {
            orphans.entry(run).or_default().push(pid.to_string());
        }
    }
    if !orphans.is_empty() {
        let pids = orphans.values().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let message = format!("leftover processes of ended runs: {pids}");
        let check = Check::warning(id, "", message, format!("kugetsu doctor --fix; or: kill {pids}"));
        return Ok(check.with_fix(Fix::Processes(orphans.keys().copied().collect())));
    }
    if live_count > 0 && !is_daemon_running {
        let repair = "start the daemon: kugetsu daemon start";
        return Ok(Check::warning(id, "", "runs are in progress, but no daemon is running", repair));
    }
    Ok(Check::ok(id, "", "ended runs have no leftover processes"))
}

/// Whether the run's lock is held. If that cannot be determined, a runner is assumed.
fn has_runner(lock: &Path) -> bool {
    is_file_held(lock).unwrap_or(true)
}

async fn directory_checks(home: &Home, db: &ReadOnlyDb) -> Result<Vec<Check>, String> {
    // Listed before the database is read: a directory that is created meanwhile must not look like an orphan.
    let (trees, relays) = (subdirectories(&home.worktrees())?, subdirectories(&home.relays())?);
    let (mirrors, runs) = (subdirectories(&home.mirrors())?, subdirectories(&home.runs())?);
    let mut known = BTreeSet::new();
    for view in db.latest_runs().await.map_err(|error| error.to_string())? {
        // Its worktree may not be stored yet.
        if matches!(view.task.state, TaskState::Queued | TaskState::Running) {
            known.insert(naming::worktree_directory(&view.reference));
        }
        known.extend(view.worktree.map(|worktree| worktree.directory));
    }
    let repositories = db.repositories().await.map_err(|error| error.to_string())?;
    let known_mirrors: BTreeSet<String> =
        repositories.iter().map(|repo| naming::mirror_directory(&repo.name)).collect();
    let kept = |id, owner: &str, path: &Path, names: Vec<String>| {
        let shown = path.display().to_string();
        if names.is_empty() {
            return Check::ok(id, shown, format!("every directory has its {owner}"));
        }
        let message = format!("belong to no {owner}, but may contain work: {}", names.join(" "));
        Check::warning(id, shown, message, "inspect them, then remove them yourself; kugetsu does not")
    };
    let unknown = |names: Vec<String>, known: &BTreeSet<String>| -> Vec<String> {
        names.into_iter().filter(|name| !known.contains(name)).collect()
    };
    let mut checks = vec![
        kept("orphan.worktrees", "issue", &home.worktrees(), unknown(trees, &known)),
        kept("orphan.gates", "issue", &home.relays(), unknown(relays, &known)),
        kept("orphan.mirrors", "repository", &home.mirrors(), unknown(mirrors, &known_mirrors)),
    ];
    let runs: Vec<RunId> = runs.iter().filter_map(|name| name.parse().ok()).collect();
    let (id, path) = ("orphan.runs", home.runs().display().to_string());
    checks.push(match db.unknown_runs(runs).await {
        Ok(mut orphans) => {
            orphans.retain(|run| !has_runner(&home.run(*run).lock()));
            match orphans.is_empty() {
                true => Check::ok(id, path, "every directory belongs to a run"),
                false => {
                    let names: Vec<String> = orphans.iter().map(ToString::to_string).collect();
                    let message = format!("belong to no stored run: {}", names.join(" "));
                    Check::warning(id, path, message, QUARANTINES)
                }
            }
        }
        // In a damaged database the run may exist without being readable.
        Err(error) => Check::unknown(id, path, error.to_string()),
    });
    checks.push(quarantine_check(home)?);
    Ok(checks)
}

fn quarantine_check(home: &Home) -> Result<Check, String> {
    let (id, path) = ("quarantine", home.quarantine());
    let shown = path.display().to_string();
    let found = quarantine::list(home).map_err(|error| format!("{shown}: {error}"))?;
    if found.is_empty() {
        return Ok(Check::ok(id, shown, "it is empty"));
    }
    let names: Vec<String> = found.iter().map(|one| format!("{} {}", one.kind.name(), one.name)).collect();
    let message = format!("not known to the database, but may contain work: {}", names.join(", "));
    let repair = "take it over with `kugetsu db rebuild`, or restore a database that knows it with `kugetsu db restore`, or \
                  inspect it and remove it yourself; kugetsu does not";
    Ok(Check::warning(id, shown, message, repair))
}

/// The names of the subdirectories, hidden ones excepted.
fn subdirectories(path: &Path) -> Result<Vec<String>, String> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", path.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
