//! The queue: slots, positions, order, and the commands that change it.

use kugetsu_testkit::eventually;

use crate::world::{World, ended, script, shown, tamper};

/// Fills the only slot with an agent that hangs.
fn full(world: &World) -> kugetsu_testkit::Repository {
    world.run(["config", "set", "agents.max", "1"]);
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    world.await_state(&reference, "running");
    repository
}

#[test]
fn start_queues_with_a_position_if_all_slots_are_in_use() {
    let world = World::new();
    let repository = full(&world);
    let text = world.run_in(repository.path(), ["start", ".", "second"]);
    assert!(text.contains("local/demo#2") && text.contains("queue"), "{text}");
    let third = world.run_in(repository.path(), ["start", ".", "third"]);
    assert!(third.contains("local/demo#3"), "{third}");
    let queue = world.json(["queue", "list", "--json"]);
    let waiting: Vec<_> = queue.as_array().unwrap().iter().filter(|task| task["state"] == "queued").collect();
    assert_eq!(waiting.len(), 2, "{queue}");
    assert_eq!((&waiting[0]["place"], &waiting[1]["place"]), (&0.into(), &1.into()), "{queue}");
    let listed = world.run(["list"]);
    let third = listed.lines().find(|line| line.starts_with("local/demo#3")).unwrap();
    let cells: Vec<&str> = third.split_whitespace().collect();
    assert_eq!(cells[1], "queued", "{listed}");
    assert!(cells[2].parse::<u32>().is_ok(), "a queued task has an age: {listed}");
}

#[test]
fn no_queue_exits_with_75_if_all_slots_are_in_use() {
    let world = World::new();
    let repository = full(&world);
    let refused = world.try_in(repository.path(), ["start", ".", "second", "--no-queue"]);
    assert_eq!(refused.status.code(), Some(75), "{}", shown(&refused));
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 1, "nothing was stored");
}

