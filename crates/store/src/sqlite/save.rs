//! Saves the rows that a transaction changed.

use std::collections::HashMap;

use jiff::Timestamp;
use kugetsu_domain::effect::Effect;
use kugetsu_domain::hold::Pause;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Run;
use kugetsu_domain::watch::command::AnswerOn;
use kugetsu_domain::watch::feedback::{Ending, Record, RecordState};
use kugetsu_domain::watch::follow::Question;
use rusqlite::{Connection, Params, params};
use serde_json::{Value, json};

use super::load::{Memory, number};
use crate::effect::EffectId;
use crate::error::StoreError;
use crate::query::ShownAs;
use crate::transaction::{Changes, EffectChange, IssueChange, RepoChange, StoredRepo, TaskChange};
use crate::view::StoredEvent;

/// Replaces the address or path of a repository.
pub(super) fn set_source(connection: &Connection, repo: &RepoRef, source: &str) -> Result<(), StoreError> {
    let values = [source, repo.base.as_str(), repo.project.as_str()];
    connection.execute("UPDATE repos SET source = ? WHERE base = ? AND project = ?", values)?;
    Ok(())
}

/// See [`Store::set_run_key`](crate::store::Store::set_run_key). The other columns of a run are saved without it.
pub(super) fn set_run_key(connection: &Connection, run: RunId, key: &str) -> Result<(), StoreError> {
    let set = "UPDATE runs SET key = ? WHERE id = ? AND state IN ('starting', 'working')";
    connection.prepare_cached(set)?.execute(params![key, run.to_string()])?;
    Ok(())
}

/// Adds a pause. One that is stored already keeps its time.
pub(super) fn add_pause(connection: &Connection, pause: &Pause) -> Result<(), StoreError> {
    let (base, project) = names(pause.repo.as_ref());
    let insert = "INSERT OR IGNORE INTO pauses (base, project, since) VALUES (?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![base, project, pause.since.as_millisecond()])?;
    Ok(())
}

pub(super) fn remove_pause(connection: &Connection, repo: Option<&RepoRef>) -> Result<(), StoreError> {
    let (base, project) = names(repo);
    connection.prepare_cached("DELETE FROM pauses WHERE base = ? AND project = ?")?.execute([base, project])?;
    Ok(())
}

pub(super) fn resume_agent(connection: &Connection, agent: &str, at: Timestamp) -> Result<(), StoreError> {
    let put = "INSERT INTO resumed_agents (agent, at) VALUES (?, ?) ON CONFLICT (agent) DO UPDATE SET at = excluded.at";
    connection.prepare_cached(put)?.execute(params![agent, at.as_millisecond()])?;
    Ok(())
}

/// Both are empty for everything.
fn names(repo: Option<&RepoRef>) -> (&str, &str) {
    repo.map_or(("", ""), |repo| (repo.base.as_str(), repo.project.as_str()))
}

/// Saves the rows in the current transaction. Returns the repositories that changed, with their keys.
pub(super) fn save(
    connection: &Connection,
    memory: &Memory,
    changes: &Changes,
) -> Result<HashMap<RepoRef, (i64, StoredRepo)>, StoreError> {
    let mut repos = HashMap::new();
    for change in &changes.repos {
        repos.insert(change.name.clone(), (repo(connection, change)?, change.row.clone()));
    }
    for (id, change) in &changes.issues {
        let name = &change.issue.reference.repo;
        let repo = repos.get(name).map(|(key, _)| *key).or_else(|| memory.repo(name));
        issue(connection, *id, repo, change)?;
    }
    for (seq, change) in &changes.tasks {
        task(connection, *seq, change)?;
    }
    for (issue, changed) in changes.runs.values() {
        run(connection, *issue, changed)?;
    }
    for stored in &changes.events {
        event(connection, stored)?;
    }
    for change in &changes.effects {
        effect(connection, change)?;
    }
    Ok(repos)
}

