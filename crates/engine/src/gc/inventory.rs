//! The contents of the home: the size by category, and the items that may be removed one by one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::RunId;
use kugetsu_domain::rescue_time;
use kugetsu_git::rescue;
use kugetsu_git::worktree::lock::is_held;
use kugetsu_store::view::Repo;

use super::unused_mirror;
use crate::engine::Engine;
use crate::home::quarantine;
use crate::home::unknown::list;
use crate::home::used_numbers::references;
use crate::problems::{internal, problem, store_failed};
use crate::queries::repos::stored;
use crate::repositories;
use crate::runners::lock::is_alive;
use crate::sizes::{moved, size};

/// The namespace of rescues in a mirror.
const RESCUES: &str = "refs/kugetsu/rescue/";
/// The files of a mirror beside its rescues.
const RESCUE_FILES: &str = "rescue-files";
/// In the name of a directory with the damaged parts of a mirror.
const DAMAGED: &str = ".damaged-";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// The directories of runs.
    Runs,
    /// The worktrees and relays of issues.
    Worktrees,
    Mirrors,
    /// The files beside rescues, whose commits are in mirrors.
    Rescues,
    /// Things set aside: unknown files, damaged parts of mirrors, and replaced databases.
    Quarantine,
    /// Copies of the database, and what the shell script left.
    Backups,
    Database,
    Logs,
    Coordinator,
    Other,
}

impl Category {
    pub(crate) const ALL: [Self; 10] = [
        Self::Worktrees,
        Self::Mirrors,
        Self::Runs,
        Self::Rescues,
        Self::Quarantine,
        Self::Backups,
        Self::Database,
        Self::Logs,
        Self::Coordinator,
        Self::Other,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Worktrees => "worktrees",
            Self::Mirrors => "mirrors",
            Self::Rescues => "rescues",
            Self::Quarantine => "quarantine",
            Self::Backups => "backups",
            Self::Database => "database",
            Self::Logs => "logs",
            Self::Coordinator => "coordinator",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) category: Category,
    pub(crate) bytes: u64,
    /// Number of things.
    pub(crate) count: u64,
}

/// The thing to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The directory of a run.
    Run(RunId),
    Mirror(Repo),
    Rescue {
        repo: Repo,
        reference: String,
    },
    /// A directory or file that was set aside.
    Path(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) category: Category,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) last_used: Timestamp,
    pub(crate) in_use: bool,
    pub(crate) target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(crate) at: Timestamp,
    pub(crate) sizes: Vec<Size>,
    pub(crate) items: Vec<Item>,
}

impl Inventory {
    pub(crate) fn total(&self) -> u64 {
        self.sizes.iter().map(|size| size.bytes).sum()
    }
}

/// Lists everything in the home.
///
/// # Errors
/// The database or a directory cannot be read. One mirror that cannot be read is left out with a warning.
pub(crate) async fn take(engine: &Engine, with_rescues: bool) -> Result<Inventory, Problem> {
    let (home, at) = (engine.home().clone(), engine.now());
    let ended = engine.store().ended_runs().await.map_err(store_failed)?.into_iter().collect();
    let files = tokio::task::spawn_blocking(move || walk(&home, &ended)).await.map_err(internal)?;
    let Walked { sizes, mut items, mirrors } =
        files.map_err(|error| internal(format!("could not list the home: {error}")))?;
    for repo in stored(engine).await? {
        let directory = repositories::directory(engine, &repo);
        let Some(bytes) = mirrors.get(&directory).copied() else { continue };
        match of_mirror(engine, &repo, &directory, bytes, with_rescues).await {
            Ok(found) => items.extend(found),
            Err(error) => tracing::warn!(repo = %repo.name, error = error.message, "the mirror could not be looked at"),
        }
    }
    Ok(Inventory { at, sizes, items })
}

/// The mirror of a repository, and its rescues.
async fn of_mirror(
    engine: &Engine,
    repo: &Repo,
    directory: &Path,
    bytes: u64,
    with_rescues: bool,
) -> Result<Vec<Item>, Problem> {
    let in_use = unused_mirror::use_of(engine, repo).await?.is_some();
    let last_used = unused_mirror::last_used(engine, repo, directory).await?;
    let name = repo.name.to_string();
    let target = Target::Mirror(repo.clone());
    let mut items = vec![Item { category: Category::Mirrors, name, bytes, last_used, in_use, target }];
    if !with_rescues {
        return Ok(items);
    }
    let failed = |error: &dyn std::fmt::Display, hint: Option<String>| problem(ProblemKind::Failed, error, hint);
    let mirror = repositories::mirror_if_there(engine, repo).await.map_err(|error| failed(&error, error.hint()))?;
    let Some(mirror) = mirror else { return Ok(items) };
    for rescue in rescue::list(&mirror, None).await.map_err(|error| failed(&error, error.hint()))? {
        // The name ends with `-2` if it was not the first at that time.
        let time = rescue.at.split('-').next().unwrap_or_default();
        // One without a time is never old.
        let Ok(last_used) = rescue_time::shown(time).parse() else { continue };
        let name = format!("{}#{} {}", repo.name, rescue.issue, rescue.at);
        let target = Target::Rescue { repo: repo.clone(), reference: rescue.name };
        items.push(Item { category: Category::Rescues, name, bytes: 0, last_used, in_use: false, target });
    }
    Ok(items)
}

/// The files of the home.
struct Walked {
    sizes: Vec<Size>,
    /// Runs that have ended, and what was set aside.
    items: Vec<Item>,
    /// The size of each mirror.
    mirrors: HashMap<PathBuf, u64>,
}

