//! Budgets: no task starts that would probably exceed one, and a run that has exceeded one is ended.

use kugetsu_domain::task::TaskKind;
use kugetsu_engine::pauses::{pause, resume};
use kugetsu_engine::queries::{tasks, why};
use kugetsu_store::write::Precondition;

use crate::world::{Daemon, World};

/// Lets a push run to its end. What could start before it has started then.
async fn push(daemon: &Daemon) {
    daemon.enqueue(900, TaskKind::Push, "push", Precondition::Any).await;
    daemon.settled(900).await;
}

/// The messages of the runs that were started, without pushes.
fn started(world: &World) -> Vec<String> {
    world.machine.started().into_iter().filter(|message| message != "push").collect()
}

async fn run(daemon: &Daemon, number: u64, message: &str) {
    daemon.start(number, message).await;
    daemon.settled(number).await;
}

async fn reasons(daemon: &Daemon, number: u64) -> (String, String) {
    let reference = daemon.reference(number).to_string();
    let why = why::why(&daemon.engine, &reference, "/".as_ref()).await.unwrap();
    (why.because.join("\n"), why.next.join("\n"))
}

#[tokio::test]
async fn budget_of_a_day_leaves_room_for_runs_in_progress_and_ends_at_midnight() {
    let world = World::new(9).await;
    world.change_settings(|settings| settings.budget.day_usd = Some(5.0));
    let daemon = world.daemon();
    run(&daemon, 1, "used 2.0").await;
    run(&daemon, 2, "done").await;
    daemon.start(3, "wait").await;
    daemon.until("the run", async || (daemon.state(3).await == "running").then_some(())).await;
    daemon.start(4, "done").await;
    push(&daemon).await;
    assert_eq!(started(&world), ["used 2.0", "done", "wait"]);
    let (because, next) = reasons(&daemon, 4).await;
    let parts = [
        "no agent starts until 2023-11-15 ",
        "today, $2.00 of $5.00 were used (setting budget.day_usd)",
        "about $4.00",
    ];
    for part in parts.into_iter().chain([", without 1 run whose usage is not known"]) {
        assert!(because.contains(part), "{part}: {because}");
    }
    assert!(next.contains("`kugetsu config set budget.day_usd <dollars>`"), "{next}");
    let holds = tasks::status(&daemon.engine).await.unwrap().holds;
    assert_eq!((holds.len(), holds[0].name()), (1, "budget"));
    // A new day.
    daemon.set_time(holds[0].until.unwrap());
    daemon.settled(4).await;
    assert!(tasks::status(&daemon.engine).await.unwrap().holds.is_empty(), "a budget with room is no hold");
}

#[tokio::test]
async fn raised_budget_starts_what_waits_and_many_tasks_do_not_exceed_it_together() {
    let world = World::new(9).await;
    world.change_settings(|settings| settings.budget.repo_usd = Some(4.5));
    let daemon = world.daemon();
    run(&daemon, 1, "used 1.0").await;
    pause(&daemon.engine, None).await.unwrap();
    for number in 2..10 {
        daemon.start(number, "wait").await;
    }
    resume(&daemon.engine, None).await.unwrap();
    push(&daemon).await;
    assert_eq!(started(&world).len(), 4, "three in addition to the one that cost a dollar");
    world.change_settings(|settings| settings.budget.repo_usd = Some(5.5));
    daemon.until("the next start", async || (started(&world).len() == 5).then_some(())).await;
    push(&daemon).await;
    assert_eq!(started(&world).len(), 5);
    world.change_settings(|settings| settings.budget.repo_usd = None);
    daemon.until("the last start", async || (started(&world).len() == 9).then_some(())).await;
}

#[tokio::test]
async fn budget_of_an_issue_holds_no_other_issue() {
    let world = World::new(9).await;
    world.change_settings(|settings| settings.budget.issue_usd = Some(2.5));
    let daemon = world.daemon();
    run(&daemon, 1, "used 3.0").await;
    daemon.enqueue(1, TaskKind::Continue, "done", Precondition::Continuable).await;
    push(&daemon).await;
    assert_eq!(started(&world), ["used 3.0"]);
    let (because, _) = reasons(&daemon, 1).await;
    assert!(because.contains("the issue, $3.00 of $2.50 were used (setting budget.issue_usd)"), "{because}");
    // A run here probably costs more than the budget of any issue.
    daemon.start(2, "done").await;
    push(&daemon).await;
    assert_eq!(started(&world).len(), 2, "nothing is known of an issue without runs");
}

#[tokio::test]
async fn run_that_exceeds_its_budget_is_ended() {
    let world = World::new(9).await;
    world.change_settings(|settings| settings.budget.run_usd = Some(1.0));
    let daemon = world.daemon();
    run(&daemon, 1, "spend 1.01").await;
    assert_eq!(daemon.state(1).await, "timeout");
    world.change_settings(|settings| (settings.budget.run_usd, settings.budget.day_usd) = (None, Some(2.0)));
    run(&daemon, 2, "spend 2.01").await;
    assert_eq!(daemon.state(2).await, "timeout");
}
