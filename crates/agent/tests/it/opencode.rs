//! The real opencode against a scripted model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::{
    AgentError, AgentEvent, CustomProfile, FirstStart, Policy, Profile, SessionId, StopReason, Turn, profile,
    program_version,
};
use kugetsu_testkit::model::script::{Cut, FOREVER};
use kugetsu_testkit::{Home, ModelServer, Repository, Script, Step};
use serde_json::json;

use crate::live::{Live, answering, record, run};
use crate::peer::{said, words};

/// opencode may take long on a machine that is busy; what takes longer is a failure.
const LIMIT: Duration = Duration::from_secs(300);

/// The real program, a model that it asks, and a repository to work in.
struct Stage {
    home: Home,
    model: ModelServer,
    agent: Profile,
    tree: PathBuf,
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("this never ends")
}

impl Stage {
    /// `None` where no opencode is at hand.
    fn new(script: Script) -> Option<Self> {
        let Some(program) = std::env::var_os("KUGETSU_OPENCODE").map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "KUGETSU_OPENCODE must name opencode where CI is set");
            eprintln!("skipped: KUGETSU_OPENCODE does not name opencode");
            return None;
        };
        let mut home = Home::new();
        let model = ModelServer::start(script);
        for (name, value) in model.opencode_env() {
            home.set(name, value);
        }
        let programs = home.folder("programs");
        std::os::unix::fs::symlink(program, programs.join("opencode")).unwrap();
        let tree = repository(&home, "tree");
        // The built-in profile, with nothing changed but where the program is.
        let agent = profile("opencode", &[]).unwrap();
        home.prepend_path(&programs);
        Some(Self { home, model, agent, tree })
    }

    async fn start(&self, policy: Policy) -> Live {
        within(Live::start(&self.home, &self.agent, policy, &self.tree)).await.unwrap()
    }

    /// A turn of a new session in a process of its own: what was heard, and how it ended, before and after the check.
    async fn turn(&self, policy: Policy, message: &str) -> (Turn, Turn, Vec<AgentEvent>) {
        let mut live = self.start(policy).await;
        let session = within(live.connection.new_session(&self.tree)).await.unwrap();
        let id = session.id().clone();
        let (turn, heard) = within(answering(&mut live.events, policy, session.prompt(message))).await;
        let turn = turn.unwrap();
        let mut checked = turn.clone();
        checked.check(&within(record(&self.home, &self.agent, &id)).await);
        live.end().await;
        (turn, checked, heard)
    }
}

fn repository(home: &Home, name: &str) -> PathBuf {
    let repository = Repository::at(home.path().join(name));
    repository.commit_files("First", &[("README.md", "hello\n")]);
    repository.path().canonicalize().unwrap()
}

