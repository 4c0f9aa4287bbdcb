//! The APIs of servers: issues as tasks, and pull requests that keep worktrees. The engine's tests cover every kind of
//! server.

use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};
use kugetsu_testkit::{ForgeServer, GitServer, Repository};

use crate::world::{World, ended, script, shown};

const TOKEN: &str = "forge-token-123456";

/// A server with a repository, and a home in which it is configured.
struct Stage {
    world: World,
    forge: ForgeServer,
    /// Serves until it is dropped.
    _git: GitServer,
}

impl Stage {
    fn new() -> Self {
        let forge = ForgeServer::gitea();
        forge.token(TOKEN, "robot");
        let git = GitServer::start(TOKEN);
        git.add_repository_from("acme/api", &Repository::with_commit());
        forge.serve_git(&git);
        let world = World::new();
        let path = world.home.kugetsu().join("config.toml");
        let mut config = std::fs::read_to_string(&path).unwrap();
        config.push_str(&format!("\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", forge.base_url()));
        std::fs::write(path, config).unwrap();
        world.run(["env", "set", "GITEA_TOKEN", TOKEN]);
        Self { world, forge, _git: git }
    }

    fn reference(&self, number: u64) -> String {
        format!("{}/acme/api#{number}", self.forge.base_url().trim_start_matches("http://"))
    }

    /// Pushes a commit for an issue. Returns the branch.
    fn pushed(&self, number: u64) -> String {
        let reference = self.reference(number);
        let steps = script(&["write a.txt a", "commit one"]);
        let (run, code) = ended(&self.world.attempt(["start", &reference, &steps, "--wait", "--json"]));
        assert_eq!((code, &run["pushed"]), (0, &true.into()), "{run}");
        run["branch"].as_str().unwrap().to_owned()
    }
}

#[test]
fn unreadable_issue_fails_with_a_hint_to_pass_a_message() {
    let stage = Stage::new();
    let pr = stage.forge.pull_request("acme/api", PullRequest::new("A pull request", "topic"));
    for (number, parts) in [(99, ["found nothing", "\"<message>\""]), (pr, ["is a pull request", "not an issue"])] {
        let output = stage.world.attempt(["start", &stage.reference(number)]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
        assert!(!stderr.contains(TOKEN), "{stderr}");
    }
    assert_eq!(stage.world.json(["list", "--json"]).as_array().unwrap().len(), 0, "nothing is stored");
    let local = stage.world.repository("shop");
    let output = stage.world.try_in(local.path(), ["start", "."]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("a message is required"), "{}", shown(&output));
}

#[test]
fn set_pr_asks_the_server_of_the_url() {
    let stage = Stage::new();
    let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
    let pr =
        stage.forge.pull_request("acme/api", PullRequest::new("Elsewhere", "another-branch").state(PrState::Closed));
    let reference = stage.reference(number);
    stage.world.run(["start", &reference, &script(&["say hm"]), "--wait"]);
    let url = format!("{}/acme/api/pulls/{pr}", stage.forge.base_url());
    let stdout = stage.world.run(["set-pr", &reference, &url]);
    assert!(stdout.contains("(closed)"), "{stdout}");
    let run = stage.world.latest(&reference);
    assert_eq!((&run["pr_url"], &run["change_state"]), (&url.clone().into(), &"closed".into()));
    for (url, part) in [
        ("https://u:p@h/o/r/pulls/3", "a user, a password"),
        ("no address", "is not the URL"),
        ("https://git.example.net/acme", "is not the URL"),
    ] {
        let output = stage.world.attempt(["set-pr", &reference, url]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{}", shown(&output));
    }
    let removed = stage.world.run(["set-pr", &reference, "--remove"]);
    assert!(removed.contains("removed "), "{removed}");
    assert!(stage.world.run(["set-pr", &reference, "--remove"]).contains("has no pull request"));
    let unknown = stage.world.attempt(["set-pr", &reference, "https://git.example.net/acme/api/pulls/3"]);
    assert_eq!(unknown.status.code(), Some(0), "it is stored: {}", shown(&unknown));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("could not determine the state"), "{}", shown(&unknown));
    let output = stage.world.attempt(["destroy", &reference, "-y"]);
    assert_eq!(output.status.code(), Some(3), "an unknown state is not merged: {}", shown(&output));
    assert!(stage.forge.requests().iter().all(|request| !request.target.contains("example.net")));
}

#[test]
fn destroy_keeps_the_worktree_of_an_open_pull_request() {
    let stage = Stage::new();
    let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
    let reference = stage.reference(number);
    let branch = stage.pushed(number);
    let pr = stage.forge.pull_request("acme/api", PullRequest::new("Make it quick", &branch));
    let destroy = |code: i32, parts: &[&str]| {
        let output = stage.world.attempt(["destroy", &reference, "-y"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    };
    destroy(3, &["is open", "--discard"]);
    assert!(stage.world.worktree(&reference).exists());
    stage.forge.fail_next(Fault::Status(400));
    destroy(3, &["is unknown", "destroy.check_pr false"]);
    stage.forge.set_pr_state("acme/api", pr, PrState::Merged);
    destroy(0, &["is merged"]);
}

#[test]
fn issues_whose_pull_request_was_merged_are_destroyed_together() {
    let stage = Stage::new();
    let references: Vec<String> = ["It is slow", "It is wrong"]
        .iter()
        .map(|title| {
            let number = stage.forge.issue("acme/api", Issue::new(title));
            let branch = stage.pushed(number);
            let pr = stage.forge.pull_request("acme/api", PullRequest::new(title, &branch));
            if *title == "It is slow" {
                stage.forge.set_pr_state("acme/api", pr, PrState::Merged);
            }
            let url = format!("{}/acme/api/pulls/{pr}", stage.forge.base_url());
            stage.world.run(["set-pr", &stage.reference(number), &url]);
            stage.reference(number)
        })
        .collect();
    let listed = stage.world.run(["list"]);
    assert!(listed.contains("PR") && listed.contains(" merged ") && listed.contains(" open "), "{listed}");
    let refused = shown(&stage.world.attempt(["destroy", "--merged"]));
    assert!(refused.contains(&references[0]) && !refused.contains(&references[1]), "{refused}");
    let removed = stage.world.run(["destroy", "--merged", "--yes"]);
    assert!(removed.contains(&references[0]) && !removed.contains(&references[1]), "{removed}");
    assert_eq!(stage.world.latest(&references[1])["destroyed"], false);
}

#[test]
fn issue_text_is_the_task() {
    let stage = Stage::new();
    let number = stage.forge.issue("acme/api", Issue::new("It is slow").body("Very.").author("mallory"));
    let reference = stage.reference(number);
    let (run, code) = ended(&stage.world.attempt(["start", &reference, "--wait", "--json"]));
    assert_eq!(code, 0, "{run}");
    let prompt = stage.world.records(&reference, "prompt")[0]["text"].as_str().unwrap().to_owned();
    assert!(prompt.contains("written by mallory") && prompt.contains("> # It is slow"), "{prompt}");
}
