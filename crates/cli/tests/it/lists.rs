//! Lists: their order, limits and pages.

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoints;
use kugetsu_api::issue::IssuesQuery;
use kugetsu_api::problem::ProblemKind;
use kugetsu_api::run::RunObject;
use kugetsu_api::task::{TaskRequest, TasksQuery};
use kugetsu_testkit::Repository;
use serde_json::Value;
use uuid::Uuid;

use crate::world::{World, script, shown};

/// A daemon that starts no task, and a repository.
fn paused(world: &World) -> Repository {
    world.run(["config", "set", "agents.max", "0"]);
    world.repository("demo")
}

async fn connect(world: &World) -> Client {
    Client::connect(&world.home.kugetsu().join("daemon.sock")).await.unwrap()
}

/// Queues tasks, each for a new issue.
async fn queue(world: &World, repository: &Repository, count: usize) {
    let mut client = connect(world).await;
    for number in 0..count {
        let request = TaskRequest {
            task: Uuid::now_v7().to_string(),
            reference: ".".to_owned(),
            cwd: repository.path().display().to_string(),
            message: Some(format!("task {number}")),
            ..TaskRequest::default()
        };
        client.call(&endpoints::QUEUE_TASK, &request).await.unwrap();
    }
}

async fn issues(world: &World, query: IssuesQuery) -> Result<Vec<RunObject>, ClientError> {
    connect(world).await.list(&endpoints::LIST_ISSUES, &query).await?.collect().await
}

/// The numbers of the issues in a table or in JSON, in its order.
fn numbers(text: &str) -> Vec<u32> {
    let number = |reference: &str| reference.strip_prefix("local/demo#").and_then(|number| number.parse().ok());
    match serde_json::from_str::<Vec<Value>>(text) {
        Ok(rows) => rows.iter().filter_map(|row| number(row["issue"].as_str()?)).collect(),
        Err(_) => text.lines().filter_map(|line| number(line.split_whitespace().next()?)).collect(),
    }
}

/// The numbers of the issues that a command lists, and its notes.
#[track_caller]
fn list(world: &World, args: &[&str]) -> (Vec<u32>, String) {
    let output = world.attempt(args);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    (numbers(&String::from_utf8(output.stdout).unwrap()), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn lists_are_limited_and_say_how_to_see_the_rest() {
    let world = World::new();
    let repository = paused(&world);
    world.run(["status"]);
    queue(&world, &repository, 40).await;
    world.run(["queue", "cancel", "local/demo#39"]);
    world.run(["destroy", "local/demo#39", "--yes"]);
    let newest = |count: u32| (1..=40).rev().filter(|number| *number != 39).take(count as usize).collect::<Vec<_>>();

    let (listed, notes) = list(&world, &["list"]);
    assert_eq!(listed, newest(30));
    let expected = "9 older issues not shown; list them with `kugetsu list --limit 39`\n\
        1 destroyed issue hidden; list them with `kugetsu list --all`\n";
    assert_eq!(notes, expected);
    assert_eq!(list(&world, &["list", "--limit", "39"]).0, newest(39));
    let (listed, notes) = list(&world, &["list", "--all", "--limit", "2"]);
    assert_eq!(listed, [40, 39]);
    assert_eq!(notes, "38 older issues not shown; list them with `kugetsu list --all --limit 40`\n");
    assert_eq!(list(&world, &["list", "--json"]).0, (1..=40).rev().collect::<Vec<_>>());
    assert_eq!(list(&world, &["list", "--json", "--limit", "3"]).0, [40, 39, 38]);

    let (listed, notes) = list(&world, &["queue", "list"]);
    assert_eq!(listed, (1..=30).collect::<Vec<_>>());
    assert_eq!(notes, "9 more tasks not shown; list them with `kugetsu queue list --limit 39`\n");
    assert_eq!(list(&world, &["queue", "list", "--limit", "39"]).0.len(), 39);
    let (listed, notes) = list(&world, &["queue", "list", "--all", "--limit", "2"]);
    assert_eq!(listed, [40, 39]);
    assert_eq!(notes, "older tasks not shown; list more with `kugetsu queue list --all --limit 20`\n");
    assert_eq!(list(&world, &["queue", "list", "--all", "--json", "--limit", "2"]).0, [40, 39]);
    assert_eq!(list(&world, &["queue", "list", "--all", "--json"]).0, (1..=40).collect::<Vec<_>>());
    assert_eq!(world.attempt(["list", "--limit", "0"]).status.code(), Some(2));
}

#[test]
fn status_shows_running_tasks_before_a_long_queue() {
    let world = World::new();
    world.run(["config", "set", "agents.max", "1"]);
    let repository = world.repository("demo");
    let running = world.queue(&repository, &script(&["say ready", "hang"]));
    world.await_state(&running, "running");
    for _ in 0..32 {
        world.queue(&repository, "later");
    }
    let status = world.run(["status"]);
    let mut expected = vec![1];
    expected.extend((5..=33).rev());
    assert_eq!(numbers(&status), expected, "{status}");
    assert!(status.contains("\n3 more; list all with `kugetsu list --limit 33`"), "{status}");
    let json = world.json(["status", "--json"]);
    let lengths = ["attention", "open", "ended"].map(|group| json[group].as_array().unwrap().len());
    assert_eq!((lengths, &json["issues"]["queued"], &json["running"]), ([0, 30, 0], &32.into(), &1.into()));
}

#[test]
fn status_shows_what_needs_attention_first() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["error the model is gone"]));
    world.start(&repository, &script(&["say done"]));
    world.run(["config", "set", "agents.max", "0"]);
    world.queue(&repository, "later");
    let status = world.run(["status"]);
    assert_eq!(numbers(&status), [1, 3, 2], "{status}");
    assert!(status.contains("need attention"), "{status}");
}