/// Executes a statement that has to change exactly one row.
fn put(connection: &Connection, statement: &str, params: impl Params) -> Result<(), StoreError> {
    match connection.prepare_cached(statement)?.execute(params)? {
        1 => Ok(()),
        _ => Err(StoreError::Database("another program has changed the database; only the daemon may".to_owned())),
    }
}

fn repo(connection: &Connection, change: &RepoChange) -> Result<i64, StoreError> {
    let RepoChange { name, row, now } = change;
    let kind = row.kind.map(|kind| kind.name());
    let params = params![
        name.base.as_str(),
        name.project.as_str(),
        kind,
        row.source,
        number(row.last_number),
        now.as_millisecond(),
    ];
    Ok(connection.prepare_cached(PUT_REPO)?.query_row(params, |row| row.get(0))?)
}

const PUT_REPO: &str = "\
    INSERT INTO repos (base, project, kind, source, last_number, created_at) VALUES (?, ?, ?, ?, ?, ?) \
    ON CONFLICT (base, project) DO UPDATE \
        SET kind = excluded.kind, source = excluded.source, last_number = excluded.last_number \
    RETURNING id";

/// `repo` is known unless the issue is stored already.
fn issue(connection: &Connection, id: IssueId, repo: Option<i64>, change: &IssueChange) -> Result<(), StoreError> {
    let IssueChange { issue, stored_version, shown } = change;
    let (worktree, session, pr) = (issue.worktree.as_ref(), issue.session.as_ref(), issue.pr.as_ref());
    let checked = pr.and_then(|pr| pr.checked);
    let follow = issue.follow.as_ref();
    let scheduled = follow.and_then(|follow| follow.scheduled.as_ref());
    let common = params![
        id.to_string(),
        issue.state.name(),
        issue.title,
        worktree.map(|worktree| &worktree.directory),
        worktree.map(|worktree| &worktree.branch),
        worktree.and_then(|worktree| worktree.base_branch.as_ref()),
        worktree.and_then(|worktree| worktree.base_sha.as_ref()),
        session.map(|session| &session.id),
        session.map(|session| &session.agent),
        session.map(|session| session.state.name()),
        session.and_then(|session| session.run_started_at).map(Timestamp::as_millisecond),
        pr.map(|pr| &pr.url),
        pr.map(|pr| pr.origin.name()),
        checked.map(|(state, _)| state.name()),
        checked.map(|(_, at)| at.as_millisecond()),
        issue.pushed,
        number(issue.fence),
        number(issue.version),
        shown.latest_task,
        shown.task,
        shown.shown_as.map(ShownAs::name),
        session.and_then(|session| session.used.cost_usd),
        session.and_then(|session| session.used.input_tokens).map(number),
        session.and_then(|session| session.used.output_tokens).map(number),
        follow.map(|follow| &follow.watch),
        follow.is_some_and(|follow| follow.is_stopped),
        follow.and_then(|follow| follow.comment).map(number),
        follow.and_then(|follow| follow.look_at).map(Timestamp::as_millisecond),
        follow.and_then(|follow| follow.head.as_ref()),
        follow.and_then(|follow| follow.head_since).map(Timestamp::as_millisecond),
        follow.and_then(|follow| follow.ending).map(Ending::name),
        follow.and_then(|follow| follow.question).map(Question::name),
        scheduled.map(|scheduled| number(scheduled.number)),
        scheduled.map(|scheduled| &scheduled.head),
        scheduled.and_then(|scheduled| scheduled.refusal.as_ref()),
        follow.and_then(|follow| follow.rule.as_ref()),
        follow.and_then(|follow| follow.verified.as_ref()),
    ];
    match stored_version {
        Some(version) => put(connection, UPDATE_ISSUE, [common, params![number(*version)]].concat().as_slice())?,
        None => {
            let own = params![repo, number(issue.reference.number), issue.created_at.as_millisecond()];
            put(connection, INSERT_ISSUE, [common, own].concat().as_slice())?;
        }
    }
    match follow {
        Some(follow) => feedback(connection, id, &follow.records),
        None => Ok(()),
    }
}

