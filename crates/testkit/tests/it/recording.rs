//! Records what the real agents send over ACP at every end of a turn, for the tests of the crate `agent`.
//!
//! ```text
//! KUGETSU_AGENTS=target/agents/bin cargo test -p kugetsu-testkit --test it -- --ignored record_claude
//! ```
//!
//! `KUGETSU_SCENARIO` selects scenarios by name. Each is a file in `crates/agent/tests/recorded/<agent>/`. Its lines are
//! messages, `{"client": ...}` or `{"agent": ...}`, with the seconds since the first one (`s`). The last lines are notes of the
//! recorder, the end of stderr, and the number of requests that the model got. Lists of commands and repeated settings are left
//! out, long texts are cut, and paths of the machine are replaced: `/tree` is the repository.
//!
//! `crates/agent/tests/recorded_sessions/` has the record that the agent keeps of the session in its home, if that has more:
//! Gemini's messages of a cut answer have no `tokens`, and Kimi's steps have a `finishReason`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_testkit::model::script::{Cut, FOREVER, Hang, Status, Thought};
use kugetsu_testkit::real_agent::{self, RealAgent};
use kugetsu_testkit::{Script, Step};
use serde_json::{Value, json};

use crate::acp::{Logged, selected};
use crate::real_agents::Stage;

/// How long a turn may take. Agents that repeat a failed request longer are silent meanwhile. `KUGETSU_TURN` has other
/// seconds.
fn turn_limit() -> Duration {
    let seconds = std::env::var("KUGETSU_TURN").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(300))
}

/// Longest text of a recording, in characters.
const TEXT_MAX: usize = 200;

/// A scenario: its name and the scripts of its turns.
fn turns() -> Vec<(&'static str, Vec<Vec<Step>>)> {
    let say = |text: &str| Step::Say(text.to_owned());
    let work = || vec![Step::write("made.txt", "made\n"), Step::bash("git add . && git commit -qm Made")];
    let after_work = |step: Step| vec![work().into_iter().chain([step]).collect()];
    let status = |code, retry_after| Step::Status(Status { code, times: FOREVER, retry_after });
    let cut = |disconnect| Step::Cut(Cut { text: "Half a sen".to_owned(), times: FOREVER, disconnect });
    vec![
        ("success", after_work(say("All done."))),
        ("two_turns", vec![vec![say("The first answer.")], vec![Step::bash("pwd"), say("The second answer.")]]),
        ("silent_end", after_work(say(""))),
        (
            "thought",
            vec![vec![Step::Thought(Thought { text: "A file is missing.".to_owned(), say: "I thought.".to_owned() })]],
        ),
        ("cut", vec![vec![cut(false)]]),
        ("cut_after_work", after_work(cut(false))),
        (
            "cut_once",
            after_work(Step::cut("Half a sen", 1)).into_iter().map(|steps| with(steps, say("Whole."))).collect(),
        ),
        ("disconnect", vec![vec![cut(true)]]),
        ("status_400", vec![vec![status(400, None)]]),
        ("status_401", vec![vec![status(401, None)]]),
        ("status_403", vec![vec![status(403, None)]]),
        ("status_404", vec![vec![status(404, None)]]),
        ("status_429", vec![vec![status(429, None)]]),
        ("status_429_retry_after_2", vec![vec![status(429, Some(2))]]),
        ("status_429_retry_after_3600", vec![vec![status(429, Some(3600))]]),
        (
            "status_429_once",
            vec![vec![Step::Status(Status { code: 429, times: 1, retry_after: Some(1) }), say("After all.")]],
        ),
        ("status_500", vec![vec![status(500, None)]]),
        ("status_500_after_work", after_work(status(500, None))),
        ("status_503", vec![vec![status(503, None)]]),
        ("token_limit", vec![vec![Step::Full("As much as fits into".to_owned())]]),
        ("token_limit_after_work", after_work(Step::Full("As much as fits into".to_owned()))),
        ("filtered", vec![vec![Step::Filtered("That is against the".to_owned()); 12]]),
    ]
}

fn with(mut steps: Vec<Step>, last: Step) -> Vec<Step> {
    steps.push(last);
    steps
}

/// The mode of sessions in which the agent asks before it acts, if that is not the first one.
fn asking_mode(real: &RealAgent) -> Option<&'static str> {
    match real.name {
        "claude" => Some("default"),
        "codex" => Some("read-only"),
        "goose" => Some("approve"),
        "qwen" => Some("default"),
        "vibe" => Some("ask"),
        _ => None,
    }
}

