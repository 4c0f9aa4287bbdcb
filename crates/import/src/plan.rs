//! Decides what to do with each of the script's files. Only reads; nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_domain::text::{counted, shell_word};

use crate::index::Index;
use crate::names::{reference, relative};
use crate::queue::{Item, State};
use crate::row::Row;
use crate::session::{self, Session};
use crate::worktrees::Worktrees;
use crate::{json, processes, queue};

/// Program names of the script's agent and of the script.
const AGENTS: [&str; 1] = ["opencode"];
const SCRIPT: [&str; 1] = ["kugetsu"];

/// The work on one issue.
#[derive(Debug)]
pub(crate) struct Work {
    /// Its name in the table.
    pub(crate) what: String,
    pub(crate) reference: String,
    pub(crate) session: Session,
    /// The clone that contains it, or the reason if there is no clone.
    pub(crate) clone: Result<PathBuf, String>,
}

#[derive(Debug, Default)]
pub struct Plan {
    pub(crate) work: Vec<Work>,
    /// Messages for the coordinator with their files, oldest first.
    pub(crate) messages: Vec<(PathBuf, Item)>,
    /// Files that move into the backup once every message in them is queued.
    pub(crate) queues: Vec<PathBuf>,
    /// Files that are not used, and move into the backup.
    pub(crate) unused: Vec<(PathBuf, Option<Row>)>,
    /// Unreadable files, with the reason.
    pub(crate) broken: Vec<(PathBuf, String)>,
    /// Rows of files that stay in their directory.
    pub(crate) left: Vec<Row>,
    /// The index, which moves into the backup with the last session.
    pub(crate) index: Option<PathBuf>,
}

impl Plan {
    /// Whether there is nothing to import or to report.
    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
            && self.messages.is_empty()
            && self.queues.is_empty()
            && self.unused.is_empty()
            && self.broken.is_empty()
            && self.left.is_empty()
            && self.index.is_none()
    }

    /// Reads the home. `user` is the user's home directory.
    pub fn read(home: &Home, user: Option<PathBuf>) -> Self {
        let worktrees = Worktrees::new(home, user);
        let mut plan = Self::default();
        let index = read_index(home.path(), &mut plan);
        let mut sessions = Vec::new();
        read_sessions(home.path(), &mut sessions, &mut plan);
        for session in &mut sessions {
            add_issue(session, &index);
        }
        for (issue, id) in index.sessions() {
            let is_known =
                |known: &Session| known.id.as_deref() == Some(id) || known.reference.as_deref() == Some(issue);
            if !sessions.iter().any(is_known) {
                let (reference, id) = (Some(issue.to_owned()), Some(id.to_owned()));
                sessions.push(Session { reference, id, ..Session::default() });
            }
        }
        for session in sessions {
            let what =
                session.file.as_ref().map_or_else(|| "index.json".to_owned(), |file| relative(home.path(), file));
            match session.reference.clone() {
                Some(reference) => {
                    let clone = worktrees.of(session.worktree.as_deref(), &reference);
                    plan.work.push(Work { what, reference, session, clone });
                }
                None => plan
                    .left
                    .push(Row::left(what, "it does not name its issue").next("add the issue in a field \"issue_ref\"")),
            }
        }
        add_unknown_worktrees(home.path(), &worktrees, &mut plan);
        read_queue(home.path(), &mut plan);
        plan
    }
}

fn read_index(home: &Path, plan: &mut Plan) -> Index {
    let path = home.join("index.json");
    if path.symlink_metadata().is_err() {
        return Index::default();
    }
    match json::read(&path) {
        Ok(value) => {
            plan.index = Some(path);
            Index::parse(&value)
        }
        Err(why) => {
            plan.broken.push((path, why));
            Index::default()
        }
    }
}

fn read_sessions(home: &Path, sessions: &mut Vec<Session>, plan: &mut Plan) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(home.join("sessions")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.ends_with(".json") {
            plan.left.push(Row::left(relative(home, &path), "it is not a session file"));
            continue;
        }
        let value = match json::read(&path) {
            Ok(value) if value.is_object() => value,
            Ok(_) => {
                plan.broken.push((path, "it is not a session".to_owned()));
                continue;
            }
            Err(why) => {
                plan.broken.push((path, why));
                continue;
            }
        };
        let why = match name.as_str() {
            "base.json" => "sessions are no longer forked; each new one starts with base/context.md",
            "pm-agent.json" => "the coordinator gets a new session, with what it needs to know",
            _ => {
                sessions.push(Session::parse(&path, &value));
                continue;
            }
        };
        let id = session::id(&value);
        let row = Row::left(relative(home, &path), format!("{why}; the file moves into the backup"));
        let row = match id {
            Some(id) => row.next(format!("delete the old session with `opencode session delete {}`", shell_word(&id))),
            None => row,
        };
        plan.unused.push((path, Some(row)));
    }
}