/// Replaces the records of an issue, of which there are a few.
fn feedback(connection: &Connection, issue: IssueId, records: &[Record]) -> Result<(), StoreError> {
    let issue = issue.to_string();
    connection.prepare_cached("DELETE FROM feedback WHERE issue = ?")?.execute([&issue])?;
    for record in records {
        let (state, task, reason) = match &record.state {
            RecordState::Given { task } => ("given", Some(task.to_string()), None),
            RecordState::Settled => ("settled", None, None),
            RecordState::Stopped { reason } => ("stopped", None, Some(reason)),
        };
        let (kind, answered) = (record.kind.name(), &record.answered);
        let params = params![issue, kind, record.fingerprint, record.given, state, task, reason, answered];
        put(connection, INSERT_FEEDBACK, params)?;
    }
    Ok(())
}

const INSERT_FEEDBACK: &str = "INSERT INTO feedback (issue, kind, fingerprint, given, state, task, reason, answered) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

const INSERT_ISSUE: &str = "\
    INSERT INTO issues (id, state, title, directory, branch, base_branch, base_sha, session, session_agent, \
        session_state, session_run_at, change_url, change_by, change_state, change_seen_at, pushed_sha, fence, version, \
        latest_task, shown_task, shown_as, session_cost_usd, session_input_tokens, session_output_tokens, watch, \
        watch_stopped, watch_comment, watch_look_at, watch_head, watch_head_at, watch_ended, watch_question, \
        watch_merge, watch_merge_head, watch_merge_refusal, watch_rule, watch_verified, repo, number, created_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
        ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40)";

const UPDATE_ISSUE: &str = "\
    UPDATE issues SET state = ?2, title = ?3, directory = ?4, branch = ?5, base_branch = ?6, base_sha = ?7, \
        session = ?8, session_agent = ?9, session_state = ?10, session_run_at = ?11, change_url = ?12, change_by = ?13, \
        change_state = ?14, change_seen_at = ?15, pushed_sha = ?16, fence = ?17, version = ?18, latest_task = ?19, \
        shown_task = ?20, shown_as = ?21, session_cost_usd = ?22, session_input_tokens = ?23, \
        session_output_tokens = ?24, watch = ?25, watch_stopped = ?26, watch_comment = ?27, watch_look_at = ?28, \
        watch_head = ?29, watch_head_at = ?30, watch_ended = ?31, watch_question = ?32, \
        watch_merge = ?33, watch_merge_head = ?34, watch_merge_refusal = ?35, watch_rule = ?36, \
        watch_verified = ?37 \
    WHERE id = ?1 AND version = ?38";

fn task(connection: &Connection, seq: i64, change: &TaskChange) -> Result<(), StoreError> {
    let TaskChange { issue, task, is_new } = change;
    let ended_at = task.ended_at.map(Timestamp::as_millisecond);
    let queued_at = task.queued_at.as_millisecond();
    let not_before = task.not_before.map(Timestamp::as_millisecond);
    let (reason, hint) = reason_columns(task.reason.as_ref());
    if !is_new {
        let (state, canceled) = (task.state.name(), task.cancel_requested);
        let params = params![
            seq,
            state,
            task.attempt,
            canceled,
            queued_at,
            ended_at,
            reason,
            hint,
            task.priority,
            task.pauses,
            not_before
        ];
        return put(connection, UPDATE_TASK, params);
    }
    let params = params![
        seq,
        task.id.to_string(),
        issue.to_string(),
        task.kind.name(),
        task.state.name(),
        task.message,
        task.agent,
        task.model,
        task.base,
        task.priority,
        task.after.map(|id| id.to_string()),
        task.asked_by.map(|id| id.to_string()),
        task.answer_on.map(AnswerOn::name),
        task.attempt,
        task.cancel_requested,
        queued_at,
        ended_at,
        reason,
        hint,
        task.pauses,
        not_before,
    ];
    put(connection, INSERT_TASK, params)
}

