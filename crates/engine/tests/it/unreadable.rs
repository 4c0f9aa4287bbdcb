//! Paths that cannot be looked at are not taken for missing, free or never started. Links that lead to themselves stand for such paths:
//! also root cannot follow them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kugetsu_agent::AgentSettings;
use kugetsu_api::problem::Problem;
use kugetsu_api::task::{TaskKind as WireKind, TaskRequest};
use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::naming;
use kugetsu_domain::task::{MAX_ATTEMPTS, TaskKind};
use kugetsu_engine::home::open::open_home;
use kugetsu_engine::intake::tasks::{Queued, check, queue};
use kugetsu_engine::queries::why;
use kugetsu_engine::repos;
use kugetsu_store::write::Precondition;
use uuid::Uuid;

use crate::world::{Daemon, World, counts, repo, settings};

/// Replaces what is at a path, if there is anything, by a link to itself. Returns where it is now.
fn make_unreadable(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    if path.exists() {
        fs::rename(path, &aside).unwrap();
    }
    symlink(path, path).unwrap();
    aside
}

fn make_readable(path: &Path, aside: &Path) {
    fs::remove_file(path).unwrap();
    fs::rename(aside, path).unwrap();
}

/// A world whose agent is installed.
pub(crate) async fn world() -> World {
    let mut settings = settings(1);
    let program = PathBuf::from("/bin/sh");
    settings.profiles =
        vec![AgentSettings { name: "scripted".to_owned(), program: Some(program), ..AgentSettings::default() }];
    World::with(settings, repo()).await
}

async fn typed(daemon: &Daemon, kind: WireKind, number: u64) -> Result<Queued, Problem> {
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        kind,
        reference: daemon.reference(number).to_string(),
        cwd: "/".to_owned(),
        message: Some("done".to_owned()),
        ..TaskRequest::default()
    };
    queue(&daemon.engine, check(&daemon.engine, &request).await?).await
}

#[tokio::test]
async fn repository_is_not_forgotten_while_its_mirror_may_hold_rescues() {
    let world = world().await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    daemon.engine.apply(daemon.issue(1).await.id, Event::DestroyRequested).await.unwrap();
    let is_gone = async || (daemon.issue(1).await.state == IssueState::Destroyed).then_some(());
    daemon.until("the removal", is_gone).await;
    let forgotten = daemon.store.repo(&repo().name).await.unwrap().unwrap();
    let mirrors = world.home.mirrors();
    let aside = make_unreadable(&mirrors);
    let refused = repos::forget(&daemon.engine, &forgotten).await.unwrap_err();
    assert!(refused.message.contains("could not look at"), "{refused:?}");
    let source = async || daemon.store.repo(&repo().name).await.unwrap().map(|repo| repo.source);
    assert_eq!(source().await, Some(repo().source));
    make_readable(&mirrors, &aside);
    repos::forget(&daemon.engine, &forgotten).await.unwrap();
    assert_ne!(source().await, Some(repo().source));
}

#[tokio::test]
async fn new_issue_is_refused_while_its_worktree_may_hold_other_work() {
    let world = world().await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    make_unreadable(&world.home.worktrees());
    let refused = typed(&daemon, WireKind::Start, 7).await.unwrap_err();
    assert!(refused.message.contains("holds work that kugetsu did not start"), "{refused:?}");
}

#[tokio::test]
async fn issue_does_not_continue_while_its_session_may_be_attached() {
    let world = world().await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    let (worktree, _) = world.home.files(&naming::worktree_directory(&daemon.reference(1)));
    fs::create_dir_all(&worktree).unwrap();
    world.change_settings(|settings| settings.agents.max = 0);
    let aside = make_unreadable(&worktree);
    for kind in [WireKind::Continue, WireKind::Push] {
        let refused = typed(&daemon, kind, 1).await.unwrap_err();
        assert!(refused.message.contains("could not lock"), "{refused:?}");
    }
    make_readable(&worktree, &aside);
    typed(&daemon, WireKind::Push, 1).await.unwrap();
}

#[tokio::test]
async fn work_of_a_lost_run_that_cannot_be_looked_at_is_reported_as_not_rescued() {
    let world = world().await;
    let daemon = world.daemon();
    fs::create_dir_all(world.home.worktrees()).unwrap();
    make_unreadable(&world.home.files(&naming::worktree_directory(&daemon.reference(1))).0);
    daemon.start(1, "vanish").await;
    daemon.settled(1).await;
    let failed = daemon.no_effects(daemon.issue(1).await.id).await;
    assert!(failed.iter().any(|effect| format!("{effect:?}").contains("cannot look at")), "{failed:?}");
    let (run, _) = world.machine.started_runs().pop().unwrap();
    let records = fs::read_to_string(world.home.run(run).records()).unwrap();
    assert!(records.contains("could not be rescued, and is still in its worktree"), "{records}");
}

#[tokio::test]
async fn attempt_counts_if_it_cannot_be_found_out_whether_its_agent_began() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "vanish-unreadable").await;
    let events = daemon.settled(1).await;
    assert_eq!(daemon.state(1).await, "failed");
    assert_eq!(counts(&events)["runner_lost"], MAX_ATTEMPTS as usize);
}

#[tokio::test]
async fn unknown_worktree_whose_lock_cannot_be_tried_stays_where_it_is() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let names = ["free", "endless"];
    for name in names {
        let (worktree, relay) = world.home.files(name);
        fs::create_dir_all(&relay).unwrap();
        fs::create_dir_all(&worktree).unwrap();
        fs::write(relay.with_extension("owned"), "").unwrap();
    }
    make_unreadable(&world.home.files("endless").0);
    open_home(&daemon.engine).await.unwrap();
    let is_left = names.map(|name| world.home.files(name).1.exists());
    assert_eq!(is_left, [false, true]);
}

#[tokio::test]
async fn queued_task_says_that_its_worktree_cannot_be_locked() {
    let world = world().await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    daemon.start(2, "stuck").await;
    daemon.until("the only slot to be in use", async || world.machine.started().get(1).cloned()).await;
    daemon.enqueue(1, TaskKind::Start, "done", Precondition::Any).await;
    fs::create_dir_all(world.home.worktrees()).unwrap();
    make_unreadable(&world.home.files(&naming::worktree_directory(&daemon.reference(1))).0);
    let why = why::why(&daemon.engine, &daemon.reference(1).to_string(), world.home.path()).await.unwrap();
    assert!(why.because.iter().any(|because| because.contains("could not lock")), "{why:?}");
}
