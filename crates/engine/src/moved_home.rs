//! Notices, when the daemon starts, that the home was moved, renamed or copied since its last daemon, and repairs it. The markers
//! of processes belong to one home, so that a copy does not touch the processes of its original.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::home_id;
use kugetsu_api::location::{Location, LocationRecord, earlier_path};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::session::Session;
use kugetsu_process::{InvalidMarker, MARKER, Marker, Pid, Swept, leftover_processes};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use thiserror::Error;
use uuid::Uuid;

use crate::engine::Engine;
use crate::repositories;

/// Issues that are read at once.
const PAGE: u32 = 200;

#[derive(Debug, Error)]
pub enum MovedHomeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not record the location of kugetsu's home {}: {error}", home.path().display())]
    Location { home: Home, error: io::Error },
    #[error("could not read {}, which shows whether kugetsu's home is a copy: {error}", home.location().display())]
    Unreadable { home: Home, error: io::Error },
}

impl MovedHomeError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(_) | Self::Location { .. } => None,
            Self::Unreadable { home, .. } => Some(format!(
                "make {} a file that you can read; an empty one makes kugetsu open new sessions",
                home.location().display()
            )),
        }
    }
}

/// Compares the location of the home with that of its last daemon. In a copy, it cancels what the original is doing; in a home
/// with another path, it corrects the paths in worktrees and relays; in one that was moved to another file system, it ends the
/// processes that work in the removed directory. Called before anything else uses the home.
///
/// A home whose record is damaged may be a copy, so its sessions of before are not used.
///
/// # Errors
/// The database cannot be read or written, the earlier location cannot be read, or the new one cannot be recorded. A worktree
/// that cannot be repaired is logged; its next use tries again.
pub async fn settle(engine: &Engine) -> Result<(), MovedHomeError> {
    let home = engine.home();
    let failed = |error| MovedHomeError::Location { home: home.clone(), error };
    let location = Location::of(home).map_err(failed)?;
    let (recorded, is_damaged) = match LocationRecord::read(home) {
        Ok(recorded) => (recorded, false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let file = home.location().display().to_string();
            tracing::warn!(file, %error, "this home may be a copy; the sessions of before are neither continued nor deleted");
            (None, true)
        }
        Err(error) => return Err(MovedHomeError::Unreadable { home: home.clone(), error }),
    };
    if recorded.as_ref().is_some_and(|recorded| recorded.location == location) {
        return Ok(());
    }
    let now = engine.now().as_millisecond();
    let mut copied_at = match &recorded {
        Some(recorded) => recorded.copied_at,
        None => is_damaged.then_some(now),
    };
    let other = recorded.map(|recorded| recorded.location).filter(|recorded| !recorded.is_same_directory(&location));
    let processes = match &other {
        Some(original) => processes_of(original).await,
        None => Some(vec![]),
    };
    match &other {
        Some(original) if is_alive(original, processes.as_deref()) => {
            let path = original.path.display().to_string();
            tracing::warn!(original = path, "this home is a copy; canceling the tasks that its original is working on");
            cancel_tasks(engine).await?;
            let id = Uuid::now_v7();
            engine.store().set_home(id.to_string()).await?;
            home_id::write(home, id).map_err(failed)?;
            copied_at = Some(now);
        }
        Some(original) => end_processes_of_removed(engine, original, &processes.unwrap_or_default()).await?,
        None => {}
    }
    if copied_at.is_none_or(|at| at != now)
        && let Ok(Some(from)) = earlier_path(home)
    {
        tracing::warn!(from = %from.display(), to = %home.path().display(), "the home was moved; correcting its paths");
    }
    repair_worktrees(engine).await?;
    LocationRecord { location, copied_at }.write(home).map_err(failed)
}

/// A process that carries a marker of a home, and its value.
type Marked = (Pid, OsString);

/// Returns the processes of a home's agents; `None` if processes cannot be listed.
async fn processes_of(home: &Location) -> Option<Vec<Marked>> {
    let suffix = home.suffix();
    let mut marked = leftover_processes(MARKER).await.ok()?;
    marked.retain(|(_, value)| {
        let value = value.to_string_lossy();
        value.ends_with(&suffix) && !Location::is_git_marker(&value)
    });
    Some(marked)
}