fn reason_columns(reason: Option<&Reason>) -> (Option<&str>, Option<&str>) {
    (reason.map(|reason| reason.text.as_str()), reason.and_then(|reason| reason.hint.as_deref()))
}

const INSERT_TASK: &str = "\
    INSERT INTO tasks (seq, id, issue, kind, state, message, agent, model, base, priority, after, asked_by, answer_on, \
        attempt, cancel_asked, queued_at, ended_at, reason, hint, pauses, not_before) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const UPDATE_TASK: &str = "\
    UPDATE tasks SET state = ?2, attempt = ?3, cancel_asked = ?4, queued_at = ?5, ended_at = ?6, reason = ?7, \
        hint = ?8, priority = ?9, pauses = ?10, not_before = ?11 \
    WHERE seq = ?1";

fn run(connection: &Connection, issue: IssueId, run: &Run) -> Result<(), StoreError> {
    let outcome = run.outcome.as_ref();
    let (reason, hint) = reason_columns(outcome.map(|outcome| &outcome.reason));
    let usage = outcome.map_or(run.used, |outcome| outcome.usage);
    let params = params![
        run.id.to_string(),
        run.task.to_string(),
        issue.to_string(),
        run.state.name(),
        number(run.fence),
        run.agent,
        run.session,
        run.started_at.as_millisecond(),
        run.ended_at.map(Timestamp::as_millisecond),
        outcome.map(|outcome| outcome.verdict.name()),
        reason,
        hint,
        outcome.and_then(|outcome| outcome.head_sha.as_ref()),
        outcome.map(|outcome| number(outcome.commits)),
        outcome.map(|outcome| outcome.pushed),
        usage.cost_usd,
        usage.input_tokens.map(number),
        usage.output_tokens.map(number),
        number(run.acknowledged),
        run.provider,
        run.answered,
        run.limited_until.map(Timestamp::as_millisecond),
    ];
    put(connection, PUT_RUN, params)
}

const PUT_RUN: &str = "\
    INSERT INTO runs (id, task, issue, state, fence, agent, session, started_at, ended_at, verdict, reason, hint, \
        head_sha, commits, pushed, cost_usd, input_tokens, output_tokens, acknowledged, provider, answered, limited_until) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, session = excluded.session, \
        ended_at = excluded.ended_at, verdict = excluded.verdict, reason = excluded.reason, \
        hint = excluded.hint, head_sha = excluded.head_sha, commits = excluded.commits, pushed = excluded.pushed, \
        cost_usd = excluded.cost_usd, input_tokens = excluded.input_tokens, \
        output_tokens = excluded.output_tokens, acknowledged = excluded.acknowledged, \
        provider = excluded.provider, answered = excluded.answered, limited_until = excluded.limited_until";

fn event(connection: &Connection, event: &StoredEvent) -> Result<(), StoreError> {
    let params = params![
        event.seq,
        event.at.as_millisecond(),
        event.issue.to_string(),
        event.task.map(|id| id.to_string()),
        event.run.map(|id| id.to_string()),
        event.kind,
        event.data.to_string(),
    ];
    put(connection, INSERT_EVENT, params)
}

fn effect(connection: &Connection, change: &EffectChange) -> Result<(), StoreError> {
    match change {
        EffectChange::Add { id: EffectId(id), issue, effect, now } => {
            let (key, kind, data) = (effect.key(*issue), effect.kind().name(), effect_data(effect).to_string());
            let params = params![id, key, issue.to_string(), kind, data, now.as_millisecond()];
            connection.prepare_cached(ADD_EFFECT)?.execute(params)?;
        }
        EffectChange::Settle(EffectId(id)) => {
            connection.prepare_cached("DELETE FROM effects WHERE id = ?")?.execute([id])?;
        }
        EffectChange::Fail { id: EffectId(id), due_at, error } => {
            let due_at = due_at.map(Timestamp::as_millisecond);
            connection.prepare_cached(FAIL_EFFECT)?.execute(params![id, due_at, error])?;
        }
    }
    Ok(())
}

