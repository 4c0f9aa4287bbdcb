//! A repository on a server: git over HTTP with a token.

use kugetsu_testkit::{GitServer, eventually};

use crate::world::{World, ended, script, shown};

const TOKEN: &str = "server-token-123456";

fn world(server: &GitServer) -> World {
    let world = World::new();
    let path = world.home.kugetsu().join("config.toml");
    let mut config = std::fs::read_to_string(&path).unwrap();
    config.push_str(&format!("\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", server.base_url()));
    std::fs::write(path, config).unwrap();
    world
}

fn server() -> GitServer {
    let server = GitServer::start(TOKEN);
    server.add_repository_from("acme/api", &kugetsu_testkit::Repository::with_commit());
    server
}

#[test]
fn branch_is_pushed_to_the_server_with_its_token() {
    let server = server();
    let world = world(&server);
    world.run(["env", "set", "GITEA_TOKEN", TOKEN]);
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let output = world.attempt(["start", &reference, &script(&["write a.txt a", "commit one"]), "--wait", "--json"]);
    let (run, code) = ended(&output);
    assert_eq!(code, 0, "{run}");
    let short = run["issue"].as_str().unwrap();
    assert!(short.ends_with("/acme/api#12") && !short.contains("://"), "{short}");
    assert_eq!(run["branch"], "kugetsu/12-do-the-job");
    let served = server.repository("acme/api");
    assert_eq!(served.resolve("kugetsu/12-do-the-job").as_deref(), run["head_sha"].as_str());

    world.run(["continue", short, &script(&["write b.txt b", "commit two"]), "--wait"]);
    assert_eq!(served.show_text("kugetsu/12-do-the-job", "b.txt"), "b\n");
    let log = std::fs::read_to_string(world.home.kugetsu().join("logs/daemon.log")).unwrap_or_default();
    assert!(!log.contains(TOKEN));
    let remotes =
        world.home.run(world.home.command("git").args(["remote", "-v"]).current_dir(run["worktree"].as_str().unwrap()));
    assert!(
        !String::from_utf8_lossy(&remotes.stdout).contains("http"),
        "the agent's origin is the relay repository: {}",
        shown(&remotes)
    );
}

#[test]
fn missing_token_is_reported_at_once_with_its_variable() {
    let server = server();
    let world = world(&server);
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let refused = world.attempt(["start", &reference, "fix it"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("GITEA_TOKEN"), "{}", shown(&refused));
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 0, "nothing is stored");
    assert_eq!(std::fs::read_dir(world.home.kugetsu().join("mirrors")).unwrap().count(), 0);
}

#[test]
fn commits_of_others_on_the_branch_are_not_overwritten() {
    let server = server();
    let world = world(&server);
    world.run(["env", "set", "GITEA_TOKEN", TOKEN]);
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let output = world.attempt(["start", &reference, &script(&["write a.txt a", "commit one"]), "--wait", "--json"]);
    let (run, _) = ended(&output);
    let branch = run["branch"].as_str().unwrap();
    let clone = kugetsu_testkit::Repository::clone_of(&server.url_with_token("acme/api"), &["--branch", branch]);
    let theirs = clone.commit_files("by another person", &[("theirs.txt", "theirs")]);
    clone.git(["push", "-q"]);
    let output = world.attempt([
        "continue",
        run["issue"].as_str().unwrap(),
        &script(&["write b.txt b", "commit two"]),
        "--wait",
        "--json",
    ]);
    let (run, code) = ended(&output);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert_eq!(server.repository("acme/api").resolve(branch), Some(theirs));
    assert!(run["reason"].as_str().unwrap().contains("push"), "{run}");
}

#[test]
fn short_form_in_a_clone_refers_to_the_server_of_the_clone() {
    let server = server();
    let world = world(&server);
    world.run(["env", "set", "GITEA_TOKEN", TOKEN]);
    let clone = kugetsu_testkit::Repository::clone_of(&server.url_with_token("acme/api"), &[]);
    clone.git(["remote", "set-url", "origin", &server.url("acme/api")]);
    let text = world.run_in(clone.path(), ["start", "#3", &script(&["say hello"]), "--json"]);
    assert!(text.contains("/acme/api#3"), "{text}");
    let inside = clone.path().join("deeper");
    std::fs::create_dir(&inside).unwrap();
    let text = world.run_in(&inside, ["start", "acme/api#4", &script(&["say hello"]), "--json"]);
    assert!(text.contains("/acme/api#4"), "{text}");
}

#[test]
fn run_fails_and_keeps_its_work_if_the_server_is_unreachable() {
    let server = server();
    let world = world(&server);
    world.run(["env", "set", "GITEA_TOKEN", TOKEN]);
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let text =
        world.run(["start", &reference, &script(&["say ready", "write a.txt a", "wait go", "commit one"]), "--json"]);
    let short = serde_json::from_str::<serde_json::Value>(&text).unwrap()["issue"].as_str().unwrap().to_owned();
    eventually("the agent to start", || world.agent_text(&short).contains("ready").then_some(()));
    server.fail_next(1000, 503);
    world.release_agents();
    let run = world.await_state(&short, "failed");
    assert!(run["reason"].as_str().unwrap().contains("could not push"), "{run}");
    assert_eq!(world.json(["rescue", "list", &short, "--json"]).as_array().unwrap().len(), 1);
    assert!(world.worktree(&short).join("a.txt").exists());
}

#[test]
fn printed_short_form_of_an_unconfigured_server_is_accepted() {
    let server = server();
    let world = World::new();
    let git_config = world.home.user().join(".gitconfig");
    let mut config = std::fs::read_to_string(&git_config).unwrap();
    config.push_str(&format!("[credential]\n\thelper = \"!f() {{ echo username=bot; echo password={TOKEN}; }}; f\"\n"));
    std::fs::write(git_config, config).unwrap();
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let output = world.attempt(["start", &reference, &script(&["write a.txt a", "commit one"]), "--wait", "--json"]);
    let (run, code) = ended(&output);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{}", shown(&output));
    let short = run["issue"].as_str().unwrap();
    assert!(!short.contains("://"), "{short}");
    world.run(["logs", short]);
    world.run(["continue", short, &script(&["say again"]), "--wait"]);
    let again = world.attempt(["start", short, &script(&["say third"]), "--wait", "--json"]);
    assert_eq!(ended(&again).0["issue"], short, "{}", shown(&again));
    world.run(["destroy", short, "-y"]);
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn missing_token_of_an_unconfigured_server_is_reported_with_a_working_hint() {
    let server = server();
    let world = World::new();
    let reference = format!("{}/acme/api/issues/12", server.base_url());
    let refused = world.attempt(["start", &reference, "fix it"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains(&format!("kugetsu server add <name> {}", server.base_url())), "{text}");
    for command in [
        vec!["server", "add", "work", &server.base_url(), "--kind", "gitea"],
        vec!["env", "set", "GITEA_TOKEN", TOKEN],
        vec!["start", &reference, "fix it"],
    ] {
        world.run(command);
    }
}
