//! `kugetsu db`: checks, backs up, restores and rebuilds the database.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::home_id;
use kugetsu_domain::text::{counted, shell_word};
use kugetsu_engine::home::{backups, quarantine};
use kugetsu_engine::rebuild::replay::{NOT_KNOWN, Rebuilt, rebuild};
use kugetsu_store::open;
use kugetsu_store::view::Repo;
use serde::Serialize;

use crate::config::load::{load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{db_file, read_only_db};

/// Check, back up, restore and rebuild the database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu db check
  kugetsu db backup")]
pub(crate) struct Db {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the database, and compare it with the home.
    #[command(after_help = "\
Examples:
  kugetsu db check
  kugetsu db check --json")]
    Check {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a copy of the database. The daemon makes one each day.
    #[command(after_help = "\
Examples:
  kugetsu db backup
  kugetsu db backup /mnt/usb/kugetsu.db")]
    Backup {
        /// The new file; defaults to one in the directory `backup` of the home.
        file: Option<PathBuf>,
    },
    /// Replace the database by a copy. The replaced one is kept beside it.
    #[command(after_help = "\
Examples:
  kugetsu db restore
  kugetsu db restore /mnt/usb/kugetsu.db")]
    Restore {
        /// The copy; defaults to the newest one in the directory `backup` of the home.
        file: Option<PathBuf>,
    },
    /// Make a new database from the runs, worktrees and mirrors in the home. The replaced one is kept beside it.
    #[command(after_help = "\
Examples:
  kugetsu db rebuild
  kugetsu db rebuild --yes")]
    Rebuild {
        /// Do not ask for confirmation if the database has no problems or a backup is as new.
        #[arg(short, long, alias = "force")]
        yes: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, arguments: Db) -> Result<Exit, Failure> {
    match arguments.action {
        Action::Check { json } => check(home, json).await,
        Action::Backup { file } => backup(home, file).await,
        Action::Restore { file } => restore(home, file).await,
        Action::Rebuild { yes, json } => rebuild_database(home, yes, json).await,
    }
}

/// The result of `kugetsu db check --json`.
#[derive(Debug, Default, Serialize)]
struct CheckReport {
    database: String,
    /// The identifier of the home.
    home: Option<String>,
    issues: u64,
    /// Paths of the backups, the newest first.
    backups: Vec<String>,
    problems: Vec<String>,
    /// Paths of what is in quarantine.
    quarantined: Vec<String>,
}

async fn check(home: &Home, json: bool) -> Result<Exit, Failure> {
    let mut report = CheckReport { database: home.database().display().to_string(), ..CheckReport::default() };
    report.home = home_id::read(home).ok().flatten().map(|id| id.to_string());
    let unreadable = |error: std::io::Error| Failure::new(format!("could not read the home: {error}"));
    report.backups =
        shown(backups::backups(home, Timestamp::now()).map_err(unreadable)?.into_iter().map(|backup| backup.path));
    report.quarantined = shown(quarantine::list(home).map_err(unreadable)?.into_iter().map(|one| one.path));
    match read_only_db::open(home).await {
        Err(unreadable) => report.problems.push(unreadable.message),
        Ok(None) if report.home.is_some() => {
            report.problems.push("the database is missing or empty, but the home was used".to_owned());
        }
        Ok(None) => {}
        Ok(Some(db)) => {
            let failed = |error: kugetsu_store::error::StoreError| Failure::new(error.to_string()).hints(error.hint());
            report.problems = db.problems().await.map_err(failed)?;
            report.issues = db.issue_count().await.map_err(failed)?;
            match db.differences(home).await {
                Ok(differences) => report.problems.extend(differences),
                Err(error) => report.problems.push(format!("the home cannot be compared: {error}")),
            }
        }
    }
    let is_good = report.problems.is_empty();
    if json {
        ui::json(&report)?;
    } else {
        print(&report);
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

fn shown(paths: impl Iterator<Item = PathBuf>) -> Vec<String> {
    paths.map(|path| path.display().to_string()).collect()
}

fn print(report: &CheckReport) {
    ui::line(format!("{}: {}", report.database, counted(report.issues, "issue")));
    match report.backups.first() {
        Some(newest) => ui::line(format!("{}, the newest {newest}", counted(report.backups.len() as u64, "backup"))),
        None => ui::line("no backups; the daemon makes one each day"),
    }
    if report.problems.is_empty() {
        ui::toned(Tone::Good, "no problems");
    }
    for problem in &report.problems {
        ui::toned(Tone::Bad, format!("problem: {problem}"));
    }
    for quarantined in &report.quarantined {
        ui::toned(Tone::Warning, format!("in quarantine: {quarantined}"));
    }
    if !report.problems.is_empty() {
        ui::note("restore a backup with `kugetsu db restore`, or make a new database with `kugetsu db rebuild`");
    } else if !report.quarantined.is_empty() {
        ui::note("take it over with `kugetsu db rebuild`, or inspect it and remove it yourself");
    }
}

async fn backup(home: &Home, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let failed = |why: String| Failure::new(format!("could not back up the database: {why}"));
    let db = read_only_db::open(home).await.map_err(|unreadable| failed(unreadable.message))?;
    let db = db.ok_or_else(|| failed("nothing is stored yet".to_owned()))?;
    let file = match file {
        Some(file) => std::path::absolute(file).map_err(|error| failed(error.to_string()))?,
        None => {
            backups::create_directory(home).map_err(|error| failed(error.to_string()))?;
            backups::path_at(home, Timestamp::now())
        }
    };
    if file.symlink_metadata().is_ok() {
        return Err(failed(format!("{} exists", file.display())).hint("name a file that does not exist"));
    }
    if let Some(directory) = file.parent().filter(|directory| !directory.is_dir()) {
        return Err(failed(format!("{} is not a directory", directory.display()))
            .hint("create it first, or name a file in another directory"));
    }
    db.back_up(file.clone()).await.map_err(|error| failed(error.to_string()).hints(error.hint()))?;
    ui::line(format!("backed up the database to {}", file.display()));
    Ok(Exit::Done)
}

async fn restore(home: &Home, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let file = match file {
        Some(file) => file,
        None => {
            let all = backups::backups(home, Timestamp::now());
            let all = all.map_err(|error| Failure::new(format!("could not list the backups: {error}")))?;
            let newest = all.into_iter().next().map(|backup| backup.path);
            newest.ok_or_else(|| {
                Failure::usage(format!("{} has no backup of the database", home.backup().display()))
                    .hint("name a copy: `kugetsu db restore <file>`; without one: `kugetsu db rebuild`")
            })?
        }
    };
    let new = db_file::create(home, Some(&file))?;
    let damage = new.store()?.check().await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    let own = home_id::read(home).ok().flatten().map(|id| id.to_string());
    let stored = new.store()?.home().await.map_err(|error| Failure::new(error.to_string()))?;
    if let (Some(own), Some(stored)) = (&own, &stored)
        && own != stored
    {
        return Err(Failure::new(format!("{} is a copy of the database of another home", file.display()))
            .hint(format!("to use it all the same, remove {} first", home.id().display())));
    }
    let kept = new.put_in_use().await?;
    ui::line(format!("restored the database from {}", file.display()));
    for row in &damage {
        ui::warning(format!("the copy is damaged: {row}"));
    }
    print_kept(kept.as_deref());
    ui::note(
        "work that it does not know is moved into quarantine when the daemon starts; list it with `kugetsu db check`",
    );
    Ok(Exit::Done)
}

fn print_kept(kept: Option<&Path>) {
    if let Some(kept) = kept {
        ui::line(format!("kept the replaced database as {}", kept.display()));
        ui::note(format!("go back to it with `kugetsu db restore {}`", shell_word(&kept.display().to_string())));
    }
}

/// The result of `kugetsu db rebuild --json`.
#[derive(Debug, Serialize)]
struct RebuildReport {
    issues: Vec<IssueReport>,
    left: Vec<String>,
    not_known: Vec<&'static str>,
    replaced: Option<String>,
}

#[derive(Debug, Serialize)]
struct IssueReport {
    issue: String,
    state: &'static str,
    runs: usize,
}

async fn rebuild_database(home: &Home, yes: bool, json: bool) -> Result<Exit, Failure> {
    let new = db_file::create(home, None)?;
    if !yes && !is_rebuild_confirmed(home).await? {
        ui::line("rebuilt nothing");
        return Ok(Exit::Done);
    }
    let known = stored_repositories(home).await;
    let agent = load(home, &own_environment)?.settings.default_agent;
    let rebuilt = rebuild(home, new.store()?, known, &agent, Timestamp::now()).await;
    let Rebuilt { issues, left } =
        rebuilt.map_err(|error| Failure::new(format!("could not rebuild the database: {error}")))?;
    let kept = new.put_in_use().await?;
    let issues: Vec<IssueReport> = issues
        .into_iter()
        .map(|issue| IssueReport { issue: issue.reference, state: issue.state, runs: issue.runs })
        .collect();
    if json {
        let replaced = kept.map(|kept| kept.display().to_string());
        ui::json(&RebuildReport { issues, left, not_known: NOT_KNOWN.to_vec(), replaced })?;
        return Ok(Exit::Done);
    }
    ui::line(format!("rebuilt the database with {}", counted(issues.len() as u64, "issue")));
    let rows: Vec<Vec<String>> =
        issues.into_iter().map(|issue| vec![issue.issue, issue.state.to_owned(), issue.runs.to_string()]).collect();
    if !rows.is_empty() {
        ui::table(&["ISSUE", "STATE", "RUNS"], &rows);
    }
    for left in &left {
        ui::warning(format!("left unchanged: {left}"));
    }
    ui::line("not known to the home, and so lost unless a backup has it:");
    for lost in NOT_KNOWN {
        ui::line(format!("  {lost}"));
    }
    print_kept(kept.as_deref());
    Ok(Exit::Done)
}

/// Asks, if less would be lost without a rebuild.
async fn is_rebuild_confirmed(home: &Home) -> Result<bool, Failure> {
    let Some(reason) = reason_against_rebuild(home).await? else { return Ok(true) };
    let loss = "a rebuild loses what only the database holds, such as queued tasks and priorities";
    if !ui::is_interactive() {
        let message =
            format!("rebuilding the database needs confirmation, but stdin is not a terminal: {reason}, and {loss}");
        return Err(Failure::needs_person(message)
            .hint("to go back to a backup, run `kugetsu db restore`")
            .hint("to rebuild anyway, run `kugetsu db rebuild --yes`"));
    }
    ui::warning(format!("{reason}, and {loss}; to go back to a backup, run `kugetsu db restore`"));
    ui::confirm("rebuild the database anyway?")
}

/// Why a rebuild is not the best repair: the database is sound, or a backup is as new. `None` if neither holds.
async fn reason_against_rebuild(home: &Home) -> Result<Option<String>, Failure> {
    let path = home.database();
    if let Ok(Some(db)) = read_only_db::open(home).await {
        let is_sound = db.problems().await.is_ok_and(|problems| problems.is_empty())
            && db.differences(home).await.is_ok_and(|differences| differences.is_empty());
        if is_sound && db.issue_count().await.is_ok_and(|count| count > 0) {
            return Ok(Some(format!("{} has no problems", path.display())));
        }
    }
    let backups = backups::backups(home, Timestamp::now());
    let backups = backups.map_err(|error| Failure::new(format!("could not list the backups: {error}")))?;
    let modified = |path: &Path| path.metadata().ok().filter(|file| file.len() > 0)?.modified().ok();
    let last_write = modified(&path).max(modified(&db_file::beside(&path, "-wal")));
    // Nothing is replaced.
    let Some(last_write) = last_write else { return Ok(None) };
    let newest = backups.into_iter().next().filter(|newest| modified(&newest.path) >= Some(last_write));
    Ok(newest.map(|newest| format!("the backup {} is as new as the database", newest.path.display())))
}

/// Returns the repositories that the old database and its copies name, as far as they can be read: the sources of mirrors are
/// nowhere else.
async fn stored_repositories(home: &Home) -> Vec<Repo> {
    let mut files = vec![home.database()];
    files.extend(backups::backups(home, Timestamp::now()).unwrap_or_default().into_iter().map(|backup| backup.path));
    let beside = home.database().parent().and_then(|directory| std::fs::read_dir(directory).ok());
    files.extend(beside.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        (name.starts_with("saved-") || name.starts_with("replaced-")) && name.ends_with(".db")
    }));
    let mut repositories = Vec::<Repo>::new();
    for file in files {
        let Ok(store) = open::open_unused(&file) else { continue };
        for repo in store.repos().await.unwrap_or_default() {
            if !repositories.iter().any(|known| known.name == repo.name) {
                repositories.push(repo);
            }
        }
    }
    repositories
}
