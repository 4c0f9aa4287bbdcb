//! Runs whose branches, worktrees and relay repositories were changed by users and agents.

use std::path::{Path, PathBuf};

use kugetsu_testkit::Repository;
use serde_json::Value;

use crate::world::{World, ended, script, shown};

/// Runs `continue --wait --json`.
fn continue_with(world: &World, repository: &Repository, steps: &[&str]) -> (Value, i32) {
    ended(&world.try_in(repository.path(), ["continue", ".", &script(steps), "--wait", "--json"]))
}

fn notices(world: &World) -> String {
    let records = world.records("local/demo#1", "notice");
    records.iter().filter_map(|record| record["text"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn branch_deleted_on_the_server_is_pushed_again() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let branch = run["branch"].as_str().unwrap().to_owned();
    // Merged, and then deleted.
    repository.git(["merge", "--quiet", &branch]);
    repository.git(["branch", "--delete", "--force", &branch]);
    let (run, code) = continue_with(&world, &repository, &["write b.txt b", "commit two"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(repository.show_text(&branch, "b.txt"), "b\n");
    assert!(notices(&world).contains(&format!("{branch} was deleted on the server")), "{}", notices(&world));
}

#[test]
fn removed_worktree_is_recreated_from_the_pushed_branch() {
    let world = World::new();
    let repository = world.repository("demo");
    let before = repository.head();
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let branch = run["branch"].as_str().unwrap().to_owned();
    let remove = || std::fs::remove_dir_all(run["worktree"].as_str().unwrap()).unwrap();
    remove();
    let (run, code) = continue_with(&world, &repository, &["write b.txt b", "commit two"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(run["branch"].as_str(), Some(branch.as_str()));
    assert_eq!((&run["base_sha"], &run["commits"]), (&before.into(), &2.into()), "the base is unchanged: {run}");
    assert_eq!(repository.log(&branch).len(), 3);
    assert!(notices(&world).contains("creating it again from what was pushed"), "{}", notices(&world));

    // Without worktree, relay repository and the branch on the server.
    remove();
    std::fs::remove_dir_all(relay(&world)).unwrap();
    repository.git(["branch", "--delete", "--force", &branch]);
    let (run, code) = continue_with(&world, &repository, &["write c.txt c", "commit three"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(repository.log(&branch).len(), 4);
}

#[test]
fn renamed_default_branch_is_followed_and_named() {
    let world = World::new();
    let repository = world.repository("demo");
    let before = repository.head();
    let (run, code) = world.start(&repository, &script(&["say hello"]));
    assert_eq!(code, 0, "{run}");
    repository.git(["branch", "--move", "main", "trunk"]);
    let (run, code) = continue_with(&world, &repository, &["say again"]);
    assert_eq!((code, run["base_sha"].as_str()), (0, Some(before.as_str())), "{run}");
    let text = notices(&world);
    assert!(text.contains("no branch main any more") && text.contains("its default branch is trunk"), "{text}");

    // The work starts again.
    std::fs::remove_dir_all(run["worktree"].as_str().unwrap()).unwrap();
    std::fs::remove_dir_all(relay(&world)).unwrap();
    let (run, code) = continue_with(&world, &repository, &["say more"]);
    assert_eq!(code, 0, "{run}");
    assert!(notices(&world).contains("starting from trunk, its default branch"), "{}", notices(&world));
}

#[test]
fn continue_starts_from_the_base_of_a_start_that_failed() {
    let world = World::new();
    let repository = world.repository("demo");
    repository.branch("release/1");
    let release = repository.head();
    repository.commit_files("later", &[("later.txt", "x")]);
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let next = run["worktree"].as_str().unwrap().strip_suffix('1').map(|name| format!("{name}2")).unwrap();
    std::fs::create_dir(&next).unwrap();
    std::fs::write(Path::new(&next).join("x"), "in the way").unwrap();
    let args = ["start", ".", &script(&["say hello"]), "--base", "release/1", "--wait", "--json"];
    let (run, code) = ended(&world.try_in(repository.path(), args));
    assert_eq!((code, run["base_sha"].as_str()), (1, None), "{run}");
    std::fs::remove_dir_all(&next).unwrap();
    let args = ["continue", run["issue"].as_str().unwrap(), &script(&["say hello"]), "--wait", "--json"];
    let (run, code) = ended(&world.try_in(repository.path(), args));
    assert_eq!((code, run["base_sha"].as_str()), (0, Some(release.as_str())), "{run}");
}

fn relay(world: &World) -> PathBuf {
    let relays = std::fs::read_dir(world.home.kugetsu().join("gates")).unwrap();
    relays.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap()
}

#[test]
fn removed_relay_repository_is_recreated() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    std::fs::remove_dir_all(relay(&world)).unwrap();
    let steps = ["write b.txt b", "commit two", "run git fetch && git push && echo reached"];
    let (again, code) = continue_with(&world, &repository, &steps);
    assert_eq!((again["state"].as_str(), code), (Some("done"), 0), "{again}");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "b.txt"), "b\n");
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(tools.iter().any(|tool| tool["output"].as_str().is_some_and(|out| out.contains("reached"))), "{tools:?}");
    assert!(notices(&world).contains("has been created again"), "{}", notices(&world));
}

#[test]
fn commits_on_another_branch_are_pushed_or_reported() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let branch = run["branch"].as_str().unwrap().to_owned();
    let (run, code) = continue_with(&world, &repository, &["run git switch -q -c fix2", "write b.txt b", "commit two"]);
    assert_eq!(code, 0, "{run}");
    assert_eq!(repository.show_text(&branch, "b.txt"), "b\n");
    assert_eq!(run["reason"], format!("2 commits pushed to {branch}"));

    let steps = [
        "run git switch -q -c aside && git commit -q --allow-empty -m aside",
        &format!("run git switch -q -C {branch} fix2"),
        "write c.txt c",
        "commit three",
    ];
    let (run, code) = continue_with(&world, &repository, &steps);
    assert_eq!(code, 0, "{run}");
    assert_eq!(run["reason"], format!("3 commits pushed to {branch}; not pushed: branch aside"));
    let (run, code) = continue_with(&world, &repository, &["say what I did"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "it is known: {run}");
}

#[test]
fn base_is_rejected_with_a_notice_once_work_has_started() {
    let world = World::new();
    let server = kugetsu_testkit::GitServer::start("server-token-123456");
    let source = Repository::with_commit();
    source.branch("release/1");
    server.add_repository_from("acme/api", &source);
    let path = world.home.kugetsu().join("config.toml");
    let mut config = std::fs::read_to_string(&path).unwrap();
    config.push_str(&format!("\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", server.base_url()));
    std::fs::write(path, config).unwrap();
    world.run(["env", "set", "GITEA_TOKEN", "server-token-123456"]);
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let start = |base: &str| {
        let message = script(&["say hello"]);
        let output = world.attempt(["start", &reference, &message, "--base", base, "--wait", "--json"]);
        ended(&output).0["issue"].as_str().unwrap().to_owned()
    };
    let issue = start("main");
    let notices = || {
        let records = world.records(&issue, "notice");
        records.iter().filter_map(|record| record["text"].as_str()).collect::<String>()
    };
    assert!(!notices().contains("--base"), "{}", notices());
    start("release/1");
    assert!(notices().contains("--base release/1 has no effect") && notices().contains("kugetsu/12-"), "{}", notices());
}

#[test]
fn destroy_keeps_unpushed_commits_of_a_submodule() {
    let world = World::new();
    let inner = world.repository("inner");
    let repository = world.repository("demo");
    let files = ["-c", "protocol.file.allow=always"];
    repository.git(files.iter().chain(&["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "parts"]));
    repository.commit("with a submodule");
    let steps = ["run git -c protocol.file.allow=always submodule --quiet update --init"];
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!(code, 0, "{run}");
    // After the run, since a run that leaves such commits behind is rescued.
    let typed = "cd parts && git switch -q -c work && git commit -q --allow-empty -m inside && git switch -q --detach work^ \
                 && cd .. && git submodule --quiet deinit --force parts";
    let output =
        world.home.run(world.home.command("sh").args(["-c", typed]).current_dir(run["worktree"].as_str().unwrap()));
    assert!(output.status.success(), "{}", shown(&output));
    let output = world.attempt(["destroy", "local/demo#1", "-y"]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    world.run(["destroy", "local/demo#1", "-y", "--discard"]);
    let back = world.home.path().join("back");
    let text = world.run(["rescue", "restore", "local/demo#1", "--to", back.to_str().unwrap()]);
    assert!(text.contains("refs/kugetsu/inner/") || shown_refs(&world, &back).contains("heads/work"), "{text}");
    assert!(shown_refs(&world, &back).contains("/heads/work"), "{}", shown_refs(&world, &back));
}

fn shown_refs(world: &World, repository: &Path) -> String {
    let output = world.home.run(world.home.command("git").arg("for-each-ref").current_dir(repository));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn destroy_reports_a_file_that_git_cannot_store() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write sub/git~1 x"]));
    let worktree = Path::new(run["worktree"].as_str().unwrap());
    for name in ["left.txt", "later.txt"] {
        let output = world.attempt(["destroy", "local/demo#1", "-y", "--discard"]);
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("sub/git~1 (git does not allow such a name; move or delete it)"), "{text}");
        std::fs::write(worktree.join(name), "x").unwrap();
    }
    std::fs::remove_file(worktree.join("sub/git~1")).unwrap();
    world.run(["destroy", "local/demo#1", "-y", "--discard"]);
}

#[test]
fn rescue_is_restored_after_the_repository_has_moved() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write left.txt precious"]));
    std::fs::rename(repository.path(), world.home.path().join("moved")).unwrap();
    world.run(["destroy", "local/demo#1", "-y", "--discard"]);
    let back = world.home.path().join("back");
    world.run(["rescue", "restore", "local/demo#1", "--to", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(back.join("left.txt")).unwrap(), "precious\n");
}