#[tokio::test]
async fn needs_opencode_a_session_is_worked_in_gone_on_with_and_deleted() {
    let Some(stage) = Stage::new(Script::new([Step::bash("pwd; echo $PWD"), Step::Say("All done.".into())])) else {
        return;
    };
    let program = crate::live::program(&stage.home, &stage.agent);
    let said_version = program_version(&stage.agent, &program).await.unwrap();
    let mut live = stage.start(Policy::Allow).await;
    assert_eq!(live.connection.info().version, said_version);
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let id = session.id().clone();
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, session.prompt("/init is not meant"))).await;
    let mut turn = turn.unwrap();
    assert!(turn.is_clean(), "{turn:?}");
    assert_eq!(said(&heard), "All done.");
    let tree = stage.tree.to_str().unwrap();
    let printed = format!("{tree}\n{tree}\n");
    let ran =
        heard.iter().any(|event| matches!(event, AgentEvent::ToolEnded { ok: true, output, .. } if *output == printed));
    assert!(ran, "{heard:?}");
    assert!((turn.usage.cost_usd.unwrap() - 2.0 * 0.0006).abs() < 1e-9, "{turn:?}");
    turn.check(&within(record(&stage.home, &stage.agent, &id)).await);
    assert!(turn.is_clean(), "{turn:?}");
    assert_eq!((turn.usage.steps, turn.usage.input_tokens, turn.usage.output_tokens), (2, 200, 40));
    assert!((turn.usage.cost_usd.unwrap() - 2.0 * 0.0006).abs() < 1e-9, "{turn:?}");
    let asked = stage.model.turn_requests()[0].texts("user");
    assert!(asked.concat().contains("/init is not meant"), "{asked:?}");
    live.end().await;

    // Another process goes on with it, and the model sees what was before.
    stage.model.set_script(Script::say("Again."));
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.resume_session(&id, &stage.tree)).await.unwrap();
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, session.prompt("go on"))).await;
    let mut turn = turn.unwrap();
    assert!(turn.is_clean() && said(&heard) == "Again.", "{turn:?} {heard:?}");
    turn.check(&within(record(&stage.home, &stage.agent, &id)).await);
    assert_eq!((turn.usage.steps, turn.usage.input_tokens), (1, 100));
    let last = stage.model.turn_requests().pop().unwrap();
    assert!(last.texts("user").concat().contains("/init is not meant"), "the history is there");

    let other = repository(&stage.home, "other");
    let elsewhere = within(live.connection.resume_session(&id, &other)).await;
    assert!(matches!(elsewhere, Err(AgentError::WrongDirectory { .. })), "{elsewhere:?}");
    live.end().await;

    within(run(&stage.home, &stage.agent, &stage.agent.delete_session(&id).unwrap())).await;
    let live = stage.start(Policy::Allow).await;
    for id in [id, SessionId::new("ses_nonesuch0000000000000000").unwrap()] {
        let lost = within(live.connection.resume_session(&id, &stage.tree)).await;
        assert!(matches!(lost, Err(AgentError::SessionLost { .. })), "{lost:?}");
    }
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_an_answer_that_breaks_off_is_never_the_end() {
    let cut = |times, disconnect| Step::Cut(Cut { text: "half a sen".into(), times, disconnect });
    let Some(stage) = Stage::new(Script::new([cut(2, false), Step::Say("whole".into())])) else { return };
    let (turn, checked, heard) = stage.turn(Policy::Allow, "once").await;
    assert!(said(&heard).ends_with("whole"), "{heard:?}");
    assert!(turn.is_clean() && checked.is_clean() && checked.usage.steps >= 3, "{turn:?} {checked:?}");

    stage.model.set_script(Script::new([cut(FOREVER, false)]));
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("for ever"))).await;
    assert!(matches!(turn, Err(AgentError::KeepsBreakingOff)), "{turn:?}");

    // The connection itself breaks. opencode retries for long; it must not call that a finished turn.
    stage.model.set_script(Script::new([cut(1, true), Step::Say("whole".into())]));
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, session.prompt("break"))).await;
    match turn {
        Ok(mut turn) => {
            turn.check(&within(record(&stage.home, &stage.agent, session.id())).await);
            assert_eq!(turn.is_clean(), said(&heard).ends_with("whole"), "{turn:?} {heard:?}");
        }
        Err(error) => assert!(matches!(error, AgentError::Model { .. }), "{error:?}"),
    }
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_a_cancel_ends_a_model_that_hangs() {
    let Some(stage) = Stage::new(Script::new([Step::bash("true"), Step::Hang(Default::default())])) else { return };
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let connection = &live.connection;
    let cancelled = async {
        let cancel = async {
            stage.model.await_requests(2).await;
            connection.cancel();
        };
        tokio::join!(session.prompt("hang"), cancel).0
    };
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, cancelled)).await;
    assert_eq!(turn.unwrap().stop, StopReason::Cancelled);
    // It can be gone on with after that.
    stage.model.set_script(Script::say("fine"));
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("go on"))).await;
    assert!(turn.unwrap().is_clean());
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_a_model_that_fails_is_asked_again_or_told() {
    let Some(stage) = Stage::new(Script::new([Step::status(500, 1), Step::status(429, 1), Step::Say("whole".into())]))
    else {
        return;
    };
    let (turn, checked, heard) = stage.turn(Policy::Allow, "for a while").await;
    assert!(turn.is_clean() && checked.is_clean() && said(&heard) == "whole", "{turn:?} {heard:?}");

    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    for code in [400, 401] {
        stage.model.set_script(Script::new([Step::status(code, FOREVER)]));
        let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("fail"))).await;
        assert!(matches!(turn, Err(AgentError::Model { .. })), "{turn:?}");
        assert!(words(turn).starts_with("the model did not answer: "));
    }
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_a_model_that_fails_for_ever_is_told() {
    let Some(stage) = Stage::new(Script::new([Step::status(500, FOREVER)])) else { return };
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("fail"))).await;
    assert!(matches!(turn, Err(AgentError::Model { .. })), "{turn:?}");
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_questions_follow_the_policy() {
    let Some(mut stage) = Stage::new(Script::new([Step::bash("echo asked > asked.txt"), Step::Say("went on".into())]))
    else {
        return;
    };
    stage.home.set("OPENCODE_PERMISSION", r#"{"bash": "ask"}"#);
    let file = stage.tree.join("asked.txt");
    let (turn, checked, heard) = stage.turn(Policy::Refuse, "please").await;
    assert!(turn.refused.len() == 1 && turn.doubt.is_none() && !turn.is_clean(), "{turn:?}");
    assert!(checked.doubt.is_none() && !checked.is_clean(), "{checked:?}");
    assert!(!file.exists() && !said(&heard).contains("went on"));

    let (turn, checked, heard) = stage.turn(Policy::Allow, "please").await;
    assert!(turn.is_clean() && checked.is_clean() && file.exists() && said(&heard) == "went on", "{turn:?}");

    // What opencode would ask by default is allowed beforehand: a sub-agent's question would never be told.
    let outside = stage.home.folder("outside").join("file");
    stage.model.set_script(Script::new([Step::write(outside.to_str().unwrap(), "x"), Step::Say("wrote".into())]));
    let (turn, _, heard) = stage.turn(Policy::Allow, "please").await;
    assert!(turn.is_clean() && outside.exists() && said(&heard) == "wrote", "{turn:?}");
}

#[tokio::test]
async fn needs_opencode_models_that_are_missing_are_told() {
    let Some(mut stage) = Stage::new(Script::say("x")) else { return };
    let live = stage.start(Policy::Allow).await;
    let mut session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let error = words(session.set_model("mock/none").await);
    assert!(error.starts_with("the agent has no model \"mock/none\"; it has mock/"), "{error}");
    let known = session.model().unwrap().to_owned();
    within(session.set_model(&known)).await.unwrap();
    live.end().await;

    stage.home.set("OPENCODE_CONFIG_CONTENT", json!({"autoupdate": false, "enabled_providers": ["none"]}).to_string());
    let live = stage.start(Policy::Allow).await;
    let none = within(live.connection.new_session(&stage.tree)).await;
    assert!(matches!(none, Err(AgentError::NoModel { .. })), "{none:?}");
    live.end().await;

    stage.home.set("OPENCODE_CONFIG_CONTENT", "{bad");
    let gone = within(Live::start(&stage.home, &stage.agent, Policy::Allow, &stage.tree)).await.err();
    assert!(matches!(gone, Some(AgentError::Exited { .. } | AgentError::Pipe(_))), "{gone:?}");
}

#[tokio::test]
async fn needs_opencode_first_starts_with_a_fresh_home_do_not_meet() {
    let Some(stage) = Stage::new(Script::say("x")) else { return };
    let notes = stage.home.folder("notes");
    let program = crate::live::program(&stage.home, &stage.agent);
    let start = async || {
        let first = FirstStart::new(&stage.agent, &program, &notes).await.unwrap();
        let live = stage.start(Policy::Allow).await;
        within(live.connection.new_session(&stage.tree)).await.unwrap();
        let alone = first.is_some();
        if let Some(first) = first {
            first.done().unwrap();
        }
        live.end().await;
        alone
    };
    let (one, two, three) = tokio::join!(start(), start(), start());
    assert_eq!([one, two, three].into_iter().filter(|alone| *alone).count(), 1);
}

/// A profile of another name may lead to the same program; then nothing of opencode's own is done.
#[tokio::test]
async fn needs_opencode_a_custom_profile_speaks_plain_acp() {
    let Some(stage) = Stage::new(Script::say("plain")) else { return };
    let program = crate::live::program(&stage.home, &stage.agent);
    let own = CustomProfile { name: "own".into(), program, args: vec!["acp".into()], ..CustomProfile::default() };
    let agent = profile("own", &[own]).unwrap();
    let mut live = within(Live::start(&stage.home, &agent, Policy::Allow, Path::new("/"))).await.unwrap();
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, session.prompt("hello"))).await;
    assert!(turn.unwrap().is_clean() && said(&heard) == "plain");
    live.end().await;
}
