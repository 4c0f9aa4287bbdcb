//! Myworld 0.2.1: it runs the checks of every commit itself and has their logs. It has no git protocol, no webhooks, no
//! permissions of users and no dependencies of issues; comments cannot be edited, and a merge ignores the expected head. So
//! pushes are copied to it, and the trusted user is named in the settings. Its clock is half a minute late, which halves the wait
//! for further remarks of a reviewer. That wait is needed: a look may begin before a review and end after it. It limits requests as
//! GitHub does, which a slow machine with polls each second would reach.

use std::process::Command;

use jiff::{Span, Timestamp};
use kugetsu_testkit::peer::client::Client;
use kugetsu_testkit::peer::program::{Peer, program};
use serde_json::json;

use super::stage::{REPO, Stage, comments_of, new_issue};

const WORLD: &str = "
name: forge
task: forge
now: {now}
agents:
  robot: {identities: {github: robot}}
  kim: {identities: {github: kim}}
servers:
  github:
    seed:
      viewer: robot
      users: [{login: kim, name: Kim}]
      repos:
        - name: acme/api
          private: false
          files: {README.md: An API}
          ci: {contexts: [test], duration: 1s, fail_if: [{path: done.txt, 'content~': assert False}]}
";

/// Path of GitHub's API there.
const API: &str = "/gw/api.github.com";

#[test]
fn needs_myworld_needs_opencode_labeled_issue_is_merged_after_red_checks_and_a_review() {
    let Some(myworld) = program("KUGETSU_MYWORLD") else { return };
    let peer = Peer::start(|port, home| {
        let world = home.path().join("world.yaml");
        let now = Timestamp::now() - Span::new().seconds(30);
        std::fs::write(&world, WORLD.replace("{now}", &format!("{now:.0}"))).unwrap();
        let mut command = Command::new(myworld);
        // Requests for hosts that it does not emulate are refused.
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--no-passthrough"]);
        command.args(["--time", "realtime", "--env"]).arg(world);
        command
    });
    let credentials = Client::new(peer.address(), "", "").get("/envs")["envs"][0]["credentials"].clone();
    let [robot, kim] = ["robot", "kim"].map(|login| credentials[login]["github_token"].as_str().unwrap().to_owned());
    let Some(stage) = Stage::new(&robot) else { return };
    let [robot, kim] = [robot, kim].map(|token| Client::new(peer.address(), API, &token));
    stage.watch(&peer, API, robot, false, "poll = \"5s\"\ntrust = \"kim\"");

    let issue = new_issue(&kim);
    let (number, first) = stage.pull_request(&kim);
    let second = stage.await_head(&kim, number, &first);
    let prompt = stage.prompt();
    assert!(prompt.contains("E   done.txt: matched 'assert False'"), "{prompt}");

    let review = json!({
        "event": "REQUEST_CHANGES", "body": "Please say more.",
        "comments": [{"path": "done.txt", "line": 1, "body": "Why so short?"}],
    });
    kim.post(&format!("{REPO}/pulls/{number}/reviews"), &review);
    let third = stage.await_head(&kim, number, &second);
    let prompt = stage.prompt();
    assert!(prompt.contains("Please say more.") && prompt.contains("Why so short?"), "{prompt}");
    assert!(stage.model_saw().contains("Why so short?"), "the agent passed the prompt to its model");

    let approval = json!({"event": "APPROVE", "body": "Good.", "commit_id": third});
    kim.post(&format!("{REPO}/pulls/{number}/reviews"), &approval);
    stage.await_merge(&kim, number, issue);
    assert_eq!(comments_of(&kim, issue, "robot").len(), 1);
    let (status, _) = kim.send("GET", &format!("{REPO}/git/ref/heads/kugetsu/{issue}-it-is-slow"), None);
    assert_eq!(status, 404, "the branch is deleted");
}
