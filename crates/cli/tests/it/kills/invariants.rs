//! The invariants after every round, however it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kugetsu_testkit::repository::git;
use kugetsu_testkit::{eventually, eventually_within};

use super::case::Case;

pub(super) fn check(case: &Case) {
    let states = confirmed_tasks_ended(case);
    work_is_done_once(case, &states);
    effects_are_settled(case);
    remove_unfinished_objects(case);
    daemon_stops_and_no_process_is_left(case);
    events_are_stored_once(case);
    nothing_written_is_lost(case, &states);
    no_lock_or_scratch_file_is_left(case);
}

/// Returns the states of all tasks by ID.
fn confirmed_tasks_ended(case: &Case) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let states: BTreeMap<_, _> = case.tasks().iter().map(|task| (text(&task["task"]), text(&task["state"]))).collect();
    for confirmed in &case.confirmed {
        let state = states.get(&confirmed.task);
        let state = state.unwrap_or_else(|| panic!("{confirmed:?} was confirmed and is not in the queue"));
        assert!(!["queued", "running"].contains(&state.as_str()), "{confirmed:?} is {state}");
    }
    states
}

/// At most one agent at a time, one prompt per run, at most three attempts, and none after a task was done.
fn work_is_done_once(case: &Case, states: &BTreeMap<String, String>) {
    assert_eq!(case.ledger.two_at_once(), "", "two agents worked on one task at the same time");
    for confirmed in &case.confirmed {
        let started = case.ledger.started(&confirmed.name);
        let distinct: BTreeSet<_> = started.iter().collect();
        assert_eq!(distinct.len(), started.len(), "{confirmed:?}: a run sent its prompt twice: {started:?}");
        assert!(started.len() <= 3, "{confirmed:?}: {started:?}");
        assert!(states[&confirmed.task] != "done" || !started.is_empty(), "{confirmed:?} is done, but no agent ran");
    }
}

/// The last ones, such as looking up a pull request, are executed after their run has ended.
fn effects_are_settled(case: &Case) {
    let database = database(case);
    eventually_within(case.world.limit, "all effects to be settled", || {
        let mut statement = database.prepare("SELECT key FROM effects").unwrap();
        let keys: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        if keys.is_empty() { Ok(()) } else { Err(keys) }
    });
}

fn database(case: &Case) -> rusqlite::Connection {
    rusqlite::Connection::open(case.world.home.kugetsu().join("state/kugetsu.db")).unwrap()
}

