//! A home with the real opencode, a git server, and an emulator of GitHub at the same address.

use std::sync::Mutex;
use std::time::Duration;

use kugetsu_testkit::model::script::{Script, Step};
use kugetsu_testkit::peer::client::Client;
use kugetsu_testkit::peer::front::Front;
use kugetsu_testkit::peer::program::Peer;
use kugetsu_testkit::real_agent::OPENCODE;
use kugetsu_testkit::{GitServer, ModelServer, Repository, eventually_within};
use serde_json::{Value, json};

use super::mirror::Mirror;
use crate::world::World;

/// Path of the repository in the API.
pub(super) const REPO: &str = "/repos/acme/api";
/// How long the story may take on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(900);

/// The agent's part in every turn: the first one makes the checks fail, the second one repairs that, and the others add a line.
const WORK: &str = "if grep -q 'assert False' done.txt 2>/dev/null; then echo 'assert True' > done.txt; \
                    elif [ -e done.txt ]; then echo more >> done.txt; else echo 'assert False' > done.txt; fi; \
                    git add -A && git commit -qm 'Do the work'";

pub(super) struct Stage {
    pub(super) world: World,
    model: ModelServer,
    pub(super) front: Front,
    git: GitServer,
}

impl Stage {
    /// A server without an emulator yet. `None` without opencode. Its git server requires `token`.
    pub(super) fn new(token: &str) -> Option<Self> {
        let program = OPENCODE.installed()?;
        let model = ModelServer::start(Script::new([Step::bash(WORK), Step::Say("The work is done.".to_owned())]));
        let git = GitServer::start(token);
        git.add_repository_from("acme/api", &Repository::with_commit());
        let mut world = World::bare();
        world.limit = TIMEOUT;
        let config = format!("[agent]\ndefault = \"opencode\"\n\n[agents.opencode]\nprogram = {program:?}\n");
        std::fs::write(world.home.kugetsu().join("config.toml"), config).unwrap();
        for (name, value) in OPENCODE.env(&model) {
            world.run(["env", "set", name, &value, "opencode"]);
        }
        world.run(["env", "set", "GITHUB_TOKEN", token]);
        let model_host = model.root_url().replace("http://127.0.0.1", "localhost");
        world.run(["config", "set", "run.allow_hosts", &format!("{:?}", [model_host])]);
        Some(Self { world, model, front: Front::start(&git), git })
    }

    /// Forwards to the emulator, copies pushes to it with `client`, and watches the repository. `api` is the path of the API.
    pub(super) fn watch(&self, emulator: &Peer, api: &str, client: Client, leaves_pull_requests: bool, settings: &str) {
        self.front.forward_to(emulator.address());
        let repository = self.git.repository("acme/api");
        let mirror = Mirror { client, repository, leaves_pull_requests, copied: Mutex::default() };
        self.front.after_push(move || mirror.copy());
        let path = self.world.home.kugetsu().join("config.toml");
        let mut config = std::fs::read_to_string(&path).unwrap();
        let url = self.front.url();
        config.push_str(&format!(
            "\n[servers.test]\nurl = \"{url}\"\nkind = \"github\"\napi_url = \"{url}{api}\"\n\n[watch.api]\n\
             repo = \"{url}/acme/api\"\nlabel = \"agent\"\nmerge = \"when-approved\"\nchecks_grace = \"1s\"\n{settings}\n"
        ));
        std::fs::write(path, config).unwrap();
        self.world.run(["daemon", "start"]);
    }

    /// The pull request, once there is one.
    pub(super) fn pull_request(&self, client: &Client) -> (u64, String) {
        eventually_within(TIMEOUT, "the pull request", || {
            let all = client.get(&format!("{REPO}/pulls?state=all"));
            let pull = all.as_array().unwrap().first().map(|pull| (pull["number"].as_u64().unwrap(), head(pull)));
            pull.ok_or_else(|| self.world.run(["list"]))
        })
    }

    /// The head of the pull request, once it is another one than `old` and the issue's run has ended.
    pub(super) fn await_head(&self, client: &Client, number: u64, old: &str) -> String {
        let head = eventually_within(TIMEOUT, "another head", || {
            let head = head(&client.get(&format!("{REPO}/pulls/{number}")));
            if head == old { Err(self.why()) } else { Ok(head) }
        });
        self.world.await_state(&self.reference(), "done");
        head
    }

    pub(super) fn await_merge(&self, client: &Client, number: u64, issue: u64) {
        eventually_within(TIMEOUT, "the merge", || {
            let pull = client.get(&format!("{REPO}/pulls/{number}"));
            if pull["merged"] == true { Ok(()) } else { Err(self.why()) }
        });
        eventually_within(TIMEOUT, "the cleanup", || {
            let closed = client.get(&format!("{REPO}/issues/{issue}"))["state"] == "closed";
            let all = self.world.json(["list", "--all", "--json"]);
            if closed && all[0]["destroyed"] == true { Ok(()) } else { Err((closed, all)) }
        });
    }

    pub(super) fn reference(&self) -> String {
        self.world.json(["list", "--json"])[0]["issue"].as_str().unwrap().to_owned()
    }

    /// The prompt of the latest run.
    pub(super) fn prompt(&self) -> String {
        let prompts = self.world.records(&self.reference(), "prompt");
        prompts.last().unwrap()["text"].as_str().unwrap().to_owned()
    }

    /// The user's messages in the latest request to the model.
    pub(super) fn model_saw(&self) -> String {
        self.model.turn_requests().pop().unwrap().texts("user").join("\n")
    }

    /// Replaces a text in the settings, which take effect at once.
    pub(super) fn change_settings(&self, old: &str, new: &str) {
        let path = self.world.home.kugetsu().join("config.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        assert!(config.contains(old), "{config}");
        std::fs::write(path, config.replace(old, new)).unwrap();
    }

    fn why(&self) -> String {
        self.world.run(["why", &self.reference()])
    }
}

fn head(pull: &Value) -> String {
    pull["head"]["sha"].as_str().unwrap().to_owned()
}

/// The bodies of one user's comments on the issue.
pub(super) fn comments_of(client: &Client, issue: u64, login: &str) -> Vec<String> {
    let comments = client.get(&format!("{REPO}/issues/{issue}/comments"));
    let own = comments.as_array().unwrap().iter().filter(|comment| comment["user"]["login"] == login);
    own.map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
}

/// An issue that is handed over.
pub(super) fn new_issue(client: &Client) -> u64 {
    let issue = json!({"title": "It is slow", "body": "Very.", "labels": ["agent"]});
    client.post(&format!("{REPO}/issues"), &issue)["number"].as_u64().unwrap()
}
