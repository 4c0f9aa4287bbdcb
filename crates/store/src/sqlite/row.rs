//! Rows as values of the domain.
//!
//! A row that cannot be read is an error of its own ([`StoreError::Damaged`]), never a guess: the others are unaffected.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use kugetsu_domain::effect::{Effect, EffectKind};
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::{Issue, IssueState, Lease, Worktree};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::{PrLink, PrOrigin, PrState};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::run::{Outcome, Run, RunState, Usage, Verdict};
use kugetsu_domain::session::{Session, SessionState};
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_domain::watch::command::AnswerOn;
use kugetsu_domain::watch::conditions::{Condition, ConditionKind, Met};
use kugetsu_domain::watch::feedback::{Ending, FeedbackKind, Record, RecordState};
use kugetsu_domain::watch::follow::{Follow, Question};
use kugetsu_domain::watch::scheduled::Scheduled;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::effect::{ClaimedEffect, EffectId};
use crate::error::StoreError;
use crate::view::{Repo, StoredEvent};

/// Columns of [`issue`], from `issues i JOIN repos p`.
macro_rules! issue_columns {
    () => {
        "i.id, i.number, i.state, i.title, i.directory, i.branch, i.base_branch, i.base_sha, i.session, i.session_agent, \
         i.session_state, i.session_run_at, i.session_cost_usd, i.session_input_tokens, i.session_output_tokens, i.change_url, i.change_by, i.change_state, i.change_seen_at, i.pushed_sha, \
         i.watch, i.watch_stopped, i.watch_comment, i.watch_look_at, i.watch_head, i.watch_head_at, i.watch_ended, i.watch_question, \
         i.watch_merge, i.watch_merge_head, i.watch_merge_refusal, i.watch_rule, i.watch_verified, i.fence, i.version, i.created_at, p.base, p.project"
    };
}

/// Columns of [`task`], from `tasks t`.
macro_rules! task_columns {
    () => {
        task_columns!("t.message")
    };
    ($message:literal) => {
        concat!(
            "t.id, t.kind, t.state, ",
            $message,
            ", t.agent, t.model, t.base, t.priority, t.after, t.asked_by, t.answer_on, t.attempt, t.pauses, t.not_before, t.cancel_asked, \
             t.queued_at, t.ended_at, t.reason, t.hint"
        )
    };
}

/// Columns of [`run`], from `runs r`.
macro_rules! run_columns {
    () => {
        "r.id, r.task, r.state, r.fence, r.agent, r.session, r.started_at, r.ended_at, r.verdict, r.reason, r.hint, \
         r.head_sha, r.commits, r.pushed, r.cost_usd, r.input_tokens, r.output_tokens, r.acknowledged, r.provider, r.answered, r.limited_until"
    };
}

/// Columns of [`effect`], from `effects`.
macro_rules! effect_columns {
    () => {
        "id, key, issue, kind, data, attempt, created_at"
    };
}

pub(super) use {effect_columns, issue_columns, run_columns, task_columns};

/// Reads the columns of a row in order.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
    /// The table that the columns are from, and its first column, for errors.
    table: &'static str,
    first: usize,
}

impl<'r> Columns<'r> {
    /// The first column is the table's key.
    pub(super) fn of(table: &'static str, row: &'r Row<'r>) -> Self {
        Self { row, next: 0, table, first: 0 }
    }

    /// Begins with the columns of another table of a join; the first one is its key.
    pub(super) fn begin(&mut self, table: &'static str) {
        (self.table, self.first) = (table, self.next);
    }

