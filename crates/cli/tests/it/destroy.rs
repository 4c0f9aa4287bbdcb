//! `destroy` and `rescue` never lose work.

use crate::world::{World, script, shown};

#[test]
fn destroy_removes_worktree_and_session() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let sessions = || {
        let output = world.home.run(world.home.command(kugetsu_testkit::scripted_agent()).args(["session", "list"]));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(sessions().contains(run["session_id"].as_str().unwrap()), "{}", sessions());
    world.run(["destroy", "local/demo#1", "-y"]);
    assert_eq!(sessions().trim(), "");
    assert!(!std::path::Path::new(run["worktree"].as_str().unwrap()).exists());
    assert_eq!(std::fs::read_dir(world.home.kugetsu().join("gates")).unwrap().count(), 0);
    let once_more = world.attempt(["destroy", "local/demo#1"]);
    assert_eq!(once_more.status.code(), Some(2), "there is no prompt for a destroyed issue: {}", shown(&once_more));
    assert!(shown(&once_more).contains("is already destroyed"), "{}", shown(&once_more));
    let (again, code) = world.start(&repository, &script(&["history"]));
    assert_eq!((code, again["issue"].as_str()), (0, Some("local/demo#2")));
    assert!(world.agent_text("local/demo#2").contains("0 earlier"), "{}", world.agent_text("local/demo#2"));
}

#[test]
fn destroy_keeps_unpushed_work() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write left.txt precious"]));
    let refused = world.attempt(["destroy", "local/demo#1", "-y"]);
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("1 uncommitted file") && text.contains("--discard"), "{text}");
    let worktree = std::path::Path::new(run["worktree"].as_str().unwrap());
    assert!(worktree.join("left.txt").exists());

    world.run(["destroy", "local/demo#1", "-y", "--discard"]);
    assert!(!worktree.exists());
    let rescues = world.json(["rescue", "list", "--json"]);
    assert_eq!(rescues[0]["issue"], "local/demo#1", "{rescues}");
    let into = world.home.path().join("back");
    world.run(["rescue", "restore", "local/demo#1", "--to", into.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(into.join("left.txt")).unwrap(), "precious\n");
    assert_eq!(std::fs::read_to_string(into.join("README.md")).unwrap(), "hello\n");
    let occupied = world.attempt(["rescue", "restore", "local/demo#1", "--to", into.to_str().unwrap()]);
    assert_eq!(occupied.status.code(), Some(2), "{}", shown(&occupied));
}

#[test]
fn destroy_names_the_rescue_of_an_earlier_run() {
    let world = World::new();
    let repository = world.repository("demo");
    for steps in [&["write left.txt precious", "error boom"][..], &["write a.txt a", "commit one", "crash"]] {
        let (run, _) = world.start(&repository, &script(steps));
        let reference = run["issue"].as_str().unwrap();
        let rescues = world.json(["rescue", "list", reference, "--json"]);
        assert_eq!(rescues.as_array().unwrap().len(), 1, "{rescues}");
        let destroyed = world.json(["destroy", reference, "--discard", "--json"]);
        assert_eq!(destroyed["rescue"], rescues[0]["reference"], "{rescues}");
    }
}

#[test]
fn destroy_counts_unpushed_commits_as_work() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit one", "crash"]));
    let refused = world.attempt(["destroy", "local/demo#1", "-y"]);
    // The commits of the crashed run are in a rescue.
    assert_eq!(refused.status.code(), Some(0), "{}", shown(&refused));
    let rescues = world.json(["rescue", "list", "local/demo#1", "--json"]);
    assert!(!rescues.as_array().unwrap().is_empty());

    let reference = "local/demo#2";
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let worktree = std::path::Path::new(run["worktree"].as_str().unwrap());
    std::fs::write(worktree.join("by-hand.txt"), "x").unwrap();
    let git = |args: &[&str]| world.home.run(world.home.command("git").args(args).current_dir(worktree));
    git(&["add", "."]);
    git(&["commit", "-qm", "by hand"]);
    let refused = world.attempt(["destroy", reference, "-y"]);
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("1 unpushed commit"), "{}", shown(&refused));
}

#[test]
fn unfinished_operation_counts_as_work() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["run git bisect start"]));
    let refused = world.attempt(["destroy", "local/demo#1", "-y"]);
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("a bisect that is unfinished") && text.contains("finish or abort a bisect"), "{text}");
    world.run(["destroy", "local/demo#1", "-y", "--discard"]);
    let into = world.home.path().join("back");
    world.run(["rescue", "restore", "local/demo#1", "--to", into.to_str().unwrap()]);
    assert!(into.join(".git/BISECT_START").exists());
}

