//! A home of an earlier version is migrated and reads back as it was.

use jiff::Timestamp;
use kugetsu_domain::effect::{Effect, EffectKind};
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::run::{RunState, Usage, Verdict};
use kugetsu_domain::task::TaskState;
use kugetsu_store::open::{Opened, open, open_read_only};
use kugetsu_store::query::{IssueFilter, RunQuery, ViewFilter, ViewQuery};
use kugetsu_store::view::RunView;
use rusqlite::Connection;
use sha2::{Digest, Sha384};

use crate::world::{now, start};

const SCHEMA_2: &str = include_str!("../data/schema_2.sql");
const EFFECTS: &str = include_str!("../../migrations/0003_effects.sql");

/// The home of schema version 2, migrated.
fn migrated() -> (tempfile::TempDir, Opened) {
    migrated_from(SCHEMA_2)
}

fn migrated_from(statements: &str) -> (tempfile::TempDir, Opened) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kugetsu.db");
    Connection::open(&path).unwrap().execute_batch(statements).unwrap();
    let opened = open(&path).unwrap();
    (directory, opened)
}

/// The home of schema version 3 that a daemon has used: of its effects, one was tried twice and one was given up.
fn schema_3() -> String {
    let checksum: String = Sha384::digest(EFFECTS).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{SCHEMA_2}
        {EFFECTS}
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (3, 'effects', true, X'{checksum}', 1);
        UPDATE effects SET attempt = 2, due_at = 4102444800000, error = 'no answer' WHERE kind = 'remove_files';
        UPDATE effects SET attempt = 31, state = 'failed', error = 'for ever' WHERE kind = 'report';"
    )
}

fn line(view: &RunView) -> String {
    let run = view.run.as_ref().map_or("none", |run| run.state.name());
    let message = view.task.message.lines().next().unwrap_or_default();
    format!("{} {} {}, run {run}: {message}", view.reference, view.task.kind.name(), view.task.state.name())
}

#[tokio::test]
async fn tasks_and_runs_of_schema_2_read_back() {
    let (_directory, opened) = migrated();
    let store = opened.store;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let all = store.views(ViewQuery::new(ViewFilter::All).with_messages()).await.unwrap().views;
    let lines: Vec<String> = all.iter().rev().map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        lines,
        [
            "github.com/acme/api#1 start done, run done: fix the parser",
            "github.com/acme/api#1 continue done, run done: and the tests",
            "github.com/acme/api#2 start failed, run failed: this goes wrong",
            "github.com/acme/api#3 start canceled, run canceled: never ends",
            "local/tools#1 start done, run done: a local one",
            "local/tools#2 start done, run done: another local one",
            "pm delegate done, run done: look after both",
            "local/tools#3 start done, run done: a part",
            "pm report done, run done: Everything that you asked for because of this message has ended, or cannot begin \
             by itself:",
            "github.com/acme/api#4 start done, run done: many files",
            "github.com/acme/api#5 start running, run working: at work",
            "github.com/acme/api#6 start running, run working: at work too",
            "github.com/acme/api#7 start running, run working: canceled while it runs",
            "github.com/acme/api#8 start queued, run none: queued",
            "github.com/acme/api#9 start queued, run none: queued behind it",
            "github.com/acme/api#10 start queued, run none: queued, and the one before it failed",
            "github.com/acme/api#5 continue queued, run none: behind the run",
            "pm delegate done, run done: a message whose part waits",
            "local/tools#4 start queued, run none: a part that waits",
        ]
    );
    let listed = store.views(ViewQuery::new(ViewFilter::all_issues())).await.unwrap().views;
    let listed: Vec<String> = listed.iter().map(|view| view.reference.to_string()).collect();
    assert_eq!(listed.len(), 14);
    assert_eq!(listed[..3], ["local/tools#4", "github.com/acme/api#10", "github.com/acme/api#9"]);

    let first = all.last().unwrap();
    let outcome = first.run.as_ref().unwrap().outcome.as_ref().unwrap();
    assert_eq!((outcome.verdict, outcome.commits, outcome.pushed), (Verdict::Done, 1, true));
    let used = |usage: Usage| (usage.cost_usd, usage.input_tokens, usage.output_tokens);
    assert_eq!(used(first.usage()), (Some(0.25), Some(1200), Some(340)));
    let second = all.iter().rev().nth(1).unwrap();
    assert_eq!(used(second.usage()), (None, Some(100), Some(20)), "a cost of 0 was one that is not known");
    let failed = all.iter().find(|view| view.task.state == TaskState::Failed).unwrap();
    assert_eq!(failed.usage(), Usage::default(), "the agent reported nothing");
    let queued = all.iter().find(|view| view.run.is_none()).unwrap();
    assert_eq!(queued.usage(), Usage::ZERO);
    assert_eq!(first.pr.as_ref().unwrap().url, "https://github.com/acme/api/pull/7");
    assert_eq!(first.worktree.as_ref().unwrap().branch, "kugetsu/1-fix-the-parser");
    let issue = store.issue_by_id(first.issue).await.unwrap();
    assert!(issue.pushed.is_some(), "the head of a run that pushed");
    let session = issue.session.unwrap();
    assert_eq!(session.used, Usage::default(), "what it has used is not known");
    let began = session.run_started_at;
    let runs = store.runs(RunQuery::new(first.issue)).await.unwrap();
    assert_eq!(began, runs.first().map(|run| run.started_at), "the latest run that used the session");
    let other = store.issue_by_id(all[all.len() - 3].issue).await.unwrap();
    assert_eq!(other.pushed, None);
}