/// Whether the home that this one was made from still exists: at its path, or elsewhere with processes of its runs. If that is
/// not known, it is assumed: a canceled task is easily queued again.
fn is_alive(original: &Location, processes: Option<&[Marked]>) -> bool {
    if original.is_there() {
        return true;
    }
    let Some(processes) = processes else { return true };
    let found: Vec<WorksIn> = processes.iter().map(|(pid, _)| works_in(*pid, original)).collect();
    found.contains(&WorksIn::Home) || !found.is_empty() && !found.contains(&WorksIn::Removed)
}

/// Where a process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorksIn {
    /// In the home, wherever that is now.
    Home,
    /// In a directory that was removed together with the home.
    Removed,
    Elsewhere,
}

fn works_in(process: Pid, home: &Location) -> WorksIn {
    match fs::read_link(format!("/proc/{process}/cwd")) {
        Ok(directory) => classify(&directory, home),
        Err(_) => WorksIn::Elsewhere,
    }
}

/// `directory` is as the kernel shows it. It follows renames, and marks a removed directory.
fn classify(directory: &Path, home: &Location) -> WorksIn {
    let shown = directory.as_os_str().as_bytes();
    let removed = shown.strip_suffix(b" (deleted)").map(|path| Path::new(OsStr::from_bytes(path)));
    if removed.unwrap_or(directory).ancestors().any(|path| home.is_at(path)) {
        return WorksIn::Home;
    }
    match removed.is_some_and(|path| path.starts_with(&home.path)) {
        true => WorksIn::Removed,
        false => WorksIn::Elsewhere,
    }
}

/// Ends the runners and agents that still work in the directory in which the home was before it was moved to another file
/// system. Their files are gone, and their tasks are tried again here.
async fn end_processes_of_removed(
    engine: &Engine,
    original: &Location,
    processes: &[Marked],
) -> Result<(), StoreError> {
    let suffix = original.suffix();
    let names = processes.iter().filter_map(|(_, value)| value.to_str()?.strip_suffix(&suffix).map(str::to_owned));
    let mut names: BTreeSet<String> = names.collect();
    // A runner whose agent is not running.
    names.extend(live_runs(engine).await?.iter().map(ToString::to_string));
    let earlier = Home::new(original.path.clone());
    for name in names {
        let Ok(marker) = Marker::new(format!("{name}{suffix}")) else { continue };
        let arguments = [OsString::from("runner"), earlier.runs().join(&name).into()];
        match kugetsu_process::kill_with_arguments(&arguments, &marker).await {
            Ok(Swept { signaled: 0, .. }) => {}
            Ok(swept) => {
                tracing::warn!(name, ?swept, "ended what worked in the directory that the home was moved from")
            }
            Err(error) => {
                tracing::error!(name, %error, "a run of the directory that the home was moved from could not be ended")
            }
        }
    }
    Ok(())
}

async fn live_runs(engine: &Engine) -> Result<Vec<RunId>, StoreError> {
    let (mut runs, mut cursor) = (Vec::new(), None);
    loop {
        let page = engine.store().views(ViewQuery::new(ViewFilter::Live).limit(PAGE).cursor(cursor)).await?;
        runs.extend(page.views.into_iter().filter_map(|view| view.run).map(|run| run.id));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(runs);
        }
    }
}

/// The home that a session belongs to.
#[derive(Debug)]
pub(crate) enum Owner {
    This,
    /// The home of which this one is a copy.
    Original,
    /// It is not known whether this home is a copy, so its sessions are neither continued nor deleted.
    Unknown(MovedHomeError),
}

/// Returns the home that a session of an issue belongs to. In a copy, those of before belong to the original: the agent has one
/// conversation, which the original resumes and deletes.
pub(crate) fn owner(engine: &Engine, issue: &Issue, session: &Session) -> Owner {
    // The coordinator's sessions are files of the home.
    if issue.reference.is_coordinator() {
        return Owner::This;
    }
    let home = engine.home();
    let record = match LocationRecord::read(home) {
        Ok(record) => record,
        Err(error) => return Owner::Unknown(MovedHomeError::Unreadable { home: home.clone(), error }),
    };
    let Some(copied_at) = record.and_then(|record| record.copied_at) else { return Owner::This };
    // A copy resumes none from before, so a session of a run that began here was opened here.
    match session.run_started_at.is_some_and(|began| began.as_millisecond() >= copied_at) {
        true => Owner::This,
        false => Owner::Original,
    }
}