fn record(real: &RealAgent) {
    let only = std::env::var("KUGETSU_SCENARIO").ok();
    let is_selected = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|one| one == name));
    for (name, scripts) in turns().into_iter().filter(|(name, _)| is_selected(name)) {
        record_turns(real, name, &scripts);
    }
    type Scenario = (&'static str, fn(&mut Stage) -> usize);
    let others: [Scenario; 9] = [
        ("start", start),
        ("modes", modes),
        ("models", models),
        ("refused_permission", refused_permission),
        ("refused_write", refused_write),
        ("cancel", cancel),
        ("lost_session", lost_session),
        ("resumed", resumed),
        ("deleted", deleted),
    ];
    for (name, scenario) in others.into_iter().filter(|(name, _)| is_selected(name)) {
        let Some(mut stage) = Stage::new(real) else { return };
        let from = scenario(&mut stage);
        save(&stage, name, from);
    }
    if is_selected("logged_out") {
        logged_out(real);
    }
}

fn message(script: &[Step]) -> String {
    format!("Do the job.\n{}", Script::new(script.to_vec()).as_message())
}

fn record_turns(real: &RealAgent, name: &str, scripts: &[Vec<Step>]) {
    let Some(mut stage) = Stage::new(real) else { return };
    stage.initialize();
    let session = stage.new_session().unwrap();
    settle(&mut stage);
    let from = stage.agent.log.len();
    for script in scripts {
        prompt(&mut stage, &session, &message(script), turn_limit());
    }
    save(&stage, name, from);
}

/// Sends a message, waits for the end of the turn and for what the agent sends after it.
fn prompt(stage: &mut Stage, session: &str, text: &str, limit: Duration) {
    let id = stage.agent.start_prompt(session, text);
    let answer = stage.agent.try_response(id, limit);
    if answer.is_none() {
        let note = json!({"note": format!("no response within {} s", limit.as_secs())});
        stage.agent.log.push(Logged { from: "recorder", message: note, at: std::time::Instant::now() });
    }
    settle(stage);
}

/// Reads messages until the agent has been silent for a while.
fn settle(stage: &mut Stage) {
    let _none = stage.agent.try_response(u64::MAX, Duration::from_secs(3));
}

fn start(stage: &mut Stage) -> usize {
    stage.initialize();
    let _session = stage.new_session();
    settle(stage);
    0
}

/// A command, and a file outside of the worktree, in every mode of a session.
fn modes(stage: &mut Stage) -> usize {
    let (session, new) = new_session(stage);
    let from = stage.agent.log.len();
    for mode in choices(&new, "mode", "modes", "availableModes", "id") {
        let set = stage.agent.call("session/set_mode", json!({"sessionId": session, "modeId": mode}));
        if set.is_ok() {
            let outside =
                stage.home.path().join(format!("outside-{}.txt", mode.rsplit('/').next().unwrap_or_default()));
            let outside = Step::write(outside.to_str().unwrap(), "x\n");
            let script = [Step::bash("touch inside.txt"), outside, Step::Say(format!("Mode {mode}."))];
            prompt(stage, &session, &message(&script), turn_limit());
        }
    }
    from
}

/// The choice of a model: by the method, and by the option of the session.
fn models(stage: &mut Stage) -> usize {
    let (session, new) = new_session(stage);
    let from = stage.agent.log.len();
    let by_method = choices(&new, "", "models", "availableModels", "modelId");
    let by_option = choices(&new, "model", "", "", "");
    if let Some(model) = by_method.last() {
        let _answer = stage.agent.call("session/set_model", json!({"sessionId": session, "modelId": model}));
    }
    prompt(stage, &session, &message(&[Step::Say("By the method.".to_owned())]), turn_limit());
    let options = new["configOptions"].as_array().cloned().unwrap_or_default();
    let option =
        options.iter().find(|option| option["category"] == "model").map_or(Value::Null, |option| option["id"].clone());
    if let Some(model) = by_option.last() {
        let option = json!({"sessionId": session, "configId": option, "value": model});
        let _answer = stage.agent.call("session/set_config_option", option);
    }
    prompt(stage, &session, &message(&[Step::Say("By the option.".to_owned())]), turn_limit());
    let unknown = json!({"sessionId": session, "configId": option, "value": "no-such-model"});
    let _answer = stage.agent.call("session/set_config_option", unknown);
    from
}

fn new_session(stage: &mut Stage) -> (String, Value) {
    stage.initialize();
    let new = stage.agent.call("session/new", json!({"cwd": stage.repository.path(), "mcpServers": []})).unwrap();
    settle(stage);
    (new["sessionId"].as_str().unwrap().to_owned(), new)
}