/// Finds the issue of a session: in its file, in the index, or in the name of its file.
fn add_issue(session: &mut Session, index: &Index) {
    let name = session.file.as_ref().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    let known = [name.as_deref(), session.id.as_deref()].into_iter().flatten().find_map(|key| index.issue(key));
    let by_name = || reference(name.as_deref()?.strip_suffix(".json")?);
    session.reference = session.reference.take().or_else(|| known.map(str::to_owned)).or_else(by_name);
}

/// Adds worktrees that no session names, if their directory is named after an issue.
fn add_unknown_worktrees(home: &Path, worktrees: &Worktrees, plan: &mut Plan) {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let known: BTreeSet<PathBuf> =
        plan.work.iter().filter_map(|work| work.clone.as_ref().ok()).map(|path| real(path)).collect();
    for path in worktrees.all() {
        if known.contains(&real(&path)) {
            continue;
        }
        let what = relative(home, &path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = shell_word(&path.display().to_string());
        match reference(&name) {
            Some(issue) if plan.work.iter().any(|work| work.reference == issue) => {
                let why = format!("the session of {issue} names another worktree");
                plan.left.push(Row::left(what, why).next(format!("inspect it with `ls -la {shown}`")));
            }
            Some(reference) => {
                plan.work.push(Work { what, reference, session: Session::default(), clone: Ok(path) });
            }
            None => {
                let why = "no session names it, and its own name is not that of an issue";
                plan.left.push(Row::left(what, why).next(format!("inspect it with `ls -la {shown}`")));
            }
        }
    }
}

fn read_queue(home: &Path, plan: &mut Plan) {
    let files = queue::read(home);
    let pid_file = home.join("queue/daemon.pid");
    if pid_file.symlink_metadata().is_ok() {
        let pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid| processes::is_running(*pid, &SCRIPT, None)) {
            let row = Row::left("queue", format!("the script's queue daemon (process {pid}) is still running"));
            plan.left.push(row.next(format!("run `kill {pid}`, then `kugetsu init` again")));
            return;
        }
        plan.unused.push((pid_file, None));
    }
    let mut finished = 0;
    for (path, file) in files {
        let file = match file {
            Ok(file) => file,
            Err(why) => {
                plan.broken.push((path, why));
                continue;
            }
        };
        let single = path.parent() == Some(&home.join("queue/items"));
        let mut stays = false;
        for (what, why) in file.malformed {
            match single {
                true => plan.broken.push((path.clone(), why)),
                false => plan.unused.push((path.clone(), Some(Row::set_aside(what, why)))),
            }
            stays |= single;
        }
        for item in file.items {
            match item.state {
                State::Finished => finished += 1,
                State::Waiting => plan.messages.push((path.clone(), item)),
                State::HandedOver => {
                    let row = handed_over(&item);
                    match single {
                        true => plan.left.push(row),
                        false => plan.unused.push((path.clone(), Some(row))),
                    }
                    stays |= single;
                }
            }
        }
        if !stays {
            plan.queues.push(path);
        }
    }
    plan.messages.sort_by_key(|(_, item)| item.created_ms);
    if finished > 0 {
        plan.left.push(Row::left(counted(finished, "finished queue item"), "kept in the backup only"));
    }
}

fn handed_over(item: &Item) -> Row {
    let row = match item.pid.filter(|pid| processes::is_running(*pid, &AGENTS, None)) {
        Some(pid) => Row::left(&item.what, format!("an agent (process {pid}) is working on it")),
        None => Row::left(&item.what, "the coordinator received it and may have done it, so it is not repeated"),
    };
    let message = match item.message.chars().count() < 200 && !item.message.contains('\n') {
        true => shell_word(&item.full_message().replace('\n', " ")),
        false => "\"<its message>\"".to_owned(),
    };
    row.next(format!("if it is not done, repeat it with `kugetsu delegate --anyway {message}`"))
}

impl Work {
    /// The process that still works on it.
    pub(crate) fn running_agent(&self) -> Option<i64> {
        let clone = self.clone.as_deref().ok();
        let recorded = self.session.pid.filter(|pid| processes::is_running(*pid, &AGENTS, clone));
        recorded.or_else(|| processes::worker_in(clone?, &AGENTS))
    }
}