/// Whether this home is a copy, and a run that began at `started_at` is one of its original.
pub(crate) fn is_of_original(home: &Home, started_at: Timestamp) -> bool {
    let copied_at = LocationRecord::read(home).ok().flatten().and_then(|record| record.copied_at);
    copied_at.is_some_and(|copied_at| started_at.as_millisecond() < copied_at)
}

async fn cancel_tasks(engine: &Engine) -> Result<(), StoreError> {
    let (mut open, mut cursor) = (Vec::new(), None);
    loop {
        let page = engine.store().views(ViewQuery::new(ViewFilter::Live).limit(PAGE).cursor(cursor)).await?;
        open.extend(page.views.into_iter().filter(|view| !view.task.cancel_requested));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for view in open {
        engine.apply(view.issue, Event::CancelRequested { task: view.task.id }).await?;
    }
    Ok(())
}

async fn repair_worktrees(engine: &Engine) -> Result<(), StoreError> {
    let mut cursor = None;
    loop {
        let query = ViewQuery::new(ViewFilter::all_issues()).limit(PAGE).cursor(cursor);
        let page = engine.store().views(query).await?;
        for view in page.views {
            let issue = engine.store().issue_by_id(view.issue).await?;
            if issue.worktree.is_none() {
                continue;
            }
            let opened = async {
                let mirror = repositories::mirror(engine, &issue).await?;
                repositories::worktree(engine, &issue, &mirror).await
            };
            if let Err(error) = opened.await {
                tracing::error!(issue = %issue.reference, %error, "the paths of a worktree could not be corrected");
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Why a run's marker is not known.
#[derive(Debug, Error)]
pub enum MarkerError {
    #[error("could not read kugetsu's home: {0}")]
    Home(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidMarker),
}

/// The marker of the processes of a run, or of other work that has a name.
///
/// # Errors
/// The home cannot be read, or the name cannot be part of a marker.
pub fn marker(home: &Home, name: &str) -> Result<Marker, MarkerError> {
    Ok(Marker::new(format!("{name}{}", Location::of(home)?.suffix()))?)
}

/// The marker of the git processes that a run's runner starts.
///
/// # Errors
/// As for [`marker`].
pub(crate) fn git_marker(home: &Home, run: RunId) -> Result<Marker, MarkerError> {
    Ok(Marker::new(Location::of(home)?.git_marker(&run.to_string()))?)
}

/// The run of a marker's value, if it is one of this home's.
pub fn run_of(home: &Home, value: &str) -> Option<RunId> {
    value.strip_suffix(&Location::of(home).ok()?.suffix())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_of_a_process_shows_whether_its_home_was_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let [home, renamed] = ["home", "renamed"].map(|name| Home::new(root.join(name)));
        std::fs::create_dir(home.path()).unwrap();
        let location = Location::of(&home).unwrap();
        let works_in = |path: &str| classify(&root.join(path), &location);
        assert_eq!(works_in("home/worktrees/a"), WorksIn::Home);
        assert_eq!(works_in("home/worktrees/a (deleted)"), WorksIn::Home, "only the worktree was removed");
        assert_eq!(works_in("other"), WorksIn::Elsewhere);
        std::fs::rename(home.path(), renamed.path()).unwrap();
        assert_eq!(works_in("renamed/worktrees/a"), WorksIn::Home);
        assert_eq!(works_in("home/worktrees/a (deleted)"), WorksIn::Removed);
        assert_eq!(works_in("other/a (deleted)"), WorksIn::Elsewhere);
        // Another directory at the earlier path.
        std::fs::create_dir(home.path()).unwrap();
        assert_eq!(works_in("home/worktrees/a (deleted)"), WorksIn::Removed);
    }

    #[test]
    fn marker_of_a_run_belongs_to_one_home() {
        let directory = tempfile::tempdir().unwrap();
        let [own, copy] = ["own", "copy"].map(|name| Home::new(directory.path().join(name)));
        for home in [&own, &copy] {
            std::fs::create_dir(home.path()).unwrap();
        }
        let run = RunId::new(uuid::Uuid::now_v7());
        let marker = marker(&own, &run.to_string()).unwrap();
        assert_eq!(run_of(&own, marker.id()), Some(run));
        assert_eq!(run_of(&copy, marker.id()), None);
        assert_eq!(run_of(&own, &run.to_string()), None);
    }
}
