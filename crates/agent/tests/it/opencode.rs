//! The real opencode with a scripted model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::{
    AgentError, AgentEvent, AgentSettings, FirstStart, Policy, Profile, SessionId, StopReason, Turn, profile,
    program_version,
};
use kugetsu_testkit::model::script::{Cut, FOREVER};
use kugetsu_testkit::{Home, ModelServer, Repository, Script, Step};
use serde_json::json;

use crate::live::{Live, answering, export, run};
use crate::peer::{message, text_of};

/// opencode may be slow on a busy machine. Only a hang exceeds this.
const LIMIT: Duration = Duration::from_secs(1200);

/// The real program, its model, and a repository to work in.
struct Stage {
    home: Home,
    model: ModelServer,
    agent: Profile,
    tree: PathBuf,
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("timed out")
}

impl Stage {
    /// `None` if opencode is not available.
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
        // The built-in profile; only the program is found elsewhere.
        let agent = profile("opencode", &[]).unwrap();
        home.prepend_path(&programs);
        Some(Self { home, model, agent, tree })
    }

    async fn start(&self, policy: Policy) -> Live {
        within(Live::start(&self.home, &self.agent, policy, &self.tree)).await.unwrap()
    }

    /// Runs a turn in a new session and process. Returns the turn before and after the check by the export, and the events.
    async fn turn(&self, policy: Policy, message: &str) -> (Turn, Turn, Vec<AgentEvent>) {
        let mut live = self.start(policy).await;
        let session = within(live.connection.new_session(&self.tree)).await.unwrap();
        let id = session.id().clone();
        let (turn, seen) = within(answering(&mut live.events, policy, session.prompt(message))).await;
        let turn = turn.unwrap();
        let mut checked = turn.clone();
        checked.check(&within(export(&self.home, &self.agent, &id)).await);
        live.end().await;
        (turn, checked, seen)
    }
}

fn repository(home: &Home, name: &str) -> PathBuf {
    let repository = Repository::at(home.path().join(name));
    repository.commit_files("First", &[("README.md", "hello\n")]);
    repository.path().canonicalize().unwrap()
}

#[tokio::test]
async fn needs_opencode_session_is_used_continued_and_deleted() {
    let Some(stage) = Stage::new(Script::new([Step::bash("pwd; echo $PWD"), Step::Say("All done.".into())])) else {
        return;
    };
    let program = crate::live::program(&stage.home, &stage.agent);
    let version = program_version(&stage.agent, &program, &[]).await.unwrap();
    let mut live = stage.start(Policy::Allow).await;
    assert_eq!(live.connection.info().version, version);
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let id = session.id().clone();
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, session.prompt("/init is not meant"))).await;
    let mut turn = turn.unwrap();
    assert!(turn.is_clean(), "{turn:?}");
    assert_eq!(text_of(&seen), "All done.");
    let tree = stage.tree.to_str().unwrap();
    let printed = format!("{tree}\n{tree}\n");
    let ran =
        seen.iter().any(|event| matches!(event, AgentEvent::ToolEnded { ok: true, output, .. } if *output == printed));
    assert!(ran, "{seen:?}");
    assert!((turn.usage.cost_usd.unwrap() - 2.0 * 0.0006).abs() < 1e-9, "{turn:?}");
    turn.check(&within(export(&stage.home, &stage.agent, &id)).await);
    assert!(turn.is_clean(), "{turn:?}");
    assert_eq!((turn.usage.steps, turn.usage.tokens.map(|tokens| (tokens.input, tokens.output))), (2, Some((200, 40))));
    assert!((turn.usage.cost_usd.unwrap() - 2.0 * 0.0006).abs() < 1e-9, "{turn:?}");
    let texts = stage.model.turn_requests()[0].texts("user");
    assert!(texts.concat().contains("/init is not meant"), "{texts:?}");
    live.end().await;

    // Another process continues it, and the model sees the history.
    stage.model.set_script(Script::say("Again."));
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.resume_session(&id, &stage.tree)).await.unwrap();
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, session.prompt("continue"))).await;
    let mut turn = turn.unwrap();
    assert!(turn.is_clean() && text_of(&seen) == "Again.", "{turn:?} {seen:?}");
    turn.check(&within(export(&stage.home, &stage.agent, &id)).await);
    assert_eq!((turn.usage.steps, turn.usage.tokens.map(|tokens| tokens.input)), (1, Some(100)));
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
async fn needs_opencode_broken_answer_never_ends_the_turn() {
    let cut = |times, disconnect| Step::Cut(Cut { text: "half a sen".into(), times, disconnect });
    let Some(stage) = Stage::new(Script::new([cut(2, false), Step::Say("whole".into())])) else { return };
    let (turn, checked, seen) = stage.turn(Policy::Allow, "once").await;
    assert!(text_of(&seen).ends_with("whole"), "{seen:?}");
    assert!(turn.is_clean() && checked.is_clean() && checked.usage.steps >= 3, "{turn:?} {checked:?}");

    stage.model.set_script(Script::new([cut(FOREVER, false)]));
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("for ever"))).await;
    assert!(matches!(turn, Err(AgentError::KeepsBreakingOff)), "{turn:?}");

    // The connection itself breaks. opencode retries for a long time, and must not report a finished turn.
    stage.model.set_script(Script::new([cut(1, true), Step::Say("whole".into())]));
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, session.prompt("break"))).await;
    match turn {
        Ok(mut turn) => {
            turn.check(&within(export(&stage.home, &stage.agent, session.id())).await);
            assert_eq!(turn.is_clean(), text_of(&seen).ends_with("whole"), "{turn:?} {seen:?}");
        }
        Err(error) => assert!(matches!(error, AgentError::Model { .. }), "{error:?}"),
    }
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_cancel_ends_a_turn_whose_model_hangs() {
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
    // The session can be used after that.
    stage.model.set_script(Script::say("fine"));
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("continue"))).await;
    assert!(turn.unwrap().is_clean());
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_model_errors_are_retried_or_reported() {
    let Some(stage) = Stage::new(Script::new([Step::status(500, 1), Step::status(429, 1), Step::Say("whole".into())]))
    else {
        return;
    };
    let (turn, checked, seen) = stage.turn(Policy::Allow, "for a while").await;
    assert!(turn.is_clean() && checked.is_clean() && text_of(&seen) == "whole", "{turn:?} {seen:?}");

    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    for (code, expected) in [
        (400, "the model request failed: scripted status 400"),
        (401, "the agent is not logged in to its model provider: scripted status 401"),
    ] {
        stage.model.set_script(Script::new([Step::status(code, FOREVER)]));
        let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("fail"))).await;
        assert_eq!(message(turn), expected);
    }
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_permanent_model_error_is_reported() {
    let Some(stage) = Stage::new(Script::new([Step::status(500, FOREVER)])) else { return };
    let mut live = stage.start(Policy::Allow).await;
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt("fail"))).await;
    assert!(matches!(turn, Err(AgentError::Model { .. })), "{turn:?}");
    live.end().await;
}