/// The values of the session's option of this category or, if it has none, the ids of the list `list` in `state`.
fn choices(new: &Value, category: &str, state: &str, list: &str, id: &str) -> Vec<String> {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let options = items(&new["configOptions"]);
    let option = options.iter().find(|option| option["category"] == category);
    let of_option = option.map(|option| items(&option["options"])).unwrap_or_default();
    let of_option = of_option.iter().flat_map(|item| match item["options"].as_array() {
        Some(group) => group.clone(),
        None => vec![item.clone()],
    });
    let of_list = items(&new[state][list]);
    let values = of_option.filter_map(|item| item["value"].as_str().map(str::to_owned));
    let ids = of_list.iter().filter_map(|item| item[id].as_str().map(str::to_owned));
    let values: Vec<String> = values.collect();
    if values.is_empty() { ids.collect() } else { values }
}

fn refused_permission(stage: &mut Stage) -> usize {
    refuse(stage, Step::bash("touch made.txt"))
}

fn refused_write(stage: &mut Stage) -> usize {
    refuse(stage, Step::write("made.txt", "made\n"))
}

fn refuse(stage: &mut Stage, first: Step) -> usize {
    stage.initialize();
    let session = stage.new_session().unwrap();
    settle(stage);
    let from = stage.agent.log.len();
    if let Some(mode) = asking_mode(&stage.real) {
        let _answer = stage.agent.call("session/set_mode", json!({"sessionId": session, "modeId": mode}));
    }
    stage.agent.permission = selected("reject_once");
    let script = [first, Step::Say("I could not.".to_owned())];
    prompt(stage, &session, &message(&script), turn_limit());
    from
}

fn cancel(stage: &mut Stage) -> usize {
    stage.initialize();
    let session = stage.new_session().unwrap();
    settle(stage);
    let from = stage.agent.log.len();
    let script = [Step::Hang(Hang { text: "wait ".to_owned() })];
    let id = stage.agent.start_prompt(&session, &message(&script));
    stage.model.block_for_requests(1);
    settle(stage);
    stage.agent.notify("session/cancel", json!({"sessionId": session}));
    let _answer = stage.agent.try_response(id, turn_limit());
    settle(stage);
    from
}

/// Continues a session that the agent does not have.
fn lost_session(stage: &mut Stage) -> usize {
    let capabilities = stage.initialize();
    let from = stage.agent.log.len();
    let session = match stage.real.name {
        "goose" => "20200101_1",
        "opencode" => "ses_00000000000000000000000000",
        _ => "01234567-89ab-7cde-8f01-23456789abcd",
    };
    open(stage, session, &capabilities);
    from
}

fn resumed(stage: &mut Stage) -> usize {
    stage.initialize();
    let session = stage.new_session().unwrap();
    prompt(stage, &session, &message(&[Step::bash("pwd"), Step::Say("The first answer.".to_owned())]), turn_limit());
    if stage.real.name == "gemini" {
        // It loses a session that it loads within the minute in which the session began.
        std::thread::sleep(Duration::from_secs(61));
    }
    stage.restart();
    let capabilities = stage.initialize();
    let from = stage.agent.log.len();
    if open(stage, &session, &capabilities) {
        prompt(stage, &session, &message(&[Step::Say("The second answer.".to_owned())]), turn_limit());
    }
    from
}

fn open(stage: &mut Stage, session: &str, initialized: &Value) -> bool {
    let can_resume = initialized["agentCapabilities"]["sessionCapabilities"]["resume"].is_object();
    let method = if can_resume { "session/resume" } else { "session/load" };
    let cwd = stage.repository.path().to_owned();
    let answer = stage.agent.call(method, json!({"sessionId": session, "cwd": cwd, "mcpServers": []}));
    settle(stage);
    answer.is_ok()
}

fn deleted(stage: &mut Stage) -> usize {
    stage.initialize();
    let session = stage.new_session().unwrap();
    prompt(stage, &session, &message(&[Step::Say("The first answer.".to_owned())]), turn_limit());
    let from = stage.agent.log.len();
    for id in [session.as_str(), session.as_str(), "01234567-89ab-7cde-8f01-23456789abcd"] {
        let _answer = stage.agent.call("session/delete", json!({"sessionId": id}));
    }
    settle(stage);
    from
}

/// Without the variables that hold the key.
fn logged_out(real: &RealAgent) {
    let Some(mut stage) = Stage::logged_out(real) else { return };
    stage.initialize();
    let limit = Duration::from_secs(60);
    let params = json!({"cwd": stage.repository.path(), "mcpServers": []});
    let id = stage.agent.request("session/new", params);
    let answer = stage.agent.try_response(id, limit).unwrap_or_default();
    if let Some(session) = answer["result"]["sessionId"].as_str() {
        prompt(&mut stage, session, &message(&[Step::Say("Answered.".to_owned())]), limit);
    }
    save(&stage, "logged_out", 0);
}