#[test]
fn destroy_fails_while_an_agent_is_running() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    world.await_state(&reference, "running");
    let refused = world.attempt(["destroy", &reference, "-y", "--discard"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("queue cancel"), "{}", shown(&refused));
    assert_eq!(world.latest(&reference)["state"], "running");
}

#[test]
fn destroy_base_restores_the_built_in_context() {
    let world = World::new();
    world.run(["init"]);
    let context = world.home.kugetsu().join("base/context.md");
    std::fs::write(&context, "mine\n").unwrap();
    assert_eq!(world.attempt(["destroy", "--base"]).status.code(), Some(3), "without a terminal and -y");
    assert_eq!(std::fs::read_to_string(&context).unwrap(), "mine\n");
    world.run(["destroy", "--base", "-y"]);
    assert!(!context.exists());
    world.run(["init"]);
    assert!(std::fs::read_to_string(&context).unwrap().contains("stop and report it"));
}

#[test]
fn several_issues_are_destroyed_one_by_one() {
    let world = World::new();
    let repository = world.repository("demo");
    for steps in [["say one"], ["write dirt.txt x"], ["say three"]] {
        world.start(&repository, &script(&steps));
    }
    let issues = ["local/demo#1", "local/demo#2", "local/demo#3"];
    let output = world.attempt([&["destroy", "--yes"], issues.as_slice()].concat());
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert!(shown(&output).contains("did not remove local/demo#2: 1 uncommitted file"), "{}", shown(&output));
    let left =
        || world.json(["list", "--json"]).as_array().unwrap().iter().filter(|run| run["destroyed"] == false).count();
    assert_eq!(left(), 1, "the others are removed");
    let output = world.attempt(["destroy", "local/demo#2", "local/demo#9", "--discard", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    let removed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(removed.as_array().unwrap().len(), 1);
    assert_eq!(left(), 0);
}

#[test]
fn issues_are_destroyed_by_state_and_age() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say one"]));
    world.start(&repository, &script(&["error the model is gone"]));
    let refused = world.attempt(["destroy", "--done"]);
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    assert!(shown(&refused).contains("removing local/demo#1 needs confirmation"), "{}", shown(&refused));
    assert!(shown(&refused).contains("run `kugetsu destroy --done --yes`"), "{}", shown(&refused));
    let none = world.attempt(["destroy", "--merged", "--yes"]);
    assert!(none.status.success() && shown(&none).contains("no such issues"), "{}", shown(&none));
    assert!(shown(&world.attempt(["destroy", "--older-than", "1h", "--yes"])).contains("no such issues"));
    let removed = world.run(["destroy", "--done", "--yes"]);
    assert!(removed.contains("local/demo#1") && !removed.contains("local/demo#2"), "{removed}");
    let removed = world.run(["destroy", "--older-than", "0s", "--yes"]);
    assert!(removed.contains("local/demo#2"), "{removed}");
}

#[test]
fn destroy_and_restore_name_the_other_rescues_of_the_issue() {
    let world = World::new();
    let repository = world.repository("demo");
    let make = "run git clone -q \"$PWD\" \"$TMPDIR/clone\" && cd \"$TMPDIR/clone\" && echo precious > left.txt";
    world.start(&repository, &script(&[make, "write left.txt more"]));
    let destroyed = world.attempt(["destroy", "local/demo#1", "--discard"]);
    assert_eq!(destroyed.status.code(), Some(0), "{}", shown(&destroyed));
    let rescues = world.json(["rescue", "list", "local/demo#1", "--json"]);
    assert_eq!(rescues.as_array().unwrap().len(), 2, "{rescues}");
    let is_named = |output: &std::process::Output| {
        let text = shown(output);
        assert!(text.contains("1 more rescue with other work"), "{text}");
        assert!(text.contains("kugetsu rescue list local/demo#1"), "{text}");
    };
    is_named(&destroyed);
    let into = world.home.path().join("back");
    is_named(&world.attempt(["rescue", "restore", "local/demo#1", "--to", into.to_str().unwrap()]));
}

#[test]
fn destroy_of_a_running_issue_says_that_it_is_running() {
    let world = World::new();
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &script(&["write a.txt a", "commit one", "wait go"]));
    world.await_state(&issue, "running");
    let refused = world.attempt(["destroy", &issue, "--yes"]);
    let text = shown(&refused);
    assert!(text.contains("has a run in progress") && text.contains("kugetsu queue cancel"), "{text}");
    world.release_agents();
    world.await_state(&issue, "done");
}