#[tokio::test]
async fn needs_opencode_questions_follow_the_policy() {
    let Some(mut stage) = Stage::new(Script::new([Step::bash("echo ran > ran.txt"), Step::Say("continued".into())]))
    else {
        return;
    };
    stage.home.set("OPENCODE_PERMISSION", r#"{"bash": "ask"}"#);
    let file = stage.tree.join("ran.txt");
    let (turn, checked, seen) = stage.turn(Policy::Refuse, "please").await;
    assert!(turn.refused.len() == 1 && turn.doubt.is_none() && !turn.is_clean(), "{turn:?}");
    assert!(checked.doubt.is_none() && !checked.is_clean(), "{checked:?}");
    assert!(!file.exists() && !text_of(&seen).contains("continued"));

    let (turn, checked, seen) = stage.turn(Policy::Allow, "please").await;
    assert!(turn.is_clean() && checked.is_clean() && file.exists() && text_of(&seen) == "continued", "{turn:?}");

    // Operations that opencode asks about by default are allowed beforehand, as a sub-agent's question would not arrive.
    let outside = stage.home.folder("outside").join("file");
    stage.model.set_script(Script::new([Step::write(outside.to_str().unwrap(), "x"), Step::Say("wrote".into())]));
    let (turn, _, seen) = stage.turn(Policy::Allow, "please").await;
    assert!(turn.is_clean() && outside.exists() && text_of(&seen) == "wrote", "{turn:?}");
}

#[tokio::test]
async fn needs_opencode_missing_models_are_errors() {
    let Some(mut stage) = Stage::new(Script::say("x")) else { return };
    let live = stage.start(Policy::Allow).await;
    let mut session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let error = session.set_model("mock/none").await.unwrap_err();
    assert!(error.hint().unwrap().starts_with("use one of its models: mock/"), "{error}");
    let known = session.model().unwrap().to_owned();
    within(session.set_model(&known)).await.unwrap();
    live.end().await;

    stage.home.set("OPENCODE_CONFIG_CONTENT", json!({"autoupdate": false, "enabled_providers": ["none"]}).to_string());
    let live = stage.start(Policy::Allow).await;
    let none = within(live.connection.new_session(&stage.tree)).await;
    assert!(matches!(none, Err(AgentError::NoModel { .. })), "{none:?}");
    live.end().await;

    stage.home.set("OPENCODE_CONFIG_CONTENT", "{bad");
    let exited = within(Live::start(&stage.home, &stage.agent, Policy::Allow, &stage.tree)).await.err();
    assert!(matches!(exited, Some(AgentError::Exited { .. } | AgentError::Pipe(_))), "{exited:?}");
}

#[tokio::test]
async fn needs_opencode_first_starts_with_a_new_home_are_serialized() {
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

/// A custom profile for the same program has none of opencode's quirks.
#[tokio::test]
async fn needs_opencode_custom_profile_speaks_plain_acp() {
    let Some(stage) = Stage::new(Script::say("plain")) else { return };
    let program = crate::live::program(&stage.home, &stage.agent);
    let own = AgentSettings {
        name: "own".into(),
        program: Some(program),
        args: Some(vec!["acp".into()]),
        ..AgentSettings::default()
    };
    let agent = profile("own", &[own]).unwrap();
    let mut live = within(Live::start(&stage.home, &agent, Policy::Allow, Path::new("/"))).await.unwrap();
    let session = within(live.connection.new_session(&stage.tree)).await.unwrap();
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, session.prompt("hello"))).await;
    assert!(turn.unwrap().is_clean() && text_of(&seen) == "plain");
    live.end().await;
}