fn daemon_stops_and_no_process_is_left(case: &Case) {
    case.world.run(["daemon", "stop"]);
    eventually("no process to be left", || {
        let left = case.world.home.processes();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

fn events_are_stored_once(case: &Case) {
    let database = database(case);
    let doubled = |query: &str| -> Vec<String> {
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok(format!("{:?} {:?}", row.get_ref(0)?, row.get_ref(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let by_run = "SELECT run, kind FROM events WHERE run IS NOT NULL AND kind IN \
        ('task_claimed', 'worktree_ready', 'session_opened', 'session_lost', 'run_ended', 'runner_lost') \
        GROUP BY run, kind HAVING count(*) > 1";
    assert_eq!(doubled(by_run), Vec::<String>::new());
    let by_task = "SELECT task, kind FROM events WHERE kind = 'task_queued' GROUP BY task HAVING count(*) > 1";
    assert_eq!(doubled(by_task), Vec::<String>::new());
    // Each run has one end.
    let ends = "SELECT runs.id, count(events.seq) FROM runs LEFT JOIN events \
        ON events.run = runs.id AND events.kind IN ('run_ended', 'runner_lost') GROUP BY runs.id HAVING count(events.seq) <> 1";
    assert_eq!(doubled(ends), Vec::<String>::new());
    // Each request to destroy has one result.
    let removals = "SELECT issue, sum(CASE kind WHEN 'destroy_asked' THEN 1 ELSE -1 END) AS open FROM events \
        WHERE kind IN ('destroy_asked', 'destroyed', 'destroy_failed') GROUP BY issue HAVING open <> 0";
    assert_eq!(doubled(removals), Vec::<String>::new());
    let open = "SELECT id, state FROM runs WHERE state IN ('starting', 'working')";
    assert_eq!(doubled(open), Vec::<String>::new());
}

/// Every file that an agent wrote is in a worktree, in a branch of its repository, or in a rescue. If the task is done, it
/// is in a branch of the repository.
fn nothing_written_is_lost(case: &Case, states: &BTreeMap<String, String>) {
    let home = case.world.home.kugetsu();
    let mut pushed = BTreeMap::new();
    for repository in &case.repositories {
        collect_objects(repository.path(), &mut pushed);
    }
    let mut kept = pushed.clone();
    for mirror in folders(&home.join("mirrors")) {
        collect_objects(&mirror, &mut kept);
    }
    for worktree in folders(&home.join("worktrees")) {
        collect_files(&worktree, &mut kept);
    }
    let names: BTreeMap<&str, &str> =
        case.confirmed.iter().map(|task| (task.name.as_str(), task.task.as_str())).collect();
    for (name, content) in case.ledger.written() {
        assert_eq!(kept.get(&name), Some(&content), "{name} was written and is lost");
        let task = name.split('-').next().unwrap();
        let is_done = names.get(task).is_some_and(|task| states[*task] == "done");
        let last = case.ledger.started(task).pop().unwrap();
        // A stash that a killed git left is no reason to block a branch that was pushed, but it is named.
        let names_rest = names.get(task).is_some_and(|task| names_what_was_not_pushed(case, task));
        if is_done && !names_rest && name.contains(&last) {
            assert_eq!(pushed.get(&name), Some(&content), "the task of {name} is done, but it was not pushed");
        }
    }
}

fn names_what_was_not_pushed(case: &Case, task: &str) -> bool {
    let query = "SELECT count(*) FROM runs WHERE task = ?1 AND reason LIKE '%not pushed: %'";
    database(case).query_row(query, [task], |row| row.get::<_, u32>(0)).unwrap() > 0
}

/// Adds the content of all files that any ref of a repository reaches, by name.
fn collect_objects(repository: &Path, found: &mut BTreeMap<String, String>) {
    let git = |arguments: &[&str]| git::text(repository, arguments);
    for line in git(&["rev-list", "--all", "--objects"]).lines() {
        let Some((id, path)) = line.split_once(' ') else { continue };
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with('t') && !found.contains_key(name) && git(&["cat-file", "-t", id]).trim() == "blob" {
            found.insert(name.to_owned(), format!("{}\n", git(&["cat-file", "blob", id]).trim_end()));
        }
    }
}

fn collect_files(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_file() && name.starts_with('t') {
            found.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn no_lock_or_scratch_file_is_left(case: &Case) {
    let home = case.world.home.kugetsu();
    let mut left = Vec::new();
    // The locks of kugetsu itself stay. They are beside these directories, and one is in each mirror.
    for parent in ["mirrors", "worktrees", "gates"] {
        // In a worktree, git itself removes the unfinished objects of the agent's commands some day.
        let is_worktree = parent == "worktrees";
        folders(&home.join(parent)).iter().for_each(|folder| collect_leftovers(folder, is_worktree, &mut left));
    }
    for mirror in folders(&home.join("mirrors")) {
        left.extend(fs::read_dir(mirror.join("scratch")).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
    for run in folders(&home.join("runs")) {
        left.extend(fs::read_dir(run.join("tmp")).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
    left.retain(|path| !path.ends_with("rescue.lock"));
    let backups = fs::read_dir(home.join("backup")).into_iter().flatten().map(|entry| entry.unwrap().path());
    left.extend(backups.filter(|path| path.to_string_lossy().contains(".part-")));
    // Unfinished files of the home and of its directories, which begin with a dot.
    for parent in ["", "state", "mirrors", "worktrees", "gates", "runs", "backup", "env"] {
        let entries = fs::read_dir(home.join(parent)).into_iter().flatten().map(|entry| entry.unwrap());
        left.extend(
            entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")).map(|entry| entry.path()),
        );
    }
    let temporary = fs::read_dir(case.world.home.path().join("tmp")).into_iter().flatten();
    left.extend(temporary.map(|entry| entry.unwrap().path()));
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// Files that a killed git leaves among the objects of a mirror are removed once they are old.
fn remove_unfinished_objects(case: &Case) {
    let mut left = Vec::new();
    folders(&case.world.home.kugetsu().join("mirrors"))
        .iter()
        .for_each(|mirror| collect_leftovers(mirror, false, &mut left));
    left.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp_")));
    for path in &left {
        // Git makes objects that only their owner can read.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(48)).unwrap();
    }
    if !left.is_empty() {
        case.world.run(["gc", "--yes"]);
    }
}

/// Adds git's lock files and unfinished objects.
fn collect_leftovers(folder: &Path, is_worktree: bool, left: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            collect_leftovers(&entry.path(), is_worktree, left);
        } else if name.ends_with(".lock") || name.starts_with("tmp_") && !is_worktree {
            left.push(entry.path());
        }
    }
}