#[tokio::test]
async fn live_work_of_schema_2_is_found() {
    let (_directory, opened) = migrated();
    let store = opened.store;
    let queue = store.queue(9).await.unwrap();
    assert_eq!((queue.queued, queue.running, queue.slots_in_use), (5, 3, 3));
    let mut candidates = Vec::new();
    for candidate in &queue.candidates {
        candidates.push(store.issue_by_id(candidate.issue).await.unwrap().reference.to_string());
    }
    assert_eq!(candidates, ["github.com/acme/api#8", "local/tools#4"]);
    let running = store.issues(IssueFilter::Running, 9).await.unwrap().issues;
    let canceled: Vec<_> = running.iter().map(|issue| issue.running_task().unwrap().cancel_requested).collect();
    assert_eq!(canceled, [true, false, false], "newest first");
    assert!(running.iter().all(|issue| issue.lease().is_some_and(|lease| lease.fence == 1)));
    let removed = store.issues(IssueFilter::Destroying, 9).await.unwrap().issues;
    assert_eq!((removed.len(), removed[0].state, removed[0].reference.number), (1, IssueState::Destroying, 4));

    let coordinator = store.issue(&IssueRef::coordinator()).await.unwrap().unwrap();
    let runs = store.runs(RunQuery::new(coordinator.id)).await.unwrap();
    assert!(runs.len() == 3 && runs.iter().all(|run| run.state == RunState::Done));
    let messages = store.views(ViewQuery::new(ViewFilter::TasksOf(coordinator.id))).await.unwrap().views;
    let settled = |task: TaskId| {
        let store = store.clone();
        async move {
            let delegated = store.delegated_tasks(task).await.unwrap();
            delegated.iter().map(|delegated| delegated.is_settled).collect::<Vec<_>>()
        }
    };
    assert_eq!(settled(messages[2].task.id).await, [true, false], "the task, and the report on it");
    assert_eq!(settled(messages[0].task.id).await, [false]);
    assert_eq!(store.reports_due(coordinator.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_migrated_home_is_used_as_before() {
    let (directory, opened) = migrated();
    let store = opened.store;
    let last = store.last_event(None, None).await.unwrap();
    assert_eq!(last, 74);
    let events = store.events_after(None, 0, 100).await.unwrap();
    assert_eq!(events.len(), 74);
    store.enqueue(start(11), now()).await.unwrap();
    assert_eq!(store.last_event(None, None).await.unwrap(), 75);
    assert_eq!(store.queue(0).await.unwrap().queued, 6);
    drop(store);
    opened.closed.await.unwrap();
    let path = directory.path().join("kugetsu.db");
    let store = open_read_only(&path).unwrap();
    assert_eq!(store.queue(0).await.unwrap().queued, 6);

    let connection = Connection::open(&path).unwrap();
    let recorded =
        "SELECT count(*) = max(version) AND min(success) = 1 AND min(length(checksum)) = 48 FROM _sqlx_migrations";
    assert!(
        connection.query_row(recorded, [], |row| row.get::<_, bool>(0)).unwrap(),
        "as earlier versions record them"
    );
}

#[tokio::test]
async fn work_in_progress_of_schema_2_has_effects() {
    let (_directory, opened) = migrated();
    let claimed = opened.store.claim_effects(now(), 9).await.unwrap();
    let mut kinds: Vec<&str> = claimed.iter().map(|effect| effect.effect.kind().name()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["remove_files", "report", "run", "run", "run"]);
    for effect in claimed.iter().filter(|effect| effect.effect.kind() == EffectKind::Run) {
        let lease = opened.store.issue_by_id(effect.issue).await.unwrap().lease().unwrap();
        assert_eq!(effect.effect, Effect::Run(lease));
        assert_eq!(effect.key, effect.effect.key(effect.issue));
    }
}

#[tokio::test]
async fn effects_of_schema_3_read_back() {
    let (_directory, opened) = migrated_from(&schema_3());
    let store = opened.store;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let before = Timestamp::from_second(4_102_444_790).unwrap();
    let claimed = store.claim_effects(before, 9).await.unwrap();
    assert!(claimed.len() == 3 && claimed.iter().all(|effect| matches!(effect.effect, Effect::Run(_))), "{claimed:?}");
    let due = store.next_effect_due(before).await.unwrap().unwrap();
    assert_eq!(due.as_second(), 4_102_444_800);

    let removed = store.issues(IssueFilter::Destroying, 1).await.unwrap().issues[0].id;
    let tried = store.effects_of(removed).await.unwrap();
    assert_eq!((tried[0].attempt, tried[0].failed, tried[0].error.as_deref()), (2, false, Some("no answer")));
    let coordinator = store.issue(&IssueRef::coordinator()).await.unwrap().unwrap();
    let given_up = store.effects_of(coordinator.id).await.unwrap();
    assert_eq!((given_up[0].attempt, given_up[0].failed, given_up[0].error.as_deref()), (31, true, Some("for ever")));

    let listed = store.views(ViewQuery::new(ViewFilter::all_issues())).await.unwrap().views;
    assert_eq!(listed.len(), 14, "the stored views are filled in");
    store.enqueue(start(11), now()).await.unwrap();
    assert_eq!(store.views(ViewQuery::new(ViewFilter::all_issues())).await.unwrap().views.len(), 15);
}