/// Measures the home. `ended` are the runs that have ended, with the time.
fn walk(home: &Home, ended: &HashMap<RunId, Timestamp>) -> io::Result<Walked> {
    let mut sizes: Vec<Size> = Category::ALL.map(|category| Size { category, bytes: 0, count: 0 }).to_vec();
    let (mut items, mut mirrors) = (Vec::new(), HashMap::new());
    let mut add = |category: Category, bytes: u64, count: u64| {
        for size in sizes.iter_mut().filter(|size| size.category == category) {
            size.bytes += bytes;
            size.count += count;
        }
    };
    let mut set_aside = |path: PathBuf, in_use: bool| {
        let bytes = size(&path);
        let last_used = set_aside_at(&path);
        let name = path.strip_prefix(home.path()).unwrap_or(&path).display().to_string();
        items.push(Item { category: Category::Quarantine, name, bytes, last_used, in_use, target: Target::Path(path) });
        bytes
    };
    for entry in fs::read_dir(home.path())? {
        let path = entry?.path();
        if path == home.runs() || path == home.mirrors() || path == home.quarantine() || state(home).starts_with(&path)
        {
            continue;
        }
        let category = if path == home.worktrees() || path == home.relays() {
            Category::Worktrees
        } else if path == home.backup() {
            Category::Backups
        } else if Some(&*path) == home.log().parent() {
            Category::Logs
        } else if path == home.coordinator() {
            Category::Coordinator
        } else {
            Category::Other
        };
        let count = match category {
            Category::Worktrees if path == home.worktrees() => list(&path)?.len() as u64,
            Category::Backups => list(&path)?.len() as u64,
            _ => 0,
        };
        add(category, size(&path), count);
    }
    for time in list(&home.quarantine())? {
        let path = home.quarantine().join(&time);
        let bytes = set_aside(path.clone(), is_quarantine_used(home, &path));
        add(Category::Quarantine, bytes, 1);
    }
    for path in paths(&home.mirrors())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains(DAMAGED) {
            let bytes = set_aside(path.clone(), false);
            add(Category::Quarantine, bytes, 1);
            continue;
        }
        let (bytes, beside) = (size(&path), size(&path.join(RESCUE_FILES)));
        let is_mirror = path.is_dir();
        let rescues =
            if is_mirror { references(&path)?.iter().filter(|name| name.starts_with(RESCUES)).count() } else { 0 };
        add(Category::Rescues, beside, rescues as u64);
        add(Category::Mirrors, bytes.saturating_sub(beside), u64::from(is_mirror));
        if is_mirror {
            mirrors.insert(path, bytes);
        }
    }
    for path in paths(&state(home))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_old = (name.starts_with("saved-") || name.starts_with("replaced-")) && name.ends_with(".db");
        match is_old {
            true => {
                let bytes = set_aside(path.clone(), false);
                add(Category::Quarantine, bytes, 1);
            }
            false => add(Category::Database, size(&path), 0),
        }
    }
    for name in list(&home.runs())? {
        let bytes = size(&home.runs().join(&name));
        add(Category::Runs, bytes, 1);
        let Ok(run) = name.parse::<RunId>() else { continue };
        // The others are in use, or the database does not know them.
        let Some(last_used) = ended.get(&run).copied() else { continue };
        let in_use = is_alive(&home.run(run));
        items.push(Item { category: Category::Runs, name, bytes, last_used, in_use, target: Target::Run(run) });
    }
    Ok(Walked { sizes, items, mirrors })
}

/// When something was set aside: what its name says, or when it was moved. Its contents are older.
fn set_aside_at(path: &Path) -> Timestamp {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let milliseconds = || {
        let number = name.strip_prefix("saved-").or_else(|| name.strip_prefix("replaced-"))?.strip_suffix(".db")?;
        Timestamp::from_millisecond(number.parse().ok()?).ok()
    };
    // The name of a quarantine ends with `-2` if it was not the first at that time.
    let time = || rescue_time::shown(name.split('-').next()?).parse().ok();
    milliseconds().or_else(time).unwrap_or_else(|| moved(path))
}

/// Whether something in a directory of the quarantine is in use: a user may have opened a worktree there. If that cannot be found
/// out, it is assumed.
pub(super) fn is_quarantine_used(home: &Home, directory: &Path) -> bool {
    match quarantine::list(home) {
        Ok(all) => all.iter().any(|one| one.path.starts_with(directory) && is_held(&one.path).unwrap_or(true)),
        Err(_) => true,
    }
}

/// The directory of the database.
fn state(home: &Home) -> PathBuf {
    home.database().with_file_name("")
}

fn paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(list(directory)?.into_iter().map(|name| directory.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_set_aside_is_as_old_as_its_removal_from_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let old = std::time::SystemTime::UNIX_EPOCH;
        for name in ["replaced-1795891419819.db", "20261122T212734Z-2", "x.damaged-1"] {
            fs::File::create(path(name)).unwrap().set_modified(old).unwrap();
        }
        let at = |name: &str| set_aside_at(&path(name)).as_millisecond();
        assert_eq!(at("replaced-1795891419819.db"), 1_795_891_419_819);
        assert_eq!(at("20261122T212734Z-2"), "2026-11-22T21:27:34Z".parse::<Timestamp>().unwrap().as_millisecond());
        let recent = Timestamp::now().as_millisecond() - 60_000;
        assert!(at("x.damaged-1") > recent);
    }

    #[test]
    fn a_worktree_whose_lock_cannot_be_tried_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let time = home.quarantine().join("20260101T000000Z");
        let worktrees = time.join("worktrees");
        fs::create_dir_all(worktrees.join("free")).unwrap();
        assert!(!is_quarantine_used(&home, &time));
        symlink("endless", worktrees.join("endless")).unwrap();
        assert!(is_quarantine_used(&home, &time));
    }
}
