//! The messages that the built-in agents really send, recorded with a scripted model: no end of a turn is taken for a better one than it
//! is. Each file of `tests/recorded/<agent>/` is one scenario.

use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_agent::{AgentError, AgentEvent, Answer, Policy, Recovery, SessionOptions, StopReason, Turn, profile};
use serde_json::{Value, json};

use crate::peer::{Peer, connected_with, within};

/// One direction of a line.
enum Line {
    Client(Value),
    Agent(Value),
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// The messages of a recording. Lines about other things, such as what the model got, are left out.
fn lines(agent: &str, scenario: &str) -> Vec<Line> {
    let path = directory().join(agent).join(format!("{scenario}.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let (client, agent) = (line["client"].take(), line["agent"].take());
        match (client.is_object(), agent.is_object()) {
            (true, _) => Some(Line::Client(client)),
            (_, true) => Some(Line::Agent(agent)),
            _ => None,
        }
    };
    text.lines().filter_map(parse).collect()
}

/// The agent's response to the first request with this method.
fn response(agent: &str, scenario: &str, method: &str) -> Option<Value> {
    let lines = lines(agent, scenario);
    let id = lines.iter().find_map(|line| match line {
        Line::Client(message) if message["method"] == method => Some(message["id"].clone()),
        _ => None,
    })?;
    lines.into_iter().find_map(|line| match line {
        Line::Agent(message) if message["id"] == id && message.get("method").is_none() => Some(message),
        _ => None,
    })
}

/// The lines from each prompt on: a turn each.
fn turns(agent: &str, scenario: &str) -> Vec<Vec<Line>> {
    let mut turns: Vec<Vec<Line>> = Vec::new();
    for line in lines(agent, scenario) {
        match &line {
            Line::Client(message) if message["method"] == "session/prompt" => turns.push(vec![line]),
            _ => {
                if let Some(turn) = turns.last_mut() {
                    turn.push(line);
                }
            }
        }
    }
    turns
}

/// Plays the recorded turns to the client, and returns how each ended.
async fn played(agent: &str, scenario: &str, policy: Policy) -> Vec<Result<Turn, AgentError>> {
    played_with(agent, scenario, policy, |_| {}).await
}

/// As [`played`], with a file of the session that `change` has changed.
async fn played_with(
    agent: &str,
    scenario: &str,
    policy: Policy,
    change: impl FnOnce(&mut KeptFile),
) -> Vec<Result<Turn, AgentError>> {
    let profile = profile(agent, &[]).unwrap();
    let initialized = response(agent, "start", "initialize").unwrap()["result"].take();
    let turns = turns(agent, scenario);
    let Line::Client(prompt) = &turns[0][0] else { panic!("no prompt") };
    let session = prompt["params"]["sessionId"].as_str().unwrap().to_owned();
    let mut opened = response(agent, "start", "session/new").unwrap()["result"].take();
    opened["sessionId"] = session.clone().into();
    let home = tempfile::tempdir().unwrap();
    let mut kept = KeptFile::of(agent, scenario, &session, home.path());
    change(&mut kept);
    let options =
        SessionOptions { policy, session_directory: Some(home.path().to_owned()), ..SessionOptions::default() };
    let (connection, mut events, mut peer) = connected_with(&profile, options, initialized).await;
    let opening = connection.new_session(Path::new("/"));
    let mut opening = std::pin::pin!(opening);
    let session = loop {
        tokio::select! {
            session = &mut opening => break session.unwrap(),
            message = peer.next() => {
                let message = message.unwrap();
                let result = if message["method"] == "session/new" { opened.clone() } else { json!({}) };
                peer.result(&message["id"], result).await;
            }
        }
    };
    let mut ends = Vec::new();
    for (index, turn) in turns.into_iter().enumerate() {
        let playing = play(&mut peer, turn, || kept.write(index + 1));
        let answering = async {
            let mut prompting = std::pin::pin!(session.prompt("hello"));
            loop {
                tokio::select! {
                    end = &mut prompting => break end,
                    Some(event) = events.next() => if let AgentEvent::Question(question) = event {
                        let answer = if policy == Policy::Allow {
                            Answer::AllowOnce
                        } else {
                            Answer::Refuse { reason: "no".to_owned() }
                        };
                        question.answer(answer).unwrap();
                    },
                }
            }
        };
        let (end, ()) = within(async { tokio::join!(answering, playing) }).await;
        ends.push(end);
    }
    ends
}

/// The file in which the agent kept the session, for agents whose file is read.
struct KeptFile {
    path: PathBuf,
    lines: Vec<String>,
}

impl KeptFile {
    fn of(agent: &str, scenario: &str, session: &str, home: &Path) -> Self {
        let recorded = directory().with_file_name("recorded_sessions").join(agent).join(format!("{scenario}.jsonl"));
        let lines = fs::read_to_string(recorded).unwrap_or_default().lines().map(str::to_owned).collect();
        let path = match agent {
            "gemini" => format!("tree/chats/session-2026-11-29T07-12-{}.jsonl", &session[..8]),
            _ => format!("wd_tree_0/{session}/agents/main/wire.jsonl"),
        };
        Self { path: home.join(path), lines }
    }

    /// Writes the lines of the first turns.
    fn write(&self, turns: usize) {
        if self.lines.is_empty() {
            return;
        }
        fs::create_dir_all(self.path.parent().unwrap()).unwrap();
        let mut prompts = 0;
        let is_shown = |line: &&String| {
            let line: Value = serde_json::from_str(line).unwrap();
            let is_text = line["content"][0]["text"].is_string();
            prompts += usize::from(line["type"] == "turn.prompt" || line["type"] == "user" && is_text);
            prompts <= turns
        };
        let lines: Vec<&str> = self.lines.iter().take_while(is_shown).map(String::as_str).collect();
        fs::write(&self.path, lines.join("\n") + "\n").unwrap();
    }
}

/// Sends what the agent sent in a turn, and waits for what the client sent. `before_end` is called before the response to the
/// prompt.
async fn play(peer: &mut Peer, turn: Vec<Line>, before_end: impl FnOnce()) {
    let (id, _) = peer.expect("session/prompt").await;
    let mut before_end = Some(before_end);
    let mut recorded_id = Value::Null;
    for line in turn {
        match line {
            Line::Client(message) if message["method"] == "session/prompt" => recorded_id = message["id"].clone(),
            // A response to a question. Its option may be another one.
            Line::Client(message) if message.get("method").is_none() => drop(peer.response_to(&message["id"]).await),
            Line::Client(_) => {}
            Line::Agent(mut message) => {
                let is_end = message.get("method").is_none() && message["id"] == recorded_id;
                if is_end {
                    message["id"] = id.clone();
                    before_end.take().into_iter().for_each(|write| write());
                }
                peer.line(&message.to_string()).await;
                if is_end {
                    return;
                }
            }
        }
    }
    panic!("the recording has no end of the turn");
}

/// The end of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// A failure that may pass.
    Passes,
    /// A failure that does not.
    Fails,
    NotLoggedIn,
    Refused,
    /// The turn ended, and something speaks against it.
    Doubt,
    MaxTokens,
    ModelRefused,
    Cancelled,
}

fn end_of(end: &Result<Turn, AgentError>) -> End {
    match end {
        Err(AgentError::Model { recovery: Recovery::Never, .. }) => End::Fails,
        Err(AgentError::Model { .. }) => End::Passes,
        Err(AgentError::NotLoggedIn { .. }) => End::NotLoggedIn,
        Err(error) => panic!("{error:?}"),
        Ok(turn) => match turn.stop {
            StopReason::MaxTokens => End::MaxTokens,
            StopReason::Refused => End::ModelRefused,
            StopReason::Cancelled => End::Cancelled,
            _ if turn.doubt.is_some() => End::Doubt,
            _ if !turn.refused.is_empty() => End::Refused,
            _ => End::Done,
        },
    }
}

/// How a scenario ends for agents that report its end as it was.
fn expected(scenario: &str) -> End {
    match scenario {
        "success" | "thought" | "cut_once" | "status_429_once" | "two_turns" => End::Done,
        // The work is done; only the last text is missing.
        "silent_end" => End::Done,
        "cut" | "cut_after_work" | "disconnect" => End::Passes,
        "status_400" | "status_403" | "status_404" => End::Fails,
        "status_401" => End::NotLoggedIn,
        "token_limit" | "token_limit_after_work" => End::MaxTokens,
        "filtered" => End::ModelRefused,
        "cancel" => End::Cancelled,
        _ if scenario.starts_with("status_429") || scenario.starts_with("status_5") => End::Passes,
        _ if scenario.starts_with("refused") => End::Refused,
        other => panic!("no end is expected of {other:?}"),
    }
}

/// Ends that differ from [`expected`]: the agent continues alone, or reports nothing that shows how it ended. The latter
/// are exceptions that the agent's description names.
const DIFFERENT: &[(&str, &str, End)] = &[
    ("claude", "filtered", End::Done),
    ("claude", "status_403", End::NotLoggedIn),
    ("claude", "token_limit", End::Done),
    ("claude", "token_limit_after_work", End::Done),
    ("codex", "refused_permission", End::Done),
    ("copilot", "filtered", End::Done),
    ("copilot", "status_403", End::NotLoggedIn),
    ("copilot", "token_limit", End::Done),
    ("copilot", "token_limit_after_work", End::Done),
    ("gemini", "cut_once", End::Passes),
    ("gemini", "filtered", End::Done),
    ("gemini", "token_limit", End::Done),
    ("gemini", "token_limit_after_work", End::Done),
    ("goose", "cut_once", End::Passes),
    ("goose", "filtered", End::Done),
    ("goose", "silent_end", End::Fails),
    ("goose", "status_403", End::NotLoggedIn),
    ("kimi", "cut_once", End::Passes),
    ("kimi", "refused_write", End::Done),
    ("kimi", "silent_end", End::Fails),
    ("kimi", "status_403", End::NotLoggedIn),
    // It asks about nothing in its worktree.
    ("opencode", "refused_permission", End::Done),
    ("opencode", "refused_write", End::Done),
    ("opencode", "silent_end", End::Doubt),
    // Its record has the finish reason.
    ("opencode", "token_limit", End::Done),
    ("opencode", "token_limit_after_work", End::Done),
    ("qwen", "disconnect", End::Done),
    ("qwen", "filtered", End::Done),
    ("qwen", "token_limit", End::Done),
    ("qwen", "token_limit_after_work", End::Done),
    ("vibe", "filtered", End::Done),
    ("vibe", "status_403", End::NotLoggedIn),
    ("vibe", "token_limit", End::Done),
    ("vibe", "token_limit_after_work", End::Done),
];

/// Recordings that are no turns.
const NO_TURN: &[&str] = &["start", "modes", "models", "logged_out", "lost_session", "deleted", "resumed"];
/// The agent repeats its request to the model, or waits as long as the provider wants, so that the recording ended before the turn.
/// `run.silence` and `run.timeout` end such runs.
const ENDLESS: &[(&str, &str)] = &[
    ("codex", "status_429_retry_after_3600"),
    ("gemini", "status_429_retry_after_2"),
    ("gemini", "status_429_retry_after_3600"),
    ("gemini", "status_503"),
    ("goose", "status_429_retry_after_3600"),
    ("kimi", "status_429_retry_after_3600"),
    ("opencode", "cut"),
    ("opencode", "cut_after_work"),
    ("opencode", "status_429_retry_after_3600"),
    ("qwen", "status_429"),
    ("qwen", "status_429_retry_after_2"),
    ("qwen", "status_429_retry_after_3600"),
    ("qwen", "status_503"),
];

fn has_end(agent: &str, scenario: &str) -> bool {
    turns(agent, scenario).iter().all(|turn| {
        let Some(Line::Client(prompt)) = turn.first() else { return false };
        let is_end = |line: &Line| matches!(line, Line::Agent(message) if message.get("method").is_none() && message["id"] == prompt["id"]);
        turn.iter().any(is_end)
    })
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn no_turn_ends_better_than_it_did() {
    let (mut count, mut wrong, mut endless) = (0, Vec::new(), Vec::new());
    for agent in names(&directory()) {
        for scenario in names(&directory().join(&agent)) {
            let (agent, scenario) = (agent.as_str(), scenario.as_str());
            if NO_TURN.contains(&scenario) {
                continue;
            }
            if !has_end(agent, scenario) {
                endless.push((agent.to_owned(), scenario.to_owned()));
                continue;
            }
            let different = DIFFERENT.iter().find(|(name, other, _)| (*name, *other) == (agent, scenario));
            let expected = different.map_or_else(|| expected(scenario), |(_, _, end)| *end);
            let policy = if scenario.starts_with("refused") { Policy::Refuse } else { Policy::Allow };
            for end in played(agent, scenario, policy).await {
                let found = end_of(&end);
                if found != expected {
                    wrong.push(format!("{agent}, {scenario}: {found:?} instead of {expected:?}: {end:?}"));
                }
                count += 1;
            }
        }
    }
    let known: Vec<_> = ENDLESS.iter().map(|(agent, scenario)| ((*agent).to_owned(), (*scenario).to_owned())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(endless, known);
    assert!(count > 150, "only {count} turns are recorded");
}

#[tokio::test]
async fn tokens_are_those_of_one_turn_or_unknown() {
    // opencode's record has the tokens of all steps; the recordings do not.
    for agent in names(&directory()).iter().filter(|agent| *agent != "opencode") {
        let agent = agent.as_str();
        for (scenario, answers) in [("success", &[3][..]), ("thought", &[1]), ("two_turns", &[1, 2])] {
            for (end, answers) in played(agent, scenario, Policy::Allow).await.into_iter().zip(answers) {
                // The scripted model counts 100 and 20 tokens for each of its answers.
                let used = end.unwrap().usage.tokens.map(|tokens| (tokens.all_input(), tokens.all_output()));
                let expected = Some((100 * answers, 20 * answers));
                let is_unknown = agent == "goose" && *answers > 1;
                assert_eq!(used, expected.filter(|_| !is_unknown), "{agent}, {scenario}");
            }
        }
    }
}

#[tokio::test]
async fn turn_whose_end_is_not_in_the_sessions_file_is_doubted() {
    for agent in ["gemini", "kimi"] {
        for cut in [usize::MAX, 8] {
            let ends = played_with(agent, "success", Policy::Allow, |kept| {
                kept.lines.truncate(kept.lines.len().saturating_sub(cut));
            })
            .await;
            let turn = ends.into_iter().next().unwrap().unwrap();
            let doubt = turn.doubt.map(|doubt| doubt.text).unwrap_or_default();
            assert!(doubt.contains("could not be checked"), "{agent}, without {cut} lines: {doubt}");
        }
    }
}

#[tokio::test]
async fn tokens_of_sub_agents_are_counted() {
    let ends = played_with("kimi", "success", Policy::Allow, |kept| {
        let other = kept.path.parent().unwrap().with_file_name("agent-1");
        fs::create_dir_all(&other).unwrap();
        let used = json!({"type": "usage.record", "usage": {"inputOther": 7, "output": 2, "inputCacheRead": 1}});
        fs::write(other.join("wire.jsonl"), format!("{used}\n")).unwrap();
    })
    .await;
    let tokens = ends.into_iter().next().unwrap().unwrap().usage.tokens.unwrap();
    assert_eq!((tokens.all_input(), tokens.all_output()), (308, 62));
}
