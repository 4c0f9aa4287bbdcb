//! What is to be taken over of the script's files, and what is not: read only, nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_domain::text::counted;
use kugetsu_domain::text::shell_word;

use super::alive;
use super::index::Index;
use super::item::{Item, Standing};
use super::names::{below, reference};
use super::places::Places;
use super::row::Row;
use super::session::{self, Session};
use super::{json, queue};

/// What the script called its agent, and itself.
const AGENTS: [&str; 1] = ["opencode"];
const SCRIPT: [&str; 1] = ["kugetsu"];

/// Work on an issue.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) what: String,
    pub(super) reference: String,
    pub(super) session: Session,
    /// The clone it is in, or why there is none.
    pub(super) clone: Result<PathBuf, String>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(super) work: Vec<Work>,
    /// Messages for the coordinator, oldest first, each with its file.
    pub(super) messages: Vec<(PathBuf, Item)>,
    /// Files that go into the backup once every message in them is queued.
    pub(super) queues: Vec<PathBuf>,
    /// What is not used; the file goes into the backup.
    pub(super) unused: Vec<(PathBuf, Option<Row>)>,
    /// What cannot be read, and why.
    pub(super) broken: Vec<(PathBuf, String)>,
    /// What stays where it is.
    pub(super) left: Vec<Row>,
    /// The index, which goes into the backup with the last session.
    pub(super) index: Option<PathBuf>,
}

impl Plan {
    /// Whether there is nothing of the script's work.
    pub(crate) fn is_empty(&self) -> bool {
        self.work.is_empty()
            && self.messages.is_empty()
            && self.queues.is_empty()
            && self.unused.is_empty()
            && self.broken.is_empty()
            && self.left.is_empty()
            && self.index.is_none()
    }
}

/// Reads what there is.
pub(crate) fn read(home: &Home) -> Plan {
    let user = std::env::var_os("HOME").filter(|user| !user.is_empty()).map(PathBuf::from);
    let places = Places::new(home, user);
    let mut plan = Plan::default();
    let index = read_index(home.path(), &mut plan);
    let mut sessions = Vec::new();
    read_sessions(home.path(), &mut sessions, &mut plan);
    for session in &mut sessions {
        add_issue(session, &index);
    }
    for (issue, id) in index.sessions() {
        if !sessions.iter().any(|known| known.id.as_deref() == Some(id) || known.reference.as_deref() == Some(issue)) {
            let session = Session { reference: Some(issue.to_owned()), id: Some(id.to_owned()), ..Session::default() };
            sessions.push(session);
        }
    }
    for session in sessions {
        let what = session.file.as_ref().map_or_else(|| "index.json".to_owned(), |file| below(home.path(), file));
        match session.reference.clone() {
            Some(reference) => {
                let clone = places.of(session.place.as_deref(), &reference);
                plan.work.push(Work { what, reference, session, clone });
            }
            None => plan.left.push(
                Row::left(what, "it does not say which issue it is about").next("name it in a field \"issue_ref\""),
            ),
        }
    }
    add_unknown_worktrees(home.path(), &places, &mut plan);
    read_queue(home.path(), &mut plan);
    plan
}

fn read_index(home: &Path, plan: &mut Plan) -> Index {
    let path = home.join("index.json");
    if path.symlink_metadata().is_err() {
        return Index::default();
    }
    match json::read(&path) {
        Ok(value) => {
            plan.index = Some(path);
            Index::read(&value)
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
            plan.left.push(Row::left(below(home, &path), "it is no session file"));
            continue;
        }
        let value = match json::read(&path) {
            Ok(value) if value.is_object() => value,
            Ok(_) => {
                plan.broken.push((path, "it is no session".to_owned()));
                continue;
            }
            Err(why) => {
                plan.broken.push((path, why));
                continue;
            }
        };
        let why = match name.as_str() {
            "base.json" => "no session is forked any more: base/context.md is what each new one is told",
            "pm-agent.json" => "the coordinator has a session of its own, and it is told what it has to know",
            _ => {
                sessions.push(Session::read(&path, &value));
                continue;
            }
        };
        let id = session::id(&value);
        let row = Row::left(below(home, &path), format!("{why}; the file goes into the backup"));
        let row = match id {
            Some(id) => row.next(format!("to delete the old session: opencode session delete {}", shell_word(&id))),
            None => row,
        };
        plan.unused.push((path, Some(row)));
    }
}

fn add_issue(session: &mut Session, index: &Index) {
    let name = session.file.as_ref().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    let known = [name.as_deref(), session.id.as_deref()].into_iter().flatten().find_map(|key| index.issue(key));
    let by_name = || reference(name.as_deref()?.strip_suffix(".json")?);
    session.reference = session.reference.take().or_else(|| known.map(str::to_owned)).or_else(by_name);
}

/// Worktrees that no session names: their own name may say which issue they belong to.
fn add_unknown_worktrees(home: &Path, places: &Places, plan: &mut Plan) {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let known: BTreeSet<PathBuf> =
        plan.work.iter().filter_map(|work| work.clone.as_ref().ok()).map(|path| real(path)).collect();
    for path in places.all() {
        if known.contains(&real(&path)) {
            continue;
        }
        let what = below(home, &path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = shell_word(&path.display().to_string());
        match reference(&name) {
            Some(issue) if plan.work.iter().any(|work| work.reference == issue) => {
                let why = format!("the session of {issue} has another worktree");
                plan.left.push(Row::left(what, why).next(format!("look into it: ls -la {shown}")));
            }
            Some(reference) => {
                plan.work.push(Work { what, reference, session: Session::default(), clone: Ok(path) });
            }
            None => {
                let why = "no session names it, and its own name does not say which issue it belongs to";
                plan.left.push(Row::left(what, why).next(format!("look into it: ls -la {shown}")));
            }
        }
    }
}

fn read_queue(home: &Path, plan: &mut Plan) {
    let files = queue::read(home);
    let pid_file = home.join("queue/daemon.pid");
    if pid_file.symlink_metadata().is_ok() {
        let pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid| alive::runs(*pid, &SCRIPT, None)) {
            let row = Row::left("queue", format!("the script's queue daemon (process {pid}) still works on it"));
            plan.left.push(row.next(format!("kill {pid}; then kugetsu init")));
            return;
        }
        plan.unused.push((pid_file, None));
    }
    let mut over = 0;
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
            match item.standing {
                Standing::Over => over += 1,
                Standing::Waiting => plan.messages.push((file.path.clone(), item)),
                Standing::HandedOver => {
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
    plan.messages.sort_by_key(|(_, item)| item.at);
    if over > 0 {
        plan.left.push(Row::left(counted(over, "ended queue item"), "what is over is kept in the backup only"));
    }
}

fn handed_over(item: &Item) -> Row {
    let row = match item.pid.filter(|pid| alive::runs(*pid, &AGENTS, None)) {
        Some(pid) => Row::left(&item.what, format!("an agent (process {pid}) works on it")),
        None => Row::left(&item.what, "it was handed over and may be done; nothing is done twice unasked"),
    };
    let message = match item.message.chars().count() < 200 && !item.message.contains('\n') {
        true => shell_word(&item.told().replace('\n', " ")),
        false => "\"<its message>\"".to_owned(),
    };
    row.next(format!("if it is not done: kugetsu delegate --anyway {message}"))
}

/// The process that still works on it.
pub(super) fn worked_on(work: &Work) -> Option<i64> {
    let clone = work.clone.as_deref().ok();
    let written = work.session.pid.filter(|pid| alive::runs(*pid, &AGENTS, clone));
    written.or_else(|| alive::worker_in(clone?, &AGENTS))
}
