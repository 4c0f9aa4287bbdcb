//! `kugetsu agents`, and the agent that is used if none is set.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kugetsu_testkit::scripted_agent;
use serde_json::Value;

use crate::world::{World, script, shown};

fn install(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A world without settings, and a directory that is first on its PATH.
fn bare() -> (World, PathBuf) {
    let mut world = World::bare();
    let programs = world.home.folder("programs");
    world.home.prepend_path(&programs);
    (world, programs)
}

#[track_caller]
fn agent(all: &Value, name: &str) -> Value {
    let found = all.as_array().unwrap().iter().find(|agent| agent["name"] == name);
    found.cloned().unwrap_or_else(|| panic!("{name}: {all}"))
}

#[test]
fn agents_are_listed_with_version_login_and_runtime() {
    let (mut world, programs) = bare();
    world.home.set("PATH", &programs);
    install(&programs, "claude-agent-acp", "#!/bin/sh\necho 0.101.0\n");
    install(&programs, "codex-acp", "#!/usr/bin/env node\n");
    install(&programs, "qwen", "#!/bin/sh\necho broken >&2; exit 3\n");
    world.run(["env", "set", "CLAUDE_CODE_OAUTH_TOKEN", "never-shown-123", "claude"]);
    world.run(["config", "set", "agents.mine.program", "my-agent"]);

    let all = world.json(["agents", "--json"]);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["opencode", "claude", "codex", "gemini", "copilot", "goose", "qwen", "kimi", "vibe", "mine"]);
    let claude = agent(&all, "claude");
    assert_eq!((&claude["version"], &claude["login"]), (&"0.101.0".into(), &"logged in".into()), "{claude}");
    assert_eq!(claude["default"], true, "{claude}");
    let codex = agent(&all, "codex");
    assert!(codex["runtime"]["problem"].as_str().unwrap().contains("not on PATH"), "{codex}");
    assert_eq!((&codex["version"], &codex["login"]), (&Value::Null, &"not logged in".into()), "{codex}");
    assert_eq!(agent(&all, "qwen")["version"], Value::Null);
    assert_eq!(agent(&all, "opencode")["program"], Value::Null);
    assert_eq!(agent(&all, "mine")["tokens"], "unknown");
    assert!(!all.to_string().contains("never-shown"));

    let table = world.run(["agents"]);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("claude *").contains("0.101.0"), "{table}");
    assert!(line("codex").contains("no node"), "{table}");
    assert!(line("gemini").contains("not installed"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");

    let text = world.run(["agents", "show", "codex"]);
    for part in ["npm install -g @agentclientprotocol/codex-acp", "codex-acp login", "its own sandbox refuses"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let unknown = world.attempt(["agents", "show", "codx"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", shown(&unknown));
}

#[test]
fn first_task_keeps_the_agent_that_was_chosen() {
    let (world, programs) = bare();
    let program = scripted_agent();
    let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display());
    // Its login is not known.
    install(&programs, "copilot", &text);
    install(&programs, "goose", &text);
    world.run(["env", "set", "GOOSE_PROVIDER", "openai", "goose"]);
    assert_eq!(world.run(["config", "get", "agent.default"]).trim(), "goose");
    assert!(world.run(["config", "list"]).contains("first installed"));
    let repository = world.repository("demo");
    let start = || world.try_in(repository.path(), ["start", ".", &script(&["say hello"])]);

    let first = shown(&start());
    assert!(first.contains("goose is now the default agent") && first.contains("config set agent.default"), "{first}");
    let config = fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap();
    assert!(config.contains("default = \"goose\""), "{config}");
    let second = shown(&start());
    assert!(!second.contains("default agent"), "it is printed once: {second}");

    // It comes first, and needs no login.
    install(&programs, "opencode", &text);
    assert_eq!(world.run(["config", "get", "agent.default"]).trim(), "goose");
    assert_eq!(world.latest("local/demo#1")["agent"], "goose");
    assert!(world.run(["status"]).contains("default agent goose"));
}

#[test]
fn token_of_a_forge_reaches_copilot_from_its_own_env_file_only() {
    let (mut world, programs) = bare();
    let program = scripted_agent().display().to_string();
    // With `--resume` it is its own user interface.
    let text = format!(
        "#!/bin/sh\n[ \"$1\" != --resume ] || {{ echo \"screen $GITHUB_TOKEN, $GH_TOKEN\"; exit; }}\nexec '{program}' acp\n"
    );
    install(&programs, "copilot", &text);
    install(&programs, "goose", &text);
    install(&programs, "opencode", &text);
    world.home.set("GH_TOKEN", "of-the-user-1");
    world.run(["env", "set", "GITHUB_TOKEN", "of-the-forge-1"]);
    world.run(["config", "set", "agent.default", "copilot"]);
    let repository = world.repository("demo");
    let message = script(&["env GITHUB_TOKEN", "env GH_TOKEN", "usage 0 10 20"]);
    let text = |issue: &str| world.agent_text(issue);

    world.start(&repository, &message);
    let issue = "local/demo#1";
    assert!(text(issue).contains("GITHUB_TOKEN is not set"), "{}", text(issue));
    assert!(text(issue).contains("GH_TOKEN is not set"), "{}", text(issue));
    let steps = world.records(issue, "step");
    let says = |part: &str| steps.iter().position(|step| step["text"].as_str().unwrap().contains(part));
    let withheld = says("copilot does not get GH_TOKEN, GITHUB_TOKEN");
    // The latest step is what `kugetsu why` shows.
    assert!(withheld.is_some() && withheld < says("starting copilot"), "{steps:?}");
    assert_eq!(world.run(["attach", issue]), "screen , \n");
    assert!(world.run(["agents", "show", "copilot"]).contains("env set GH_TOKEN - copilot"));

    // Copilot cannot be the coordinator.
    world.run(["config", "set", "pm.agent", "opencode"]);
    let delegated = world.attempt(["delegate", &message, "--wait"]);
    assert!(text("pm").contains("GITHUB_TOKEN is not set"), "{} {}", text("pm"), shown(&delegated));
    let goose = |number: u32| {
        world.run_in(repository.path(), ["start", ".", &message, "--agent", "goose", "--wait"]);
        text(&format!("local/demo#{number}"))
    };
    let kept = goose(2);
    assert!(kept.contains("GITHUB_TOKEN is not set") && kept.contains("GH_TOKEN=***"), "only a server's token: {kept}");
    world.run(["config", "set", "run.credentials", "env"]);
    let given = goose(3);
    assert!(given.contains("GITHUB_TOKEN=***"), "{given}");

    world.run(["env", "set", "GITHUB_TOKEN", "of-copilot-1", "copilot"]);
    world.run_in(repository.path(), ["start", ".", &message, "--wait"]);
    let own = text("local/demo#4");
    assert!(own.contains("GITHUB_TOKEN=***") && own.contains("GH_TOKEN is not set"), "{own}");
    assert_eq!(world.run(["attach", "local/demo#4"]), "screen of-copilot-1, \n");
}

#[test]
fn setting_keeps_agents_from_naming_themselves_in_commits() {
    let (world, programs) = bare();
    let text = format!("#!/bin/sh\nexec '{}' acp\n", scripted_agent().display());
    let run =
        "run echo signature=$VIBE_INCLUDE_COMMIT_SIGNATURE; cat \"$QWEN_CODE_SYSTEM_DEFAULTS_PATH\" 2> /dev/null; true";
    let message = script(&[run, "usage 0 10 20", "say done"]);
    let repository = world.repository("demo");
    let outputs = |agent: &str, number: usize| {
        install(&programs, if agent == "vibe" { "vibe-acp" } else { agent }, &text);
        world.try_in(repository.path(), ["start", ".", &message, "--agent", agent, "--wait"]);
        let issue = format!("local/demo#{number}");
        let prompt = world.records(&issue, "prompt")[0]["text"].as_str().unwrap().to_owned();
        (format!("{:?}", world.records(&issue, "tool_ended")), prompt.contains("not to name yourself"))
    };
    let (kept, prompted) = outputs("vibe", 1);
    assert!(!kept.contains("signature=false") && !prompted, "{kept}");
    world.run(["config", "set", "run.agent_trailers", "remove"]);
    let (removed, prompted) = outputs("vibe", 2);
    assert!(removed.contains("signature=false") && prompted, "{removed}");
    let (removed, _) = outputs("qwen", 3);
    assert!(removed.contains("gitCoAuthor"), "{removed}");
    world.run(["env", "set", "QWEN_CODE_SYSTEM_DEFAULTS_PATH", "/dev/null", "qwen"]);
    let (users, _) = outputs("qwen", 4);
    assert!(!users.contains("gitCoAuthor"), "the user's own file: {users}");
}

#[test]
fn task_without_any_agent_is_refused_with_what_to_install() {
    let mut world = World::bare();
    world.home.set("PATH", "/usr/bin:/bin");
    let repository = world.repository("demo");
    let refused = world.try_in(repository.path(), ["start", ".", "hello"]);
    let text = shown(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("npm install -g opencode-ai") && text.contains("`kugetsu agents`"), "{text}");
    let config = fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap_or_default();
    assert!(!config.contains("\ndefault ="), "{config}");
}

/// The program of an agent that does what `kugetsu agents try` asks for: the scripted agent behind a filter that adds scripts to
/// the messages.
fn obedient() -> String {
    let script = |steps: [&str; 4]| steps.map(|step| format!("\\\\nkugetsu-script: {step}")).concat();
    let first = script(["run echo the first line > kugetsu-try.txt", "commit first", "usage 0 10 20", "say done"]);
    let second = script(["run echo the second line >> kugetsu-try.txt", "commit second", "usage 0 10 20", "say done"]);
    let program = scripted_agent().display().to_string();
    format!(
        "#!/bin/sh\n[ \"$1\" = acp ] || exec '{program}' \"$@\"\n\
         sed -u -e 's/Do nothing else\\./{first}/' -e 's/commit it: the second line/{second}/' | '{program}' acp\n"
    )
}

/// A world with an own agent whose program has this text.
fn with_mine(text: &str) -> World {
    let mut world = World::bare();
    // The directory of its sessions is known only to itself.
    world.home.set("KUGETSU_RUN_SANDBOX", "off");
    let folder = world.home.folder("mine");
    install(&folder, "agent", text);
    let program = folder.join("agent").display().to_string();
    world.run(["config", "set", "agents.mine.program", &program]);
    world.run(["config", "set", "agents.mine.args", "[\"acp\"]"]);
    world
}

#[track_caller]
fn outcome<'a>(trial: &'a Value, name: &str) -> &'a str {
    let found = trial["steps"].as_array().unwrap().iter().find(|step| step["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {trial}"))["outcome"].as_str().unwrap()
}

#[test]
fn agent_that_works_passes_its_test_and_leaves_nothing() {
    let world = with_mine(&obedient());
    let output = world.attempt(["agents", "try", "mine", "--json"]);
    let trial: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    for name in ["session", "answers", "commits", "continues", "tokens", "ends"] {
        assert_eq!(outcome(&trial, name), "ok", "{name}: {trial}");
    }
    assert_eq!((output.status.code(), &trial["kept"]), (Some(0), &Value::Null), "{trial}");
    assert!(shown(&output).contains("uses tokens"), "the notice comes first");
    assert_eq!(world.json(["list", "--json"]), Value::Array(Vec::new()), "nothing in the user's home");
}

#[test]
fn agent_that_fails_its_test_is_shown_with_the_reason() {
    let world = with_mine("#!/bin/sh\necho no model here >&2\nexit 3\n");
    world.run(["env", "set", "MY_API_KEY", "secret-123456", "mine"]);
    let output = world.attempt(["agents", "try", "mine", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let trial: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((outcome(&trial, "session"), outcome(&trial, "ends")), ("failed", "ok"), "{trial}");
    assert!(trial.to_string().contains("no model here"), "{trial}");
    let kept = Path::new(trial["kept"].as_str().unwrap());
    assert!(kept.join("home/runs").is_dir() && !kept.join("home/env").exists(), "secrets are not kept");
    fs::remove_dir_all(kept).unwrap();
}
