//! The daemon dies at any step: nothing is lost, and nothing visible happens twice.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::TaskKind;
use kugetsu_forge::servers::{Server, Servers};
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::pull_request::PullRequest;
use uuid::Uuid;

use crate::every_step::{
    Scenario, survives_a_death_at_every_step, survives_a_death_at_the_last, survives_short_lived_daemons,
};
use crate::runner::PAUSED_UNTIL;
use crate::world::{Daemon, World, repo, settings};

fn task(number: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(number))
}

/// Queues a task, as a client that repeats its request until a daemon has stored it.
async fn queue(daemon: &Daemon, request: Enqueue) {
    if daemon.store.view(request.task.id).await.unwrap().is_some() {
        return;
    }
    daemon.engine.store().enqueue(request, daemon.engine.clock().now()).await.unwrap();
}

async fn start(world: &World, daemon: &Daemon, number: u64, message: &str) {
    queue(daemon, world.request(task(number.into()), number, TaskKind::Start, message, Precondition::Idle)).await;
}

struct OneTask(&'static str, &'static [&'static str]);

impl Scenario for OneTask {
    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, self.0).await;
        daemon.settled(1).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        assert_eq!(daemon.events(issue.id).await, self.1);
        assert_eq!(world.machine.started(), [self.0]);
    }
}

const DONE: OneTask =
    OneTask("done", &["task_queued", "task_claimed", "worktree_ready", "session_opened", "run_ended"]);

#[tokio::test]
async fn run_is_started_and_ends_once() {
    survives_a_death_at_every_step(&DONE).await;
    survives_short_lived_daemons(&DONE).await;
}

/// A runner that vanishes, three times.
struct Lost;

impl Scenario for Lost {
    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, "vanish").await;
        daemon.settled(1).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        let attempt = ["task_claimed", "worktree_ready", "runner_lost"];
        assert_eq!(daemon.events(issue.id).await, [&["task_queued"], [attempt; 3].as_flattened()].concat());
        assert_eq!(daemon.state(1).await, "failed");
        assert_eq!(world.machine.started().len(), 3);
    }
}

#[tokio::test]
async fn runner_that_vanishes_is_counted_once() {
    survives_a_death_at_every_step(&Lost).await;
    survives_short_lived_daemons(&Lost).await;
}

/// A run that pauses, and the next one in the same session.
struct Paused;

impl Scenario for Paused {
    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, "pause").await;
        daemon
            .until("the pause, or the run after it", async || {
                let issue = daemon.issue(1).await;
                let is_paused = issue.tasks.first().is_some_and(|task| task.not_before.is_some());
                (is_paused || world.machine.started().len() > 1).then_some(())
            })
            .await;
        daemon.set_time(PAUSED_UNTIL);
        daemon.settled(1).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        let run = ["task_claimed", "worktree_ready", "session_opened"];
        let expected = [["task_queued"].as_slice(), &run, &["run_paused", "pause_ended"], &run, &["run_ended"]];
        assert_eq!(daemon.events(issue.id).await, expected.concat());
        assert_eq!(daemon.state(1).await, "done");
        assert_eq!(world.machine.started().len(), 2);
    }
}

#[tokio::test]
async fn paused_task_continues_once_when_its_time_has_come() {
    survives_a_death_at_every_step(&Paused).await;
    survives_short_lived_daemons(&Paused).await;
}

/// A message that interrupts the run of the one before it.
struct Interrupt;

impl Scenario for Interrupt {
    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, "wait").await;
        daemon
            .until("the run, or the message after it", async || {
                let issue = daemon.issue(1).await;
                (issue.session.is_some()).then_some(())
            })
            .await;
        let next = world.request(task(2), 1, TaskKind::Continue, "done", Precondition::Continuable);
        queue(daemon, Enqueue { interrupt: true, ..next }).await;
        daemon.settled(1).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        let run = ["task_claimed", "worktree_ready", "session_opened"];
        let expected =
            [["task_queued"].as_slice(), &run, &["task_queued", "cancel_asked", "run_ended"], &run, &["run_ended"]];
        assert_eq!(daemon.events(issue.id).await, expected.concat());
        assert_eq!(world.machine.started(), ["wait", "done"]);
        assert_eq!(daemon.state(1).await, "done");
    }
}

#[tokio::test]
async fn interrupted_run_ends_once_and_the_message_is_sent_once() {
    survives_a_death_at_every_step(&Interrupt).await;
    survives_short_lived_daemons(&Interrupt).await;
}

/// Cancels a task that runs and one that waits for the same slot.
struct Cancel;

impl Cancel {
    /// As the command does, which refuses a task that has ended.
    async fn cancel(daemon: &Daemon, number: u64) {
        let issue = daemon.issue(number).await;
        if let Some(task) = issue.tasks.first().filter(|task| !task.cancel_requested) {
            daemon.engine.apply(issue.id, Event::CancelRequested { task: task.id }).await.unwrap();
        }
    }
}