const ADD_EFFECT: &str = "\
    INSERT INTO effects (id, key, issue, kind, data, state, attempt, due_at, created_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, ?6, ?6) \
    ON CONFLICT (key) DO UPDATE SET state = 'pending', attempt = 0, due_at = excluded.due_at, error = NULL \
        WHERE state = 'failed'";

const FAIL_EFFECT: &str = "\
    UPDATE effects SET attempt = attempt + 1, error = ?3, due_at = coalesce(?2, due_at), \
        state = CASE WHEN ?2 IS NULL THEN 'failed' ELSE 'pending' END \
    WHERE id = ?1";

/// The inverse of `row::effect_of`. What that cannot read back is a damaged row, which is skipped for good.
fn effect_data(effect: &Effect) -> Value {
    match effect {
        Effect::Run(lease) => json!({ "run": lease.run.to_string(), "fence": lease.fence }),
        Effect::CancelRun { run }
        | Effect::Rescue { run }
        | Effect::FindPullRequest { run }
        | Effect::Publish { run } => json!({ "run": run.to_string() }),
        Effect::Comment { run, number } => json!({ "run": run.to_string(), "number": number }),
        Effect::RemoveFiles { version } | Effect::Merge { version } | Effect::Announce { version } => {
            json!({ "version": version })
        }
        Effect::CancelMerge { number, version } => json!({ "number": number, "version": version }),
        Effect::Follow { at } => json!({ "at": at.as_millisecond() }),
        Effect::Complete { ending } => json!({ "ending": ending.name() }),
        Effect::Report { task, version } | Effect::Answer { task, version } => {
            json!({ "task": task.to_string(), "version": version })
        }
        Effect::EndPause { task, until } => json!({ "task": task.to_string(), "until": until.as_millisecond() }),
    }
}

const INSERT_EVENT: &str = "INSERT INTO events (seq, at, issue, task, run, kind, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

#[cfg(test)]
mod tests {
    use kugetsu_domain::effect::EffectKind;
    use kugetsu_domain::ids::{RunId, TaskId};
    use kugetsu_domain::issue::Lease;
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::row::effect_of;

    #[test]
    fn every_kind_of_effect_is_read_back_as_it_was_saved() {
        let id = Uuid::now_v7;
        let (issue, run, version) = (IssueId::new(id()), RunId::new(id()), 7);
        for &kind in EffectKind::ALL {
            let effect = match kind {
                EffectKind::Run => Effect::Run(Lease { issue, run, fence: 3 }),
                EffectKind::CancelRun => Effect::CancelRun { run },
                EffectKind::Rescue => Effect::Rescue { run },
                EffectKind::RemoveFiles => Effect::RemoveFiles { version },
                EffectKind::FindPullRequest => Effect::FindPullRequest { run },
                EffectKind::Report => Effect::Report { task: TaskId::new(id()), version },
                EffectKind::EndPause => Effect::EndPause { task: TaskId::new(id()), until: Timestamp::UNIX_EPOCH },
                EffectKind::Publish => Effect::Publish { run },
                EffectKind::Comment => Effect::Comment { run, number: 2 },
                EffectKind::Follow => Effect::Follow { at: Timestamp::UNIX_EPOCH },
                EffectKind::Merge => Effect::Merge { version },
                EffectKind::CancelMerge => Effect::CancelMerge { number: 7, version },
                EffectKind::Announce => Effect::Announce { version },
                EffectKind::Answer => Effect::Answer { task: TaskId::new(id()), version },
                EffectKind::Complete => Effect::Complete { ending: Ending::Merged },
            };
            let stored = EffectKind::from_name(effect.kind().name()).unwrap();
            assert_eq!(effect_of(stored, &effect_data(&effect), issue), Some(effect), "{kind:?}");
            assert_eq!(effect_of(stored, &json!({}), issue), None, "{kind:?}");
        }
    }
}
