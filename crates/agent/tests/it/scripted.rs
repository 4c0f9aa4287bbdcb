//! The scripted agent as a real process.

use kugetsu_agent::{AgentError, AgentSettings, Policy, Profile, SessionId, StopReason, profile, program_version};
use kugetsu_testkit::{Home, scripted_agent};

use crate::live::{Live, answering, run};
use crate::peer::{message, text_of, within};

fn agent(args: &[&str]) -> Profile {
    let own = AgentSettings {
        name: "scripted".into(),
        program: Some(scripted_agent()),
        args: Some(args.iter().map(|&arg| arg.to_owned()).collect()),
        env: vec![("FROM_THE_PROFILE".into(), "present".into())],
        delete: Some(["session", "delete", "{session}"].map(str::to_owned).to_vec()),
        attach: None,
        models: None,
    };
    profile("scripted", &[own]).unwrap()
}

#[tokio::test]
async fn session_is_used_continued_and_deleted() {
    let home = Home::new();
    let tree = home.folder("tree").canonicalize().unwrap();
    let agent = agent(&["acp"]);
    let mut live = within(Live::start(&home, &agent, Policy::Allow, &tree)).await.unwrap();
    let session = within(live.connection.new_session(&tree)).await.unwrap();
    let id = session.id().clone();
    let prompt = session.prompt("pwd\nenv FROM_THE_PROFILE\npermission May I?\nsay thanks");
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, prompt)).await;
    assert!(turn.unwrap().is_clean());
    let tree_text = tree.to_str().unwrap();
    let text = text_of(&seen);
    for line in [&format!("session {tree_text}"), "FROM_THE_PROFILE=present", "thanks"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    live.end().await;

    let mut live = within(Live::start(&home, &agent, Policy::Allow, &tree)).await.unwrap();
    let session = within(live.connection.resume_session(&id, &tree)).await.unwrap();
    let (turn, seen) = within(answering(&mut live.events, Policy::Allow, session.prompt("history"))).await;
    turn.unwrap();
    assert!(text_of(&seen).contains("FROM_THE_PROFILE"), "{}", text_of(&seen));
    let elsewhere = within(live.connection.resume_session(&id, home.path())).await;
    assert!(matches!(elsewhere, Err(AgentError::WrongDirectory { .. })), "{elsewhere:?}");
    live.end().await;

    run(&home, &agent, &agent.delete_session(&id).unwrap()).await;
    let live = within(Live::start(&home, &agent, Policy::Allow, &tree)).await.unwrap();
    let lost = within(live.connection.resume_session(&id, &tree)).await;
    assert!(matches!(lost, Err(AgentError::SessionLost { .. })), "{lost:?}");
    let other = SessionId::new("ses_never").unwrap();
    assert!(within(live.connection.resume_session(&other, &tree)).await.is_err());
    live.end().await;
}

#[tokio::test]
async fn failures_of_the_agent_are_errors() {
    let home = Home::new();
    let tree = home.folder("tree");
    let started = async |args: &[&str]| within(Live::start(&home, &agent(args), Policy::Allow, &tree)).await;
    assert!(matches!(started(&["acp", "--crash-at", "initialize"]).await, Err(AgentError::Exited { .. })));
    assert!(message(started(&["acp", "--protocol-version", "2"]).await).contains("speaks version 2"));
    let live = started(&["acp", "--needs-login"]).await.unwrap();
    assert!(matches!(within(live.connection.new_session(&tree)).await, Err(AgentError::NotLoggedIn { .. })));
    let live = started(&["acp", "--banner", "Hello, people"]).await.unwrap();
    live.end().await;

    for (script, expected) in
        [("crash", "the agent exited while"), ("exit 3", "the agent exited while"), ("error no credit", "no credit")]
    {
        let mut live = started(&["acp"]).await.unwrap();
        let session = within(live.connection.new_session(&tree)).await.unwrap();
        let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt(script))).await;
        let error = message(turn);
        assert!(error.contains(expected), "{script}: {error}");
    }
}

#[tokio::test]
async fn turn_may_be_noisy_refused_or_cancelled() {
    let home = Home::new();
    let tree = home.folder("tree");
    let mut live = within(Live::start(&home, &agent(&["acp"]), Policy::Refuse, &tree)).await.unwrap();
    let session = within(live.connection.new_session(&tree)).await.unwrap();
    let prompt = session.prompt("garbage\nunknown\nflood 300000\ngiant 3000000\nsay end");
    let (turn, seen) = within(answering(&mut live.events, Policy::Refuse, prompt)).await;
    assert!(turn.unwrap().is_clean());
    assert!(text_of(&seen).ends_with("end") && text_of(&seen).contains("more bytes]"));

    let prompt = session.prompt("permission May I?\nsay never");
    let (turn, seen) = within(answering(&mut live.events, Policy::Refuse, prompt)).await;
    assert_eq!((turn.unwrap().refused.len(), text_of(&seen).contains("never")), (1, false));

    let connection = &live.connection;
    let cancelled = async {
        let cancel = async {
            // The prompt must be queued first. The pipe then keeps the order.
            tokio::task::yield_now().await;
            connection.cancel();
        };
        tokio::join!(session.prompt("hang"), cancel).0
    };
    let (turn, _) = within(answering(&mut live.events, Policy::Refuse, cancelled)).await;
    assert_eq!(turn.unwrap().stop, StopReason::Cancelled);
    live.end().await;
}

#[tokio::test]
async fn version_is_that_of_the_program() {
    assert_eq!(program_version(&agent(&[]), &scripted_agent(), &[]).await.unwrap(), env!("CARGO_PKG_VERSION"));
}