    fn read<T>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Result<T, String>) -> Result<T, StoreError> {
        let column = self.next;
        self.next += 1;
        let value = self.row.get_ref(column)?;
        read(value).map_err(|reason| self.damaged(column, &reason))
    }

    fn damaged(&self, column: usize, reason: &str) -> StoreError {
        let name = self.row.as_ref().column_name(column).unwrap_or_default();
        let key = match self.row.get_ref(self.first) {
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Ok(ValueRef::Integer(number)) => number.to_string(),
            _ => "without a key".to_owned(),
        };
        StoreError::Damaged { what: format!("{} {key}: {name}: {reason}", self.table) }
    }

    fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// Whether the next column is NULL.
    pub(super) fn is_null(&self) -> Result<bool, StoreError> {
        Ok(self.row.get_ref(self.next)? == ValueRef::Null)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, StoreError> {
        self.read(text)
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<&'r str>, StoreError> {
        self.read(|value| optional(value, text))
    }

    pub(super) fn owned(&mut self) -> Result<String, StoreError> {
        self.text().map(str::to_owned)
    }

    pub(super) fn optional_owned(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.optional_text()?.map(str::to_owned))
    }

    /// Two columns: the text and the hint.
    pub(super) fn reason(&mut self) -> Result<Option<Reason>, StoreError> {
        let (text, hint) = (self.optional_owned()?, self.optional_owned()?);
        Ok(text.map(|text| Reason { text, hint }))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T, StoreError> {
        self.read(parsed)
    }

    pub(super) fn optional_parsed<T: FromStr<Err: Display>>(&mut self) -> Result<Option<T>, StoreError> {
        self.read(|value| optional(value, parsed))
    }

    /// Reads a name that stands for a value, such as a kind.
    pub(super) fn named<T>(&mut self, from_name: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        self.read(|value| named(value, from_name))
    }

    pub(super) fn optional_named<T>(
        &mut self,
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.read(|value| optional(value, |value| named(value, from_name)))
    }

    pub(super) fn state<S: Machine>(&mut self) -> Result<S, StoreError> {
        self.named(S::from_name)
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        self.read(number)
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.number::<i64>()? != 0)
    }

    fn optional_number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<Option<T>, StoreError> {
        self.read(|value| optional(value, number))
    }

    pub(super) fn real(&mut self) -> Result<f64, StoreError> {
        self.read(|value| value.as_f64().map_err(|error| error.to_string()))
    }

    fn optional_real(&mut self) -> Result<Option<f64>, StoreError> {
        self.read(|value| optional(value, |value| value.as_f64().map_err(|error| error.to_string())))
    }

    /// Three columns.
    pub(super) fn usage(&mut self) -> Result<Usage, StoreError> {
        Ok(Usage {
            cost_usd: self.optional_real()?,
            input_tokens: self.optional_number()?,
            output_tokens: self.optional_number()?,
        })
    }

    /// Conditions of a candidate, from JSON.
    pub(super) fn conditions(&mut self) -> Result<Vec<Condition>, StoreError> {
        let condition = |value: &Value| {
            let text = |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(|| format!("no {key}"));
            let (name, met) = (text("name")?, text("met")?);
            Ok(Condition {
                kind: ConditionKind::from_name(name).ok_or_else(|| format!("unknown condition {name:?}"))?,
                met: Met::from_name(met).ok_or_else(|| format!("unknown answer {met:?}"))?,
                fact: text("fact")?.to_owned(),
            })
        };
        self.read(|value| {
            let all: Vec<Value> = serde_json::from_str(text(value)?).map_err(|error| error.to_string())?;
            all.iter().map(condition).collect()
        })
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.read(time)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|value| optional(value, time))
    }
}

fn optional<'r, T>(
    value: ValueRef<'r>,
    read: impl FnOnce(ValueRef<'r>) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value == ValueRef::Null { Ok(None) } else { read(value).map(Some) }
}

fn text(value: ValueRef<'_>) -> Result<&str, String> {
    value.as_str().map_err(|error| error.to_string())
}

fn parsed<T: FromStr<Err: Display>>(value: ValueRef<'_>) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

fn named<T>(value: ValueRef<'_>, from_name: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
    let name = text(value)?;
    from_name(name).ok_or_else(|| format!("{name:?} is unknown"))
}

fn number<T: TryFrom<i64, Error: Display>>(value: ValueRef<'_>) -> Result<T, String> {
    let number = value.as_i64().map_err(|error| error.to_string())?;
    T::try_from(number).map_err(|error| format!("{number}: {error}"))
}

fn time(value: ValueRef<'_>) -> Result<Timestamp, String> {
    let milliseconds = value.as_i64().map_err(|error| error.to_string())?;
    Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())
}

fn scheduled(columns: &mut Columns<'_>) -> Result<Option<Scheduled>, StoreError> {
    let number = columns.optional_number()?;
    let (head, refusal) = (columns.optional_owned()?, columns.optional_owned()?);
    Ok(number.zip(head).map(|(number, head)| Scheduled { number, head, refusal }))
}