fn save(stage: &Stage, scenario: &str, from: usize) {
    let directory = tests().join("recorded").join(stage.real.name);
    std::fs::create_dir_all(&directory).unwrap();
    let log = &stage.agent.log[from..];
    let Some(first) = log.first() else { return };
    let mut text = String::new();
    for line in log.iter().filter(|line| is_meaningful(&line.message)) {
        let message = trim(&line.message, None, &paths(stage));
        let seconds = line.at.duration_since(first.at).as_secs();
        let at = if seconds == 0 { String::new() } else { format!(",\"s\":{seconds}") };
        writeln!(text, "{{\"{}\":{message}{at}}}", line.from).unwrap();
    }
    let stderr = std::fs::read_to_string(stage.home.path().join("stderr")).unwrap_or_default();
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in &lines[lines.len().saturating_sub(5)..] {
        writeln!(text, "{}", json!({"stderr": shorten(line, &paths(stage))})).unwrap();
    }
    let requests = stage.model.turn_requests();
    let names: BTreeSet<&str> = requests.iter().map(|request| request.model.as_str()).collect();
    let model = json!({"turn_requests": requests.len(), "all": stage.model.requests().len(), "names": names});
    writeln!(text, "{}", json!({"model": model})).unwrap();
    std::fs::write(directory.join(format!("{scenario}.jsonl")), text).unwrap();
    save_record(stage, scenario);
    eprintln!("{} {scenario}: {} messages", stage.real.name, log.len());
}

/// Saves the record that the agent itself keeps of the session, where it has more than it sends.
fn save_record(stage: &Stage, scenario: &str) {
    let below = match stage.real.name {
        "gemini" => ".gemini/tmp/tree/chats",
        "kimi" => ".kimi-code/sessions",
        _ => return,
    };
    let mut records = Vec::new();
    add_files(&stage.home.user().join(below), &mut records);
    // Gemini has another file for the session that loads no model.
    let longest = records
        .iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
        .max_by_key(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let Some(record) = longest else { return };
    let mut text = String::new();
    for line in std::fs::read_to_string(record).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let is_setting = matches!(line["type"].as_str(), Some("profile.bind" | "llm.tools_snapshot"));
        if !is_setting {
            writeln!(text, "{}", trim(&line, None, &paths(stage))).unwrap();
        }
    }
    let directory = tests().join("recorded_sessions").join(stage.real.name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{scenario}.jsonl")), text).unwrap();
}

/// The directory of the tests that use the recordings.
fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests")
}

fn add_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { add_files(&path, files) } else { files.push(path) }
    }
}

/// The paths of this machine and what replaces them.
fn paths(stage: &Stage) -> BTreeMap<String, &'static str> {
    let agents = std::env::var_os(real_agent::DIRECTORY).map(PathBuf::from).unwrap_or_default();
    let agents = agents.canonicalize().ok().and_then(|bin| bin.parent().map(Path::to_owned)).unwrap_or_default();
    let text = |path: &Path| path.display().to_string();
    BTreeMap::from([
        (text(stage.repository.path()), "/tree"),
        (text(&stage.home.user()), "/home/user"),
        (text(stage.home.path()), "/test"),
        (text(&agents), "/agents"),
        (stage.model.root_url(), "http://model"),
        (stage.model.root_url().trim_start_matches("http://").to_owned(), "model"),
    ])
}

fn is_meaningful(message: &Value) -> bool {
    let update = message["params"]["update"]["sessionUpdate"].as_str();
    !matches!(update, Some("available_commands_update" | "config_option_update" | "current_mode_update"))
}

/// The value with short texts and lists; `key` is the name of the field that holds it.
fn trim(value: &Value, key: Option<&str>, paths: &BTreeMap<String, &str>) -> Value {
    match value {
        Value::String(text) => shorten(text, paths).into(),
        Value::Array(items) => {
            let max = if matches!(key, Some("availableModels" | "models")) { 4 } else { 12 };
            items.iter().take(max).map(|item| trim(item, None, paths)).collect()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), trim(value, Some(name), paths))).collect()
        }
        other => other.clone(),
    }
}

fn shorten(text: &str, paths: &BTreeMap<String, &str>) -> String {
    // The longest paths first.
    let text = paths
        .iter()
        .rev()
        .filter(|(path, _)| !path.is_empty())
        .fold(text.to_owned(), |text, (path, name)| text.replace(path, name));
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

macro_rules! recordings {
    ($($name:ident: $agent:ident),*) => {$(
        #[test]
        #[ignore = "writes crates/agent/tests/recorded; takes up to an hour"]
        fn $name() {
            record(&real_agent::$agent);
        }
    )*};
}

recordings! {
    record_opencode: OPENCODE,
    record_claude: CLAUDE,
    record_codex: CODEX,
    record_gemini: GEMINI,
    record_copilot: COPILOT,
    record_goose: GOOSE,
    record_qwen: QWEN,
    record_kimi: KIMI,
    record_vibe: VIBE
}