#[tokio::test]
async fn list_selects_states_and_repositories() {
    let world = World::new();
    let repository = paused(&world);
    world.run(["status"]);
    queue(&world, &repository, 3).await;
    world.run(["queue", "cancel", "local/demo#2"]);
    world.queue(&world.repository("other"), "later");
    assert_eq!(list(&world, &["list", "--state", "canceled"]).0, [2]);
    assert_eq!(list(&world, &["list", "--state", "canceled,queued", "--json"]).0, [3, 2, 1]);
    let all = world.run(["list", "--repo", "other"]);
    assert!(all.contains("local/other#1") && numbers(&all).is_empty(), "{all}");
    for name in ["demo", "local/demo", repository.path().to_str().unwrap()] {
        assert_eq!(list(&world, &["list", "--repo", name]).0, [3, 2, 1], "{name}");
    }
    let (listed, notes) = list(&world, &["list", "--repo", "demo", "--state", "queued", "--limit", "1"]);
    assert_eq!(
        (listed, notes.as_str()),
        (vec![3], "older issues not shown; list more with `kugetsu list --state queued --repo demo --limit 10`\n")
    );
    assert_eq!(list(&world, &["list", "--state", "done"]).0, [0; 0]);
    for wrong in [["--state", "sleeping"], ["--repo", "unknown"]] {
        let output = world.attempt(["list", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    }
}

#[test]
fn queue_list_is_in_the_order_in_which_tasks_start() {
    let world = World::new();
    let repository = paused(&world);
    for priority in ["0", "5", "-1", "5"] {
        world.run_in(repository.path(), ["start", ".", "job", "--priority", priority]);
    }
    let queue = world.run(["queue", "list"]);
    assert_eq!(numbers(&queue), [2, 4, 1, 3], "{queue}");
    assert!(queue.contains("PRIORITY"), "{queue}");
    assert_eq!(list(&world, &["queue", "list", "--limit", "2"]).0, [2, 4]);
    assert_eq!(list(&world, &["queue", "list", "--json"]).0, [1, 2, 3, 4], "scripts get the order of queueing");
}

#[test]
fn task_that_cannot_start_says_why_everywhere() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["error the model is gone"]));
    let output = world.try_in(repository.path(), ["start", ".", "next", "--after", "local/demo#1"]);
    let text = shown(&output);
    assert!(text.contains("local/demo#1 is failed; this task starts only when it is done"), "{text}");
    for command in [vec!["list"], vec!["queue", "list"], vec!["status"], vec!["queue", "show", "local/demo#2"]] {
        let text = world.run(&command);
        assert!(text.contains("waits for local/demo#1, which is failed"), "{command:?}: {text}");
    }
    let why = world.run(["why", "local/demo#2"]);
    assert!(why.contains("waits for local/demo#1, which is failed"), "{why}");
    assert!(why.contains("`kugetsu why local/demo#1`"), "{why}");
    world.run(["config", "set", "agents.max", "0"]);
    let output = world.try_in(repository.path(), ["start", ".", "next"]);
    assert!(shown(&output).contains("no task starts while agents.max is 0"), "{}", shown(&output));
}

