//! `kugetsu pause` and `kugetsu resume`.

use crate::world::{World, script, shown};

#[test]
fn paused_tasks_wait_over_a_restart_and_every_view_says_what_to_type() {
    let world = World::new();
    let repository = world.repository("demo");
    assert!(world.run(["pause"]).contains("paused everything: no agent starts"));
    assert!(world.run(["pause"]).contains("everything is already paused, since 20"));
    let queued = world.try_in(repository.path(), ["start", ".", &script(&["write a.txt a", "commit one"])]);
    let text = shown(&queued);
    assert!(queued.status.success() && text.contains("is paused since") && text.contains("`kugetsu resume`"), "{text}");
    let refused = world.try_in(repository.path(), ["start", ".", "no", "--no-queue"]);
    assert_eq!(refused.status.code(), Some(75), "{}", shown(&refused));
    assert!(shown(&refused).contains("kugetsu resume"), "{}", shown(&refused));
    world.run(["daemon", "restart"]);
    for command in [["status"].as_slice(), &["queue", "list"], &["list"], &["why", "local/demo#1"]] {
        let text = shown(&world.attempt(command));
        assert!(text.contains("everything is paused since 20"), "{command:?}: {text}");
        assert!(command[0] == "list" || text.contains("kugetsu resume"), "{command:?}: {text}");
    }
    let holds = world.json(["status", "--json"])["holds"].clone();
    assert_eq!((&holds[0]["kind"], &holds[0]["repo"]), (&"pause".into(), &serde_json::Value::Null), "{holds}");
    let resumed = world.json(["resume", "--json"]);
    assert_eq!((&resumed["changed"], &resumed["paused"]), (&true.into(), &false.into()), "{resumed}");
    world.await_state("local/demo#1", "done");
    assert_eq!(world.json(["resume", "--json"])["changed"], false);
}

#[test]
fn repository_is_paused_by_its_name_and_an_unknown_one_is_refused() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    assert!(world.run_in(repository.path(), ["pause", "."]).contains("paused local/demo: "));
    let unknown = world.attempt(["pause", "acme/nothing"]);
    let text = shown(&unknown);
    assert!(!unknown.status.success() && text.contains("hint: ") && text.contains("kugetsu repo list"), "{text}");
    let other = world.repository("other");
    let (run, _) = world.start(&other, &script(&["say other"]));
    assert_eq!(run["state"], "done", "another repository is not paused");
    let held = world.queue(&repository, &script(&["say held"]));
    assert!(world.run(["why", &held]).contains("`kugetsu resume local/demo`"));
    assert!(world.run(["resume"]).contains("only single repositories are paused"));
    world.run(["resume", "demo"]);
    world.await_state(&held, "done");
}
