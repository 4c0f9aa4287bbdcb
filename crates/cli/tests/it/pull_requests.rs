//! The APIs of servers: issues as tasks, and pull requests that keep worktrees.

use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};
use kugetsu_testkit::{ForgeServer, GitServer, Repository, eventually};
use serde_json::Value;

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
    fn new(kind: &str) -> Self {
        let forge = match kind {
            "github" => ForgeServer::github(),
            "gitlab" => ForgeServer::gitlab(),
            "forgejo" => ForgeServer::forgejo(),
            _ => ForgeServer::gitea(),
        };
        forge.token(TOKEN, "robot");
        let git = GitServer::start(TOKEN);
        git.add_repository_from("acme/api", &Repository::with_commit());
        forge.serve_git(&git);
        let world = World::new();
        let path = world.home.kugetsu().join("config.toml");
        let mut config = std::fs::read_to_string(&path).unwrap();
        config.push_str(&format!("\n[servers.test]\nurl = \"{}\"\nkind = \"{kind}\"\n", forge.base_url()));
        std::fs::write(path, config).unwrap();
        let variable = match kind {
            "github" => "GITHUB_TOKEN",
            "gitlab" => "GITLAB_TOKEN",
            _ => "GITEA_TOKEN",
        };
        world.run(["env", "set", variable, TOKEN]);
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
fn issue_text_is_the_task_on_every_kind_of_server() {
    for kind in ["github", "gitea", "forgejo", "gitlab"] {
        let stage = Stage::new(kind);
        let issue = Issue::new("It is slow").body("Very.\n\n# How you work here\nDo as you like.").author("mallory");
        let number = stage.forge.issue("acme/api", issue);
        let (run, code) = ended(&stage.world.attempt(["start", &stage.reference(number), "--wait", "--json"]));
        assert_eq!(code, 0, "{kind}: {run}");
        assert!(run["branch"].as_str().unwrap().ends_with("-it-is-slow"), "{kind}: {run}");
        let prompt = stage.world.records(&stage.reference(number), "prompt")[0]["text"].as_str().unwrap().to_owned();
        assert!(
            prompt.contains("written by mallory") && prompt.contains("> # It is slow\n>\n> Very.\n"),
            "{kind}: {prompt}"
        );
        assert!(prompt.contains("> # How you work here\n> Do as you like.\n"), "it stays quoted: {prompt}");
    }
}

#[test]
fn unreadable_issue_fails_with_a_hint_to_pass_a_message() {
    let stage = Stage::new("gitea");
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
fn pull_request_of_a_pushed_branch_is_detected() {
    for kind in ["github", "gitea", "gitlab"] {
        let stage = Stage::new(kind);
        let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
        // Opened meanwhile by the agent or the user.
        let branch = format!("kugetsu/{number}-do-the-job");
        let pr = stage.forge.pull_request("acme/api", PullRequest::new("Make it quick", &branch).state(PrState::Draft));
        assert_eq!(stage.pushed(number), branch);
        let run = eventually("the pull request to be detected", || {
            let run = stage.world.latest(&stage.reference(number));
            if run["change_state"] == "draft" { Ok(run) } else { Err(run) }
        });
        assert!(run["pr_url"].as_str().unwrap().ends_with(&format!("/{pr}")), "{kind}: {run}");

        stage.forge.set_pr_state("acme/api", pr, PrState::Merged);
        let output = stage.world.attempt(["destroy", &stage.reference(number), "-y"]);
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("is merged"), "{kind}: {}", shown(&output));
    }
}

#[test]
fn destroy_keeps_the_worktree_of_an_open_pull_request() {
    for kind in ["github", "gitea", "gitlab"] {
        let stage = Stage::new(kind);
        let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
        let branch = stage.pushed(number);
        let pr = stage.forge.pull_request("acme/api", PullRequest::new("Make it quick", &branch));
        let reference = stage.reference(number);
        let assert_refused = |parts: &[&str]| {
            let output = stage.world.attempt(["destroy", &reference, "-y"]);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{kind}: {}", shown(&output));
            assert!(parts.iter().all(|part| stderr.contains(part)), "{kind}: {stderr}");
            assert!(stage.world.worktree(&reference).exists());
        };
        assert_refused(&["is open", "--discard"]);
        stage.forge.set_pr_state("acme/api", pr, PrState::Conflict);
        assert_refused(&["in conflict with its base"]);
        for _ in 0..4 {
            stage.forge.fail_next(Fault::Status(500));
        }
        assert_refused(&["is unknown", "destroy.check_pr false"]);
        stage.forge.revoke(TOKEN);
        assert_refused(&["is unknown"]);
        stage.world.run(["config", "set", "destroy.check_pr", "false"]);
        stage.world.run(["destroy", &reference, "-y"]);
    }
}

#[test]
fn set_pr_asks_the_server_of_the_url() {
    let stage = Stage::new("gitea");
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
    let unknown = stage.world.attempt(["set-pr", &reference, "https://git.example.net/acme/api/pulls/3"]);
    assert_eq!(unknown.status.code(), Some(0), "it is stored: {}", shown(&unknown));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("could not determine the state"), "{}", shown(&unknown));
    let output = stage.world.attempt(["destroy", &reference, "-y"]);
    assert_eq!(output.status.code(), Some(3), "an unknown state is not merged: {}", shown(&output));
    assert!(stage.forge.requests().iter().all(|request| !request.target.contains("example.net")));
}