/// Reads an issue, without its tasks, its run and the records of feedback.
pub(super) fn issue(columns: &mut Columns<'_>) -> Result<Issue, StoreError> {
    columns.begin("issue");
    let (id, number, state, title) = (columns.parsed()?, columns.number()?, columns.state()?, columns.owned()?);
    let (directory, branch) = (columns.optional_owned()?, columns.optional_owned()?);
    let (base_branch, base_sha) = (columns.optional_owned()?, columns.optional_owned()?);
    let worktree = match (directory, branch) {
        (Some(directory), Some(branch)) => Some(Worktree { directory, branch, base_branch, base_sha }),
        _ => None,
    };
    let (session, agent) = (columns.optional_owned()?, columns.optional_owned()?);
    let session = match (session, agent) {
        (Some(id), Some(agent)) => Some(Session {
            id,
            agent,
            state: columns.state::<SessionState>()?,
            run_started_at: columns.optional_time()?,
            used: columns.usage()?,
        }),
        _ => {
            columns.skip(5);
            None
        }
    };
    let (url, origin) = (columns.optional_owned()?, columns.optional_named(PrOrigin::from_name)?);
    let (pr_state, checked_at) = (columns.optional_named(PrState::from_name)?, columns.optional_time()?);
    // Before there was a column for the origin, only the user named pull requests.
    let pr = url.map(|url| PrLink { url, origin: origin.unwrap_or(PrOrigin::Set), checked: pr_state.zip(checked_at) });
    let pushed = columns.optional_owned()?;
    let follow = match columns.optional_owned()? {
        Some(watch) => Some(Follow {
            is_stopped: columns.flag()?,
            records: vec![],
            comment: columns.optional_number()?,
            look_at: columns.optional_time()?,
            head: columns.optional_owned()?,
            head_since: columns.optional_time()?,
            ending: columns.optional_named(Ending::from_name)?,
            question: columns.optional_named(Question::from_name)?,
            scheduled: scheduled(columns)?,
            rule: columns.optional_owned()?,
            verified: columns.optional_owned()?,
            watch,
        }),
        None => {
            columns.skip(12);
            None
        }
    };
    let (fence, version, created_at) = (columns.number()?, columns.number()?, columns.time()?);
    let reference = IssueRef { repo: repo_ref(columns)?, number };
    let state: IssueState = state;
    Ok(Issue {
        id,
        reference,
        state,
        title,
        worktree,
        session,
        pr,
        pushed,
        tasks: vec![],
        run: None,
        follow,
        fence,
        version,
        created_at,
    })
}

/// Reads `issue, kind, fingerprint, given, state, task, reason, answered`.
pub(super) fn feedback(columns: &mut Columns<'_>) -> Result<Record, StoreError> {
    columns.skip(1);
    let (kind, fingerprint) = (columns.named(FeedbackKind::from_name)?, columns.owned()?);
    let (given, state) = (columns.number()?, columns.text()?);
    let (task, reason) = (columns.optional_parsed()?, columns.optional_owned()?);
    let state = match (state, task) {
        ("settled", _) => RecordState::Settled,
        ("given", Some(task)) => RecordState::Given { task },
        // What cannot be read must not tell the agent again and again.
        _ => RecordState::Stopped { reason: reason.unwrap_or_default() },
    };
    Ok(Record { kind, fingerprint, given, state, answered: columns.owned()? })
}

pub(super) fn repo_ref(columns: &mut Columns<'_>) -> Result<RepoRef, StoreError> {
    let base = columns.read(|value| ServerBase::new(text(value)?).map_err(|error| error.to_string()))?;
    let project = columns.read(|value| ProjectPath::new(text(value)?).map_err(|error| error.to_string()))?;
    Ok(RepoRef { base, project })
}

pub(super) fn task(columns: &mut Columns<'_>) -> Result<Task, StoreError> {
    columns.begin("task");
    Ok(Task {
        id: columns.parsed()?,
        kind: columns.named(TaskKind::from_name)?,
        state: columns.state::<TaskState>()?,
        message: columns.owned()?,
        agent: columns.owned()?,
        model: columns.optional_owned()?,
        base: columns.optional_owned()?,
        priority: columns.number()?,
        after: columns.optional_parsed()?,
        asked_by: columns.optional_parsed()?,
        answer_on: columns.optional_named(AnswerOn::from_name)?,
        attempt: columns.number()?,
        pauses: columns.number()?,
        not_before: columns.optional_time()?,
        cancel_requested: columns.flag()?,
        queued_at: columns.time()?,
        ended_at: columns.optional_time()?,
        reason: columns.reason()?,
    })
}

