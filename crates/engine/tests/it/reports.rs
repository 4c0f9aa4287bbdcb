//! Who may report for a run, and who may give orders.

use std::fs::{File, create_dir_all};

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::record::{Body, ReportedFact};
use kugetsu_api::run::Usage;
use kugetsu_domain::flow::Event;
use kugetsu_domain::hold::Pause;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::run::RunState;
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::callers::Caller;
use kugetsu_engine::runners::access::{Credentials, admit, authorize};
use kugetsu_engine::runners::report;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::runner::access;
use crate::world::{Daemon, World};

/// Waits until the run of an issue has a session.
async fn working(daemon: &Daemon, reference: &IssueRef) -> RunId {
    let is_working = async || {
        let issue = daemon.store.issue(reference).await.unwrap()?;
        issue.live_run().filter(|run| run.state == RunState::Working).map(|run| run.id)
    };
    daemon.until("the session", is_working).await
}

fn kind<T>(result: Result<T, Problem>) -> Option<ProblemKind> {
    result.err().map(|problem| problem.kind)
}

fn forged_end() -> Vec<ReportedFact> {
    let fact = Body::Ended {
        state: "done".to_owned(),
        reason: "all is well".to_owned(),
        hint: None,
        paused_until: None,
        head_sha: None,
        commits: 3,
        pushed: true,
        usage: Usage::default(),
    };
    vec![ReportedFact { end: 1_000_000, fact }]
}

#[tokio::test]
async fn only_a_request_with_the_key_of_a_run_is_its_runners() {
    let world = World::new(2).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    daemon.start(2, "wait").await;
    let one = working(&daemon, &daemon.reference(1)).await;
    let two = working(&daemon, &daemon.reference(2)).await;
    let (key, other) = (world.machine.key(one), world.machine.key(two));
    let public = key.public().to_string();
    for sent in [None, Some(""), Some("x"), Some(other.text().expose_secret()), Some(public.as_str())] {
        for caller in [Caller::Person, Caller::Runner(one), Caller::Runner(two), Caller::Agent(Some(one)), Caller::Gone]
        {
            let refused = authorize(&daemon.engine, one, Credentials { key: sent, caller }).await.unwrap_err();
            assert_eq!(refused.kind, ProblemKind::Forbidden);
            assert!(refused.message.contains("only the runner") && refused.message.contains("acme/api#1"), "{refused}");
        }
    }
    assert_eq!(working(&daemon, &daemon.reference(1)).await, one);
    // The next daemon knows the key, too.
    daemon.kill().await;
    let daemon = world.daemon();
    assert_eq!(kind(access(&daemon.engine, one, &other).await), Some(ProblemKind::Forbidden));
    let own = access(&daemon.engine, one, &key).await.unwrap();
    assert_eq!(own.run(), one);
    report::take_report(&daemon.engine, &own, forged_end(), 1_000_000).await.unwrap();
    assert_eq!(daemon.state(1).await, "done");
    assert_eq!(working(&daemon, &daemon.reference(2)).await, two);
    daemon.kill().await;
}

#[tokio::test]
async fn key_is_in_no_file() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    let run = working(&daemon, &daemon.reference(1)).await;
    let key = world.machine.key(run).text().expose_secret().to_owned();
    daemon.kill().await;
    let mut directories = vec![world.home.path().to_owned()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => directories.push(entry.path()),
                kind if kind.is_file() => {
                    let content = std::fs::read(entry.path()).unwrap();
                    let has_key = content.windows(key.len()).any(|part| part == key.as_bytes());
                    assert!(!has_key, "{}", entry.path().display());
                    files += 1;
                }
                _ => {}
            }
        }
    }
    assert!(files > 3);
}