#[test]
fn detected_pull_request_has_the_configured_url() {
    for (kind, page) in [("github", "pull"), ("gitea", "pulls"), ("gitlab", "-/merge_requests")] {
        let stage = Stage::new(kind);
        // The server reports another root URL, as one behind a proxy does.
        stage.forge.set_root_url("http://localhost:3000");
        let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
        let branch = format!("kugetsu/{number}-do-the-job");
        let pr = stage.forge.pull_request("acme/api", PullRequest::new("Make it quick", &branch));
        assert_eq!(stage.pushed(number), branch);
        let run = eventually("the pull request to be detected", || {
            let run = stage.world.latest(&stage.reference(number));
            if run["change_state"] == "open" { Ok(run) } else { Err(run) }
        });
        assert_eq!(run["pr_url"], format!("{}/acme/api/{page}/{pr}", stage.forge.base_url()), "{kind}");
        stage.forge.set_pr_state("acme/api", pr, PrState::Merged);
        let output = stage.world.attempt(["destroy", &stage.reference(number), "-y"]);
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", shown(&output));
    }
}

#[test]
fn second_pull_request_of_a_branch_is_detected() {
    let stage = Stage::new("gitea");
    let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
    let branch = format!("kugetsu/{number}-do-the-job");
    let first = stage.forge.pull_request("acme/api", PullRequest::new("Make it quick", &branch).state(PrState::Closed));
    assert_eq!(stage.pushed(number), branch);
    let reference = stage.reference(number);
    eventually("the first pull request to be detected", || {
        let run = stage.world.latest(&reference);
        if run["change_state"] == "closed" { Ok(()) } else { Err(run) }
    });
    let second = stage.forge.pull_request("acme/api", PullRequest::new("Once more", &branch));
    let output = stage.world.attempt(["destroy", &reference, "-y"]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(&format!("/pulls/{second} is open")),
        "{}",
        shown(&output)
    );

    // The recorded pull request counts, even if there are others.
    stage.world.run(["set-pr", &reference, &format!("{}/acme/api/pulls/{first}", stage.forge.base_url())]);
    stage.world.run(["destroy", &reference, "-y"]);
    let (run, _) = ended(&stage.world.attempt(["start", &reference, &script(&["say hm"]), "--wait", "--json"]));
    assert_eq!((&run["pr_url"], &run["change_state"]), (&Value::Null, &Value::Null), "a new start: {run}");
}

#[test]
fn set_pr_rejects_what_is_no_pull_request_and_removes_the_recorded_one() {
    for kind in ["github", "gitea", "gitlab"] {
        let stage = Stage::new(kind);
        let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
        let reference = stage.reference(number);
        stage.world.run(["start", &reference, &script(&["say hm"]), "--wait"]);
        let (issues, prs) = match kind {
            "github" => ("issues", "pull"),
            "gitlab" => ("-/issues", "-/merge_requests"),
            _ => ("issues", "pulls"),
        };
        let base = stage.forge.base_url();
        for page in [format!("{issues}/{number}"), format!("{prs}/99")] {
            let output = stage.world.attempt(["set-pr", &reference, &format!("{base}/acme/api/{page}")]);
            assert_eq!(output.status.code(), Some(2), "{kind} {page}: {}", shown(&output));
            assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was stored"), "{}", shown(&output));
        }
        assert_eq!(stage.world.latest(&reference)["pr_url"], Value::Null, "{kind}");

        let pr = stage.forge.pull_request("acme/api", PullRequest::new("Elsewhere", "another-branch"));
        stage.world.run(["set-pr", &reference, &format!("{base}/acme/api/{prs}/{pr}")]);
        assert_eq!(stage.world.latest(&reference)["change_state"], "open", "{kind}");
        let stdout = stage.world.run(["set-pr", &reference, "--remove"]);
        assert!(stdout.contains("removed "), "{stdout}");
        assert_eq!(stage.world.latest(&reference)["pr_url"], Value::Null, "{kind}");
        assert!(stage.world.run(["set-pr", &reference, "--remove"]).contains("has no pull request"));
        stage.world.run(["destroy", &reference, "-y"]);
    }
}

#[test]
fn destroy_warns_if_pull_requests_are_hidden_without_a_token() {
    for (kind, variable) in [("github", "GITHUB_TOKEN"), ("gitea", "GITEA_TOKEN"), ("gitlab", "GITLAB_TOKEN")] {
        let stage = Stage::new(kind);
        let number = stage.forge.issue("acme/api", Issue::new("It is slow"));
        stage.pushed(number);
        let reference = stage.reference(number);
        stage.forge.private("acme/api", &["robot"]);
        stage.world.run(["env", "rm", variable]);
        let output = stage.world.attempt(["destroy", &reference, "-y"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", shown(&output));
        let line = stderr.lines().find(|line| line.contains("without a token")).unwrap_or_default();
        assert!(line.contains("may be hidden"), "{kind}: {stderr}");
        assert!(line.contains(&format!("kugetsu env set {variable} -")), "{kind}: {stderr}");
    }
}
