//! The real agents with the model server, without kugetsu: foreign clients of each dialect.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kugetsu_testkit::real_agent::{self, RealAgent};
use kugetsu_testkit::{Home, ModelServer, Repository, Script, Step};
use serde_json::{Value, json};

use crate::acp::{Agent, selected};

/// How long real agents may take on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(900);

/// An agent with its home, model and repository.
pub(crate) struct Stage {
    pub(crate) agent: Agent,
    pub(crate) real: RealAgent,
    pub(crate) home: Home,
    pub(crate) model: ModelServer,
    pub(crate) repository: Repository,
}

impl Stage {
    /// Returns `None` if the agent is not installed.
    pub(crate) fn new(real: &RealAgent) -> Option<Self> {
        Self::start(real, true)
    }

    /// Without the key of the user's account.
    pub(crate) fn logged_out(real: &RealAgent) -> Option<Self> {
        Self::start(real, false)
    }

    fn start(real: &RealAgent, is_logged_in: bool) -> Option<Self> {
        let program = real.installed()?;
        let mut home = Home::new();
        let model = ModelServer::start(Script::say("the default"));
        for (name, value) in real.env(&model) {
            if is_logged_in || !["KEY", "PROVIDER", "URL"].iter().any(|part| name.contains(part)) {
                home.set(name, value);
            }
        }
        if is_logged_in {
            real.write_files(&home, &model);
        }
        let repository = Repository::at(home.path().join("tree"));
        // Gemini hides the configuration of the user from git.
        for (name, value) in [("user.name", "Test Person"), ("user.email", "test@example.invalid")] {
            repository.git(["config", name, value]);
        }
        repository.commit_files("First", &[("README.md", "hello\n")]);
        let agent = spawn(&home, &program, real, &repository);
        Some(Self { agent, real: *real, home, model, repository })
    }

    /// Ends the process and starts another one.
    pub(crate) fn restart(&mut self) {
        let program = self.real.installed().unwrap();
        self.agent = spawn(&self.home, &program, &self.real, &self.repository);
    }

    pub(crate) fn initialize(&mut self) -> Value {
        let capabilities = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
        let info = json!({"name": "kugetsu", "version": "0.1.0"});
        let params = json!({"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": info});
        self.agent.call("initialize", params).unwrap()
    }

    pub(crate) fn new_session(&mut self) -> Result<String, Value> {
        let new = self.agent.call("session/new", json!({"cwd": self.repository.path(), "mcpServers": []}))?;
        Ok(new["sessionId"].as_str().unwrap().to_owned())
    }
}

fn spawn(home: &Home, program: &PathBuf, real: &RealAgent, repository: &Repository) -> Agent {
    let mut command = home.command(program);
    let stderr = std::fs::File::options().append(true).create(true).open(home.path().join("stderr")).unwrap();
    command.args(real.args).current_dir(repository.path()).stderr(Stdio::from(stderr));
    let mut agent = Agent::spawn(command);
    agent.permission = selected("allow_once");
    agent.limit = TIMEOUT;
    agent
}

/// The main job: every kind of tool, a commit, and a second turn that sees the first.
fn uses_the_model_server(real: &RealAgent) {
    let Some(mut stage) = Stage::new(real) else { return };
    stage.initialize();
    let session = stage.new_session().unwrap();
    let script = Script::new([
        Step::write("made.txt", "made\n"),
        Step::read("made.txt"),
        Step::edit("made.txt", "made", "changed"),
        Step::bash("git add . && git commit -qm Made"),
        Step::Say("All done.".into()),
    ]);
    let answer = stage.agent.prompt(&session, &format!("Please.\n{}", script.as_message())).unwrap();
    assert_eq!(answer["stopReason"], "end_turn", "{answer}");
    assert!(stage.agent.text().contains("All done."), "{}", stage.agent.text());
    assert_eq!(stage.repository.log("HEAD"), ["Made", "First"]);
    assert_eq!(stage.repository.show_text("HEAD", "made.txt"), "changed\n");

    let script = Script::new([Step::Say("A second answer.".into())]);
    stage.agent.prompt(&session, &format!("Once more.\n{}", script.as_message())).unwrap();
    assert!(stage.agent.text().contains("A second answer."), "{}", stage.agent.text());
    let last = stage.model.turn_requests().pop().unwrap();
    assert!(last.texts("user").concat().contains("Please."), "the model sees the first turn");
    assert!(last.texts("assistant").concat().contains("All done."), "{:?}", last.texts("assistant"));
}

macro_rules! tests {
    ($($name:ident: $agent:ident),*) => {$(
        #[test]
        fn $name() {
            uses_the_model_server(&real_agent::$agent);
        }
    )*};
}

tests! {
    needs_claude_to_use_the_model_server: CLAUDE,
    needs_codex_to_use_the_model_server: CODEX,
    needs_gemini_to_use_the_model_server: GEMINI,
    needs_copilot_to_use_the_model_server: COPILOT,
    needs_goose_to_use_the_model_server: GOOSE,
    needs_qwen_to_use_the_model_server: QWEN,
    needs_kimi_to_use_the_model_server: KIMI,
    needs_vibe_to_use_the_model_server: VIBE
}