/// A run whose runner an earlier version has started.
async fn run_without_a_key(world: &World, daemon: &Daemon, number: u64) -> (RunId, File) {
    let pause = Pause { repo: None, since: daemon.engine.clock().now() };
    daemon.store.add_pause(pause).await.unwrap();
    let task = daemon.start(number, "done").await;
    let run = RunId::new(Uuid::now_v7());
    create_dir_all(world.home.run(run).path()).unwrap();
    let lock = File::create(world.home.run(run).lock()).unwrap();
    lock.lock().unwrap();
    let issue = daemon.issue(number).await;
    let claimed = Event::TaskClaimed { task, run };
    daemon.store.apply(issue.id, claimed, daemon.engine.clock().now()).await.unwrap();
    (run, lock)
}

#[tokio::test]
async fn runner_of_a_version_without_keys_is_still_believed() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let (run, lock) = run_without_a_key(&world, &daemon, 1).await;
    let sent = |caller| Credentials { key: None, caller };
    let other = RunId::new(Uuid::now_v7());
    for caller in [Caller::Agent(Some(run)), Caller::Agent(None), Caller::Runner(other), Caller::Gone] {
        assert_eq!(kind(authorize(&daemon.engine, run, sent(caller)).await), Some(ProblemKind::Forbidden));
    }
    authorize(&daemon.engine, run, sent(Caller::Person)).await.unwrap();
    let own = authorize(&daemon.engine, run, sent(Caller::Runner(run))).await.unwrap();
    let session = Body::Session { session: "s".to_owned(), agent: "scripted".to_owned(), model: None, resumed: false };
    let session = ReportedFact { end: 100, fact: session };
    let facts = [vec![session], forged_end()].concat();
    report::take_report(&daemon.engine, &own, facts, 1_000_000).await.unwrap();
    assert_eq!(daemon.state(1).await, "done");
    drop(lock);
    daemon.kill().await;
}

#[tokio::test]
async fn orders_of_processes_of_a_run_are_refused() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "wait").await;
    let run = working(&daemon, &daemon.reference(1)).await;
    let coordinator = IssueRef::coordinator();
    let request = crate::world::request(
        kugetsu_domain::ids::TaskId::new(Uuid::now_v7()),
        1,
        TaskKind::Delegate,
        "wait",
        Precondition::Any,
    );
    let repo = Repo { name: coordinator.repo.clone(), kind: None, source: String::new() };
    let request = Enqueue { repo, number: Some(coordinator.number), ..request };
    daemon.engine.store().enqueue(request, daemon.engine.clock().now()).await.unwrap();
    let coordination = working(&daemon, &coordinator).await;

    let key = world.machine.key(coordination);
    let own = Some(key.text().expose_secret());
    let issue_key = world.machine.key(run);
    let admitted = async |caller, key, is_tool| admit(&daemon.engine, Credentials { key, caller }, is_tool).await;
    for is_tool in [false, true] {
        admitted(Caller::Person, None, is_tool).await.unwrap();
        for caller in [Caller::Agent(Some(run)), Caller::Runner(run), Caller::Agent(None), Caller::Gone] {
            for key in [None, own, Some(issue_key.text().expose_secret())] {
                assert_eq!(kind(admitted(caller, key, is_tool).await), Some(ProblemKind::Forbidden), "{caller:?}");
            }
        }
        assert_eq!(kind(admitted(Caller::Agent(Some(coordination)), own, is_tool).await), Some(ProblemKind::Forbidden));
        assert_eq!(kind(admitted(Caller::Runner(coordination), None, is_tool).await), Some(ProblemKind::Forbidden));
    }
    // The coordinator starts tasks through its runner, and does nothing else.
    admitted(Caller::Runner(coordination), own, true).await.unwrap();
    assert_eq!(kind(admitted(Caller::Runner(coordination), own, false).await), Some(ProblemKind::Forbidden));
    let refused = admitted(Caller::Agent(Some(run)), None, false).await.unwrap_err();
    assert!(refused.message.starts_with("an agent of forge.test/acme/api#1 may not use kugetsu"), "{refused}");
    daemon.kill().await;
}
