//! The scripted agent as a process of its own.

use kugetsu_agent::{AgentError, CustomProfile, Policy, Profile, SessionId, StopReason, profile, program_version};
use kugetsu_testkit::{Home, scripted_agent};

use crate::live::{Live, answering, run};
use crate::peer::{said, within, words};

fn agent(args: &[&str]) -> Profile {
    let own = CustomProfile {
        name: "scripted".into(),
        program: scripted_agent(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: vec![("FROM_THE_PROFILE".into(), "it is here".into())],
        delete: Some(["session", "delete", "{session}"].map(str::to_owned).to_vec()),
        attach: None,
    };
    profile("scripted", &[own]).unwrap()
}

#[tokio::test]
async fn a_session_is_worked_in_gone_on_with_and_deleted() {
    let home = Home::new();
    let tree = home.folder("tree").canonicalize().unwrap();
    let agent = agent(&["acp"]);
    let mut live = within(Live::start(&home, &agent, Policy::Allow, &tree)).await.unwrap();
    let session = within(live.connection.new_session(&tree)).await.unwrap();
    let id = session.id().clone();
    let prompt = session.prompt("pwd\nenv FROM_THE_PROFILE\npermission May I?\nsay thanks");
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, prompt)).await;
    assert!(turn.unwrap().is_clean());
    let tree_text = tree.to_str().unwrap();
    let words = said(&heard);
    for line in [&format!("session {tree_text}"), "FROM_THE_PROFILE=it is here", "thanks"] {
        assert!(words.contains(line), "{line}: {words}");
    }
    live.end().await;

    let mut live = within(Live::start(&home, &agent, Policy::Allow, &tree)).await.unwrap();
    let session = within(live.connection.resume_session(&id, &tree)).await.unwrap();
    let (turn, heard) = within(answering(&mut live.events, Policy::Allow, session.prompt("history"))).await;
    turn.unwrap();
    assert!(said(&heard).contains("FROM_THE_PROFILE"), "{}", said(&heard));
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
async fn what_goes_wrong_in_the_agent_is_told() {
    let home = Home::new();
    let tree = home.folder("tree");
    let started = async |args: &[&str]| within(Live::start(&home, &agent(args), Policy::Allow, &tree)).await;
    assert!(matches!(started(&["acp", "--crash-at", "initialize"]).await, Err(AgentError::Exited { .. })));
    assert!(words(started(&["acp", "--protocol-version", "2"]).await).contains("speaks version 2"));
    let live = started(&["acp", "--needs-login"]).await.unwrap();
    assert!(matches!(within(live.connection.new_session(&tree)).await, Err(AgentError::NotLoggedIn { .. })));
    let live = started(&["acp", "--banner", "Hello, people"]).await.unwrap();
    live.end().await;

    for (script, expected) in
        [("crash", "the agent ended while"), ("exit 3", "the agent ended while"), ("error no credit", "no credit")]
    {
        let mut live = started(&["acp"]).await.unwrap();
        let session = within(live.connection.new_session(&tree)).await.unwrap();
        let (turn, _) = within(answering(&mut live.events, Policy::Allow, session.prompt(script))).await;
        let error = words(turn);
        assert!(error.contains(expected), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_turn_may_be_noisy_refused_or_cancelled() {
    let home = Home::new();
    let tree = home.folder("tree");
    let mut live = within(Live::start(&home, &agent(&["acp"]), Policy::Refuse, &tree)).await.unwrap();
    let session = within(live.connection.new_session(&tree)).await.unwrap();
    let prompt = session.prompt("garbage\nunknown\nflood 300000\ngiant 3000000\nsay end");
    let (turn, heard) = within(answering(&mut live.events, Policy::Refuse, prompt)).await;
    assert!(turn.unwrap().is_clean());
    assert!(said(&heard).ends_with("end") && said(&heard).contains("more bytes]"));

    let prompt = session.prompt("permission May I?\nsay never");
    let (turn, heard) = within(answering(&mut live.events, Policy::Refuse, prompt)).await;
    assert_eq!((turn.unwrap().refused.len(), said(&heard).contains("never")), (1, false));

    let connection = &live.connection;
    let cancelled = async {
        let cancel = async {
            // Before the agent has the prompt there is nothing to cancel: the pipe keeps the order.
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
async fn the_version_is_asked_of_the_program() {
    assert_eq!(program_version(&agent(&[]), &scripted_agent()).await.unwrap(), env!("CARGO_PKG_VERSION"));
}