impl Scenario for Cancel {
    async fn world(&self) -> World {
        World::new(1).await
    }

    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, "wait").await;
        daemon.until("the run", async || daemon.issue(1).await.session).await;
        start(world, daemon, 2, "done").await;
        Self::cancel(daemon, 2).await;
        Self::cancel(daemon, 1).await;
        daemon.settled(1).await;
        daemon.settled(2).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let running = daemon.events(daemon.issue(1).await.id).await;
        let expected = ["task_queued", "task_claimed", "worktree_ready", "session_opened", "cancel_asked", "run_ended"];
        assert_eq!(running, expected);
        assert_eq!(daemon.events(daemon.issue(2).await.id).await, ["task_queued", "cancel_asked"]);
        assert_eq!((daemon.state(1).await, daemon.state(2).await), ("canceled", "canceled"));
        assert_eq!(world.machine.started(), ["wait"]);
    }
}

#[tokio::test]
async fn canceled_tasks_end_once() {
    survives_a_death_at_every_step(&Cancel).await;
    survives_short_lived_daemons(&Cancel).await;
}

/// A message to the coordinator that starts a task.
struct Delegate;

impl Scenario for Delegate {
    async fn play(&self, world: &World, daemon: &Daemon) {
        let coordinator = IssueRef::coordinator();
        let request = world.request(task(1), 1, TaskKind::Delegate, "delegate 7 done", Precondition::Any);
        let repo = Repo { name: coordinator.repo.clone(), kind: None, source: String::new() };
        queue(daemon, Enqueue { repo, number: Some(coordinator.number), ..request }).await;
        daemon
            .until("the report", async || {
                let issue = daemon.store.issue(&coordinator).await.unwrap()?;
                let tasks = daemon.store.views(ViewQuery::new(ViewFilter::TasksOf(issue.id))).await.unwrap().views;
                let ended = tasks.iter().filter(|view| view.task.state.is_final()).count();
                (ended == 2).then_some(())
            })
            .await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let coordinator = daemon.store.issue(&IssueRef::coordinator()).await.unwrap().unwrap();
        let tasks = daemon.store.views(ViewQuery::new(ViewFilter::TasksOf(coordinator.id))).await.unwrap().views;
        let kinds: Vec<TaskKind> = tasks.iter().rev().map(|view| view.task.kind).collect();
        assert_eq!(kinds, [TaskKind::Delegate, TaskKind::Report], "one report");
        assert_eq!(daemon.state(7).await, "done");
        let started = world.machine.started();
        assert_eq!(started.len(), 3, "{started:?}");
        assert_eq!(daemon.store.reports_due(coordinator.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn delegated_task_is_reported_once() {
    survives_a_death_at_every_step(&Delegate).await;
    survives_short_lived_daemons(&Delegate).await;
}

/// A run that pushes to a forge, which is then asked for the pull request.
struct Push {
    forge: ForgeServer,
    failures: Failures,
}

/// How many of the requests fail.
enum Failures {
    None,
    Two,
    All,
}

impl Push {
    fn new(failures: Failures) -> Self {
        let forge = ForgeServer::gitea();
        forge.pull_request("acme/api", PullRequest::new("It works", "kugetsu/1-push"));
        Self { forge, failures }
    }

    fn fail(&self, count: usize) {
        (0..count).for_each(|_| self.forge.fail_next(Fault::Status(400)));
    }
}

impl Scenario for Push {
    async fn world(&self) -> World {
        match self.failures {
            Failures::None => {}
            Failures::Two => self.fail(2),
            Failures::All => self.fail(40),
        }
        let base = ServerBase::new(self.forge.base_url()).unwrap();
        let server = Server {
            name: "forge".to_owned(),
            base: base.clone(),
            kind: Some(ForgeKind::Gitea),
            api_url: None,
            token_env: None,
        };
        let mut settings = settings(2);
        settings.servers = Servers::new(vec![server], None).unwrap();
        let name = RepoRef { base, project: ProjectPath::new("acme/api").unwrap() };
        World::with(settings, Repo { name, kind: Some(ForgeKind::Gitea), ..repo() }).await
    }

    async fn play(&self, world: &World, daemon: &Daemon) {
        start(world, daemon, 1, "push").await;
        daemon.settled(1).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        let is_found = !matches!(self.failures, Failures::All);
        let mut expected = vec!["task_queued", "task_claimed", "worktree_ready", "session_opened", "run_ended"];
        expected.extend(is_found.then_some("change_seen"));
        assert_eq!(daemon.events(issue.id).await, expected);
        assert_eq!(world.machine.started(), ["push"]);
        assert_eq!(issue.pr.is_some(), is_found);
        let given_up = daemon.store.effects_of(issue.id).await.unwrap();
        assert_eq!(given_up.len(), usize::from(!is_found));
        assert!(given_up.iter().all(|effect| effect.error.is_some()), "{given_up:?}");
    }
}

#[tokio::test]
async fn pull_request_of_a_pushed_branch_is_found_once() {
    let push = Push::new(Failures::None);
    survives_a_death_at_every_step(&push).await;
    survives_short_lived_daemons(&push).await;
}

#[tokio::test]
async fn pull_request_is_found_once_although_the_forge_fails_at_first() {
    let push = Push::new(Failures::Two);
    survives_a_death_at_every_step(&push).await;
    survives_short_lived_daemons(&push).await;
}

#[tokio::test]
async fn forge_that_always_fails_is_given_up_once() {
    survives_a_death_at_the_last(8, &Push::new(Failures::All)).await;
}
