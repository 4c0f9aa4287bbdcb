//! The client against `myworld`, an independent emulator of GitHub with issues, branches and pull requests.

use std::process::Command;

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::watch::selection::{Mark, Setting};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::issue::IssueState;
use kugetsu_forge::open::open;
use kugetsu_forge::servers::Server;
use kugetsu_testkit::peer::program::{Peer, program};
use serde_json::Value;

use crate::stage::{credentials, limits, project, server};

const WORLD: &str = "
name: forge
task: forge
servers:
  github:
    seed:
      viewer: robot
      users: [{login: kim, name: Kim}]
      repos:
        - name: acme/api
          private: false
          files: {README.md: An API}
          branches:
            kim/quick: {files: {quick.py: x = 1}, author: kim}
          labels: [bug]
          issues: [{title: It is slow, body: Very., labels: [bug], author: kim}]
          pulls: [{title: Make it quick, head: kim/quick, base: main, author: kim}]
";

/// Path of GitHub's API there.
const API: &str = "gw/api.github.com";

#[tokio::test]
async fn needs_myworld_for_an_independent_github() {
    let Some(myworld) = program("KUGETSU_MYWORLD") else { return };
    let peer = Peer::start(|port, home| {
        let world = home.path().join("world.yaml");
        std::fs::write(&world, WORLD).unwrap();
        let mut command = Command::new(myworld);
        // Requests for hosts that it does not emulate are refused.
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--no-passthrough"]);
        command.args(["--time", "realtime", "--env"]).arg(world);
        command
    });
    let transport = Transport::new(limits()).unwrap();
    let envs: Value = serde_json::from_str(&get(&format!("{}/envs", peer.url())).await).unwrap();
    let token = envs["envs"][0]["credentials"]["agent"]["github_token"].as_str().unwrap();
    let github = server(ForgeKind::GitHub, "https://github.com", Some(&format!("{}/{API}", peer.url())));
    let forge = open(&transport, &github, credentials(ForgeKind::GitHub, Some(token))).unwrap();
    let acme = project("acme/api");

    assert_eq!(forge.whoami().await.unwrap().login, "robot");
    let issue = forge.issue(&acme, 1).await.unwrap();
    assert_eq!((issue.title.as_str(), issue.body.as_str(), issue.state), ("It is slow", "Very.", IssueState::Open));
    assert_eq!(
        (issue.author.as_ref().map(|author| author.login.as_str()), issue.labels, issue.is_pull_request),
        (Some("kim"), vec!["bug".to_owned()], false)
    );
    // It does not know who set the label.
    let setting = forge.last_setting(&acme, 1, &Mark::Label("bug".to_owned())).await.unwrap();
    assert_eq!(setting, Setting::UNRECORDED);
    assert!(forge.issue(&acme, 2).await.unwrap().is_pull_request);
    let found = forge.find_pull_requests(&acme, "kim/quick").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].number, found[0].state, found[0].head_sha.len()), (2, PrState::Open, 40));
    assert_eq!(forge.find_pull_requests(&acme, "quick").await.unwrap(), []);

    merge(&peer, token).await;
    assert_eq!(forge.pull_request(&acme, 2).await.unwrap().state, PrState::Merged);
    check_refusals(&*forge, &transport, &github).await;
}

async fn check_refusals(forge: &dyn Forge, transport: &Transport, server: &Server) {
    let missing = forge.pull_request(&project("acme/api"), 99).await;
    assert!(matches!(missing, Err(ForgeError::NotFound { .. })), "{missing:?}");
    let stranger = open(transport, server, credentials(ForgeKind::GitHub, Some("not-a-token"))).unwrap();
    let refused = stranger.whoami().await;
    assert!(matches!(refused, Err(ForgeError::TokenRefused { .. })), "{refused:?}");
}

async fn get(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Merges the pull request as its page would.
async fn merge(peer: &Peer, token: &str) {
    let url = format!("{}/{API}/repos/acme/api/pulls/2/merge", peer.url());
    let request = reqwest::Client::new().put(url).bearer_auth(token).header("content-type", "application/json");
    let merged = request.body("{}").send().await.unwrap();
    assert!(merged.status().is_success(), "{}", merged.text().await.unwrap());
}