pub(super) fn run(columns: &mut Columns<'_>) -> Result<Run, StoreError> {
    columns.begin("run");
    let (id, task, state, fence) =
        (columns.parsed()?, columns.parsed()?, columns.state::<RunState>()?, columns.number()?);
    let (agent, session) = (columns.owned()?, columns.optional_owned()?);
    let (started_at, ended_at) = (columns.time()?, columns.optional_time()?);
    let mut outcome = match columns.optional_named(Verdict::from_name)? {
        Some(verdict) => Some(Outcome {
            verdict,
            reason: columns.reason()?.unwrap_or_default(),
            head_sha: columns.optional_owned()?,
            commits: columns.number()?,
            pushed: columns.flag()?,
            usage: Usage::default(),
        }),
        None => {
            columns.skip(5);
            None
        }
    };
    let used = columns.usage()?;
    if let Some(outcome) = &mut outcome {
        outcome.usage = used;
    }
    let acknowledged = columns.number()?;
    let (provider, answered) = (columns.optional_owned()?, columns.flag()?);
    let limited_until = columns.optional_time()?;
    Ok(Run {
        id,
        task,
        state,
        fence,
        agent,
        session,
        provider,
        started_at,
        ended_at,
        answered,
        used,
        limited_until,
        outcome,
        acknowledged,
    })
}

/// Reads `base, project, kind, source`.
/// Leaves out a row that is damaged: it must not make the others unusable.
pub(super) fn unless_damaged<T>(row: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match row {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(%error, "skipping a damaged row");
            Ok(None)
        }
        row => row.map(Some),
    }
}

pub(super) fn repo(row: &Row<'_>) -> Result<Repo, StoreError> {
    let mut columns = Columns::of("repository", row);
    let name = repo_ref(&mut columns)?;
    let kind = columns.optional_text()?.and_then(ForgeKind::from_name);
    Ok(Repo { name, kind, source: columns.owned()? })
}

pub(super) fn effect(row: &Row<'_>) -> Result<ClaimedEffect, StoreError> {
    let mut columns = Columns::of("effect", row);
    let id = EffectId(columns.number()?);
    let key = columns.owned()?;
    let issue = columns.parsed()?;
    let kind = columns.text()?;
    let effect = columns.read(|value| {
        let data = serde_json::from_str(text(value)?).map_err(|error| error.to_string())?;
        let effect = EffectKind::from_name(kind).and_then(|kind| effect_of(kind, &data, issue));
        effect.ok_or_else(|| format!("no {kind} effect has these data"))
    })?;
    Ok(ClaimedEffect { id, key, issue, effect, attempt: columns.number()?, created_at: columns.time()? })
}

/// The inverse of `save::effect_data`; `None` if the data are not those of an effect of this kind.
pub(super) fn effect_of(kind: EffectKind, data: &Value, issue: IssueId) -> Option<Effect> {
    let run = || data["run"].as_str()?.parse::<RunId>().ok();
    let version = || data["version"].as_u64();
    let time = |name: &str| Timestamp::from_millisecond(data[name].as_i64()?).ok();
    Some(match kind {
        EffectKind::Run => Effect::Run(Lease { issue, run: run()?, fence: data["fence"].as_u64()? }),
        EffectKind::CancelRun => Effect::CancelRun { run: run()? },
        EffectKind::Rescue => Effect::Rescue { run: run()? },
        EffectKind::RemoveFiles => Effect::RemoveFiles { version: version()? },
        EffectKind::FindPullRequest => Effect::FindPullRequest { run: run()? },
        EffectKind::Report => Effect::Report { task: data["task"].as_str()?.parse().ok()?, version: version()? },
        EffectKind::Answer => Effect::Answer { task: data["task"].as_str()?.parse().ok()?, version: version()? },
        EffectKind::EndPause => Effect::EndPause { task: data["task"].as_str()?.parse().ok()?, until: time("until")? },
        EffectKind::Publish => Effect::Publish { run: run()? },
        EffectKind::Comment => Effect::Comment { run: run()?, number: u32::try_from(data["number"].as_u64()?).ok()? },
        EffectKind::Follow => Effect::Follow { at: time("at")? },
        EffectKind::Merge => Effect::Merge { version: version()? },
        EffectKind::CancelMerge => Effect::CancelMerge { number: data["number"].as_u64()?, version: version()? },
        EffectKind::Announce => Effect::Announce { version: version()? },
        EffectKind::Complete => Effect::Complete { ending: Ending::from_name(data["ending"].as_str()?)? },
    })
}

/// Reads `seq, at, issue, task, run, kind, data`.
pub(super) fn event(row: &Row<'_>) -> Result<StoredEvent, StoreError> {
    let mut columns = Columns::of("event", row);
    Ok(StoredEvent {
        seq: columns.number()?,
        at: columns.time()?,
        issue: columns.parsed()?,
        task: columns.optional_parsed()?,
        run: columns.optional_parsed()?,
        kind: columns.owned()?,
        data: columns.read(|value| serde_json::from_str(text(value)?).map_err(|error| error.to_string()))?,
    })
}