#[test]
fn cancel_names_the_tasks_that_stay_queued() {
    let world = World::new();
    let repository = full(&world);
    world.run_in(repository.path(), ["continue", "local/demo#1", &script(&["say later"])]);
    world.run_in(repository.path(), ["start", ".", "second"]);
    world.run_in(repository.path(), ["start", ".", "third", "--after", "local/demo#2"]);
    let canceled = |reference: &str| {
        let output = world.attempt(["queue", "cancel", reference]);
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = canceled("local/demo#2");
    assert!(
        text.contains("1 queued task waits for it") && text.contains("`kugetsu queue cancel local/demo#3`"),
        "{text}"
    );
    assert_eq!(canceled("local/demo#3"), "");
    let running = world.json(["queue", "list", "--json"]);
    let running = running.as_array().unwrap().iter().find(|task| task["state"] == "running").unwrap()["task"].clone();
    let text = canceled(running.as_str().unwrap());
    assert!(text.contains("1 more task of local/demo#1 stays queued; cancel with `kugetsu queue cancel "), "{text}");
}

#[test]
fn queued_tasks_can_be_moved() {
    let world = World::new();
    let repository = full(&world);
    for message in ["second", "third", "fourth"] {
        world.run_in(repository.path(), ["start", ".", message]);
    }
    let order = || {
        let list = world.run(["queue", "list"]);
        let queued = list.lines().filter(|line| line.contains(" queued "));
        let numbers = queued.map(|line| line.strip_prefix("local/demo#").unwrap().split(' ').next().unwrap());
        numbers.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order(), "2 3 4");
    let text = world.run(["queue", "move", "local/demo#3", "local/demo#4", "--first"]);
    assert_eq!(text, "local/demo#3 is queued at position 1\nlocal/demo#4 is queued at position 2\n");
    assert_eq!(order(), "3 4 2");
    let moved = world.json(["queue", "move", "local/demo#4", "local/demo#2", "--last", "--json"]);
    let moved = moved.as_array().unwrap().iter().map(|task| task["issue"].as_str().unwrap());
    assert_eq!(moved.collect::<Vec<_>>(), ["local/demo#4", "local/demo#2"]);
    world.run(["queue", "move", "local/demo#3", "local/demo#4", "--first"]);
    assert_eq!(order(), "3 4 2");
    world.run(["queue", "move", "local/demo#3", "--last"]);
    assert_eq!(order(), "4 2 3");
    world.run(["daemon", "restart"]);
    assert_eq!(order(), "4 2 3", "it is stored");
    let moved = world.json(["queue", "move", "local/demo#3", "--priority", "9", "--json"]);
    assert_eq!((&moved["priority"], order().as_str()), (&9.into(), "3 4 2"), "{moved}");
    let listed = world.run(["queue", "list"]);
    assert!(listed.contains("PRIORITY"), "{listed}");

    world.run(["queue", "move", "local/demo#3", "--priority", &i32::MAX.to_string()]);
    let refused = world.attempt(["queue", "move", "local/demo#2", "--first"]);
    assert!(shown(&refused).contains("the highest priority"), "{}", shown(&refused));
    world.run(["queue", "move", "local/demo#4", "--priority", &i32::MIN.to_string()]);
    let refused = world.attempt(["queue", "move", "local/demo#2", "--last"]);
    assert!(shown(&refused).contains("the lowest priority"), "{}", shown(&refused));
    let refused = world.attempt(["queue", "move", "local/demo#1", "--last"]);
    assert!(shown(&refused).contains("the task for local/demo#1 is running"), "{}", shown(&refused));
    let refused = world.attempt(["queue", "move", "local/demo#2"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    world.run(["queue", "cancel", "local/demo#1"]);
    world.await_state("local/demo#3", "done");
}

#[test]
fn queued_task_can_be_canceled_and_retried() {
    let world = World::new();
    let repository = full(&world);
    let reference = world.queue(&repository, &script(&["say hello"]));
    world.run(["queue", "cancel", &reference]);
    assert_eq!(world.latest(&reference)["state"], "canceled");
    world.run(["queue", "retry", &reference]);
    assert_eq!(world.latest(&reference)["state"], "queued");
    world.run(["queue", "cancel", "local/demo#1"]);
    world.await_state(&reference, "done");
    let again = world.attempt(["queue", "retry", &reference]);
    assert_eq!(again.status.code(), Some(1), "{}", shown(&again));
    let shown = world.run(["queue", "show", &reference]);
    assert!(shown.contains("do the job"), "{shown}");
}

#[test]
fn tasks_of_a_destroyed_issue_are_not_retried() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a"]));
    let (run, _) = ended(&world.attempt(["push", "local/demo#1", "--wait", "--json"]));
    assert_eq!(run["state"], "blocked", "{run}");
    let tasks = world.json(["queue", "list", "--all", "--json"]);
    let tasks: Vec<&str> = tasks.as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
    world.run(["destroy", "local/demo#1", "--discard"]);

    let text = world.run(["why", "local/demo#1"]);
    assert!(text.starts_with("local/demo#1 is destroyed") && text.contains("its latest task was blocked"), "{text}");
    assert!(text.contains("kugetsu rescue list local/demo#1") && text.contains("kugetsu start local/demo#1"), "{text}");
    assert!(!text.contains("kugetsu continue") && !text.contains("queue retry"), "{text}");
    let why = world.json(["why", "local/demo#1", "--json"]);
    assert_eq!((&why["state"], &why["destroyed"]), (&"blocked".into(), &true.into()), "{why}");
    assert_eq!(tasks.len(), 2, "a start and a push");
    for name in tasks.into_iter().chain(["local/demo#1"]) {
        let refused = world.attempt(["queue", "retry", name]);
        let text = shown(&refused);
        assert_eq!(refused.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains("was destroyed") && text.contains("kugetsu start local/demo#1"), "{name}: {text}");
    }
    assert_eq!(world.latest("local/demo#1")["destroyed"], true, "it stays destroyed");
    let (run, _) =
        ended(&world.try_in(repository.path(), ["start", "local/demo#1", &script(&["say again"]), "--wait", "--json"]));
    assert_eq!(run["state"], "done", "{run}");
}

#[test]
fn priority_runs_first_and_after_waits() {
    let world = World::new();
    let repository = full(&world);
    let low = world.queue(&repository, &script(&["say low"]));
    let after = world.run_in(
        repository.path(),
        ["start", ".", &script(&["say after"]), "--after", &low, "--priority", "9", "--json"],
    );
    let after = serde_json::from_str::<serde_json::Value>(&after).unwrap()["issue"].as_str().unwrap().to_owned();
    world.run_in(repository.path(), ["start", ".", &script(&["say high"]), "--priority", "5"]);
    assert_eq!(world.latest(&after)["reason"], format!("waits until {low} is done"));
    world.run(["queue", "cancel", "local/demo#1"]);
    let [low, after, high] = [low.as_str(), &after, "local/demo#4"]
        .map(|reference| world.await_state(reference, "done")["started_at"].as_str().unwrap().to_owned());
    assert!(high < low && low < after, "{high} {low} {after}");
}

#[test]
fn old_ended_tasks_are_deleted_automatically() {
    let world = World::new();
    let repository = world.repository("demo");
    for _ in 0..2 {
        world.start(&repository, &script(&["say hm"]));
    }
    world.run(["continue", "local/demo#1", &script(&["say more"]), "--wait"]);
    let ended = |world: &World| world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len();
    assert_eq!(ended(&world), 3);
    world.kill_daemon();
    let database = world.home.kugetsu().join("state/kugetsu.db");
    tamper(&database, "UPDATE tasks SET ended_at = 0 WHERE seq = 1");
    eventually("the first task to be deleted", || match ended(&world) {
        2 => Ok(()),
        more => Err(more),
    });
}

#[test]
fn clean_keeps_the_latest_task_of_an_issue() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say one"]));
    world.run(["continue", "local/demo#1", &script(&["say two"]), "--wait"]);
    let count = || world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len();
    assert_eq!(count(), 2);
    world.run(["queue", "clean"]);
    assert_eq!(count(), 2, "a week is the default");
    world.run(["queue", "clean", "--older-than", "0s"]);
    assert_eq!(count(), 1);
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn start_of_a_running_issue_points_to_continue() {
    let world = World::new();
    full(&world);
    let refused = world.attempt(["start", "local/demo#1", "more"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("kugetsu continue local/demo#1"), "{}", shown(&refused));
}

#[test]
fn start_of_a_known_issue_continues_its_session() {
    let world = World::new();
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["say hello"]));
    let output = world.attempt(["start", "local/demo#1", &script(&["history"]), "--wait", "--json"]);
    let (second, code) = crate::world::ended(&output);
    assert_eq!(code, 0, "{second}");
    assert_eq!((&second["session_id"], &second["issue"]), (&first["session_id"], &first["issue"]));
}

#[test]
fn damaged_row_is_reported_and_the_rest_runs() {
    let world = World::new();
    let repository = full(&world);
    let broken = world.queue(&repository, &script(&["say broken"]));
    let sound = world.queue(&repository, &script(&["say sound"]));
    world.run(["daemon", "stop"]);
    let database = world.home.kugetsu().join("state/kugetsu.db");
    let damage = "UPDATE tasks SET agent = '', kind = 'start', id = 'no-uuid' WHERE message LIKE '%say broken%'";
    tamper(&database, damage);
    world.run(["queue", "cancel", "local/demo#1"]);
    world.await_state(&sound, "done");
    let log = std::fs::read_to_string(world.home.kugetsu().join("logs/daemon.log")).unwrap();
    assert!(log.contains("damaged"), "{log}");
    let doctor = world.attempt(["doctor"]);
    assert_eq!(doctor.status.code(), Some(1), "{}", shown(&doctor));
    assert!(shown(&doctor).contains("no-uuid"), "{}", shown(&doctor));
    assert_ne!(world.latest(&broken)["state"], "done");
}

#[test]
fn tasks_that_would_wait_forever_are_rejected() {
    let world = World::new();
    let repository = full(&world);
    for own in ["acme/api#1", "acme/api#2"] {
        let source = format!("{{\"acme/api\": {:?}}}", repository.path());
        std::fs::write(world.home.kugetsu().join("repos.json"), source).unwrap();
        world.run(["start", own, "x"]);
        world.run(["queue", "cancel", own]);
    }
    world.run(["start", "acme/api#1", "first", "--after", "acme/api#2"]);
    for (own, other) in [("acme/api#2", "acme/api#1"), ("acme/api#2", "acme/api#2")] {
        let refused = world.attempt(["start", own, "x", "--after", other]);
        assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("wait for"), "{}", shown(&refused));
    }
}

#[test]
fn several_tasks_are_canceled_and_retried() {
    let world = World::new();
    let repository = world.repository("demo");
    world.run(["config", "set", "agents.max", "0"]);
    let issues: Vec<String> = (0..3).map(|_| world.queue(&repository, "later")).collect();
    let output = world.attempt(["queue", "cancel", &issues[0], "local/demo#9", &issues[1]]);
    assert_eq!(output.status.code(), Some(2), "{}", crate::world::shown(&output));
    let states = || issues.iter().map(|issue| world.latest(issue)["state"].clone()).collect::<Vec<_>>();
    assert_eq!(states(), ["canceled", "canceled", "queued"]);
    let retried = world.json(["queue", "retry", &issues[0], &issues[1], "--json"]);
    assert_eq!(retried.as_array().unwrap().len(), 2);
    assert_eq!(states(), ["queued"; 3]);
}