/// The number of tasks ahead of one.
fn position(task: &Value) -> u64 {
    task["place"].as_u64().unwrap()
}

#[test]
fn listed_positions_follow_priorities() {
    let world = World::new();
    let repository = paused(&world);
    let started = ["0", "5", "0", "5"].map(|priority| {
        let text = world.run_in(repository.path(), ["start", ".", "job", "--priority", priority, "--json"]);
        position(&serde_json::from_str(&text).unwrap())
    });
    assert_eq!(started, [0, 0, 2, 1], "each when it was queued");
    let places = |args: &[&str]| {
        let mut rows = world.json(args).as_array().unwrap().clone();
        rows.sort_by_key(|row| row["issue"].to_string());
        rows.iter().map(position).collect::<Vec<_>>()
    };
    let shown: Vec<u64> = (1..=4)
        .map(|number| position(&world.json(["queue", "show", &format!("local/demo#{number}"), "--json"])))
        .collect();
    assert_eq!(shown, [2, 0, 3, 1]);
    assert_eq!(places(&["queue", "list", "--json"]), shown);
    assert_eq!(places(&["queue", "list", "--all", "--limit", "9", "--json"]), shown);
}

#[tokio::test]
async fn pages_of_a_long_list_are_parts_of_the_whole() {
    let world = World::new();
    let repository = paused(&world);
    world.run(["status"]);
    queue(&world, &repository, 250).await;
    let all = issues(&world, IssuesQuery::default()).await.unwrap();
    let expected: Vec<String> = (1..=250).rev().map(|number| format!("local/demo#{number}")).collect();
    assert_eq!(all.iter().map(|run| run.issue.as_str()).collect::<Vec<_>>(), expected);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = issues(&world, IssuesQuery { limit: Some(120), after, ..IssuesQuery::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.task.clone());
        paged.extend(page);
    }
    assert_eq!(paged, all);

    let queue = async |query: TasksQuery| {
        connect(&world).await.list(&endpoints::LIST_TASKS, &query).await.unwrap().collect().await.unwrap()
    };
    let all = queue(TasksQuery::default()).await;
    assert_eq!(all.iter().map(|task| task.place).collect::<Vec<_>>(), (0..250).map(Some).collect::<Vec<_>>());
    let after = Some(all[99].run.task.clone());
    assert_eq!(queue(TasksQuery { limit: Some(130), after, ..TasksQuery::default() }).await, all[100..230]);
}

#[tokio::test]
async fn issues_are_selected_by_state() {
    let world = World::new();
    let repository = paused(&world);
    world.run(["status"]);
    queue(&world, &repository, 3).await;
    world.run(["queue", "cancel", "local/demo#2"]);
    let select = async |states: &str| {
        let query = IssuesQuery { states: Some(states.to_owned()), ..IssuesQuery::default() };
        issues(&world, query).await.map(|runs| runs.into_iter().map(|run| run.issue).collect::<Vec<_>>())
    };
    assert_eq!(select("canceled").await.unwrap(), ["local/demo#2"]);
    assert_eq!(select("canceled,queued").await.unwrap(), ["local/demo#3", "local/demo#2", "local/demo#1"]);
    assert_eq!(select("destroyed").await.unwrap(), [""; 0]);
    let Err(ClientError::Problem(problem)) = select("sleeping").await else { panic!("an unknown state is accepted") };
    assert_eq!(
        (problem.kind, problem.message.as_str()),
        (ProblemKind::Usage, "\"sleeping\" is not a state of an issue")
    );
    let query = IssuesQuery { after: Some(Uuid::now_v7().to_string()), ..IssuesQuery::default() };
    let Err(ClientError::Problem(problem)) = issues(&world, query).await else { panic!("an unknown task is accepted") };
    assert_eq!(problem.kind, ProblemKind::NotFound);
}
