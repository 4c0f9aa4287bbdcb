//! An agent of an issue in a sandbox: it does its work, and reaches nothing else. The crate `process` tests the sandbox itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kugetsu_testkit::model::script::{Script, Step};
use kugetsu_testkit::{ModelServer, Repository};
use serde_json::Value;

use crate::world::{World, script};

/// Each succeeds without a sandbox, in a shell in the agent's worktree. `$K` is kugetsu's home, `$U` the user's, `$O` the worktree
/// of another issue, and `$R` the user's repository.
const ATTEMPTS: &[(&str, &str)] = &[
    ("reads-a-key", "cat $U/.ssh/id_ed25519"),
    ("reads-a-token", "cat $K/env/default.env"),
    ("reads-a-token-of-git", "cat $U/.config/git/credentials"),
    ("reads-a-token-of-cargo", "cat $U/.cargo/credentials.toml"),
    ("reads-settings", "cat $K/config.toml"),
    ("changes-settings", "echo >> $K/config.toml"),
    ("reads-the-database", "head -c 10 $K/state/kugetsu.db"),
    ("reads-another-worktree", "cat $O/README.md"),
    ("writes-another-worktree", "echo x > $O/planted"),
    ("lists-worktrees", "ls $K/worktrees | grep -v \"^$(basename $PWD)$\""),
    ("reads-its-records", "cat $K/runs/*/records.jsonl"),
    ("writes-its-records", "for r in $K/runs/*/records.jsonl; do echo >> $r || exit 1; done"),
    ("reads-its-specification", "cat $K/runs/*/spec.json"),
    ("plants-context", "mkdir -p $K/base && echo x > $K/base/context.md && test -e $K/config.toml"),
    ("plants-a-skill", "mkdir -p $K/skills/pm && echo x > $K/skills/pm/SKILL.md && test -e $K/config.toml"),
    ("writes-the-mirror", "d=$(cat .git/objects/info/alternates) && echo x > $d/planted"),
    ("writes-the-repository", "echo x > $R/planted"),
    ("finds-the-socket", "test -S $K/daemon.sock"),
    ("uses-the-socket", "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('$K/daemon.sock')\""),
    ("sees-the-runner", "ps -e -o args | grep -v grep | grep -q 'kugetsu runner'"),
    ("kills-the-daemon", "kill -0 $DAEMON"),
    ("reads-an-environment", "cat /proc/$DAEMON/environ"),
    ("writes-a-profile", "echo x >> $U/.profile && grep -q mine $U/.profile"),
    ("mounts", "unshare -Urm true"),
];

/// A world with an issue that is done, a key and a token. The second one is where attempts leave their names.
fn world(choice: &str) -> (World, Repository, Value) {
    let mut world = World::new();
    world.home.unset("KUGETSU_RUN_SANDBOX");
    world.run(["config", "set", "run.sandbox", choice]);
    let repository = world.repository("demo");
    let user = world.home.user();
    // Programs that are directly in the home do not make all of it visible.
    world.home.prepend_path(&user);
    fs::create_dir(user.join(".ssh")).unwrap();
    fs::write(user.join(".ssh/id_ed25519"), "PRIVATE\n").unwrap();
    fs::write(user.join(".profile"), "mine\n").unwrap();
    for (directory, file) in [(".config/git", "credentials"), (".cargo", "credentials.toml")] {
        fs::create_dir_all(user.join(directory)).unwrap();
        fs::write(user.join(directory).join(file), "PRIVATE\n").unwrap();
    }
    fs::create_dir(user.join(".cargo/bin")).unwrap();
    world.home.prepend_path(user.join(".cargo/bin"));
    world.run(["env", "set", "GITHUB_TOKEN", "secret-of-the-host"]);
    // The scripted agent is not built in, so its directory has to be named.
    let sessions = user.join(".local/share/kugetsu-scripted-agent");
    fs::create_dir_all(&sessions).unwrap();
    world.run(["config", "set", "run.sandbox_writable", &format!("{:?}", [sessions])]);
    let (other, code) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    assert_eq!(code, 0, "{other}");
    (world, repository, other)
}

fn attempts(world: &World, repository: &Repository, other: &Value) -> Vec<String> {
    let (kugetsu, user) = (world.home.kugetsu(), world.home.user());
    let names = [
        ("K", kugetsu.to_str().unwrap().to_owned()),
        ("U", user.to_str().unwrap().to_owned()),
        ("O", other["worktree"].as_str().unwrap().to_owned()),
        ("R", repository.path().to_str().unwrap().to_owned()),
        ("DAEMON", world.daemon().to_string()),
    ];
    let names: String = names.iter().map(|(name, value)| format!("export {name}='{value}'; ")).collect();
    let attempts = ATTEMPTS
        .iter()
        .map(|(name, attempt)| format!("run {names}( {attempt} ) >/dev/null 2>&1 && echo attempted-{name}; true"));
    attempts.collect()
}

fn succeeded(world: &World, reference: &str) -> Vec<String> {
    let tools = world.records(reference, "tool_ended");
    let outputs = tools.iter().filter_map(|tool| tool["output"].as_str()).flat_map(str::lines);
    outputs.filter_map(|line| Some(line.trim().strip_prefix("attempted-")?.to_owned())).collect()
}

#[test]
fn sandboxed_agent_reaches_nothing_but_its_work() {
    let (world, repository, other) = world("required");
    let mut steps = attempts(&world, &repository, &other);
    steps.extend(["write b.txt b", "commit two"].map(str::to_owned));
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &true.into()), "{run}");
    assert_eq!(succeeded(&world, "local/demo#2"), Vec::<String>::new());
    assert!(world.run(["logs", "local/demo#2"]).contains("the agent runs in a sandbox, by namespaces"));
    assert_eq!(fs::read_to_string(world.home.user().join(".profile")).unwrap(), "mine\n");
    assert!(!repository.path().join("planted").exists());
    assert!(!PathBuf::from(other["worktree"].as_str().unwrap()).join("planted").exists());
    // Its session is resumed, and its worktree as well.
    let (again, code) = crate::world::ended(&world.attempt([
        "continue",
        "local/demo#2",
        &script(&["write c.txt c", "commit three"]),
        "--wait",
        "--json",
    ]));
    assert_eq!((again["state"].as_str(), code), (Some("done"), 0), "{again}");
    assert_eq!(again["session_id"], run["session_id"]);
}

#[test]
fn each_attempt_succeeds_without_a_sandbox() {
    let (world, repository, other) = world("off");
    let attempts = attempts(&world, &repository, &other);
    let steps: Vec<&str> = attempts.iter().map(String::as_str).collect();
    world.start(&repository, &script(&steps));
    let all: Vec<&str> = ATTEMPTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(succeeded(&world, "local/demo#2"), all);
}

#[test]
fn directories_can_be_added_to_the_sandbox() {
    let (world, repository, _) = world("best");
    let user = world.home.user();
    let (read, write) = (user.join("sdk"), user.join("cache"));
    fs::create_dir(&read).unwrap();
    fs::create_dir(&write).unwrap();
    fs::write(read.join("tool"), "#!/bin/sh\necho from the sdk\n").unwrap();
    fs::set_permissions(read.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let sessions = user.join(".local/share/kugetsu-scripted-agent");
    world.run(["config", "set", "run.sandbox_writable", &format!("{:?}", [&sessions, &write])]);
    world.run(["config", "set", "run.sandbox_readable", &format!("{:?}", [&read])]);
    let step = format!("run {0}/tool > {1}/out; echo x > {0}/planted; cat {1}/out", read.display(), write.display());
    let (run, _) = world.start(&repository, &script(&[&step]));
    assert_eq!(fs::read_to_string(write.join("out")).unwrap(), "from the sdk\n", "{run}");
    assert!(!read.join("planted").exists());
}

#[test]
fn needs_opencode_works_in_a_sandbox() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = crate::opencode::world(&model) else { return };
    world.run(["config", "set", "run.sandbox", "required"]);
    // The agent's own settings, beside which it installs something at its start.
    world.run(["env", "rm", "OPENCODE_CONFIG_CONTENT"]);
    let settings = world.home.user().join(".config/opencode");
    fs::create_dir_all(&settings).unwrap();
    fs::write(settings.join("opencode.json"), model.opencode_config()).unwrap();
    let repository = world.repository("demo");
    fs::create_dir(world.home.user().join(".ssh")).unwrap();
    fs::write(world.home.user().join(".ssh/id_ed25519"), "PRIVATE\n").unwrap();
    let look = Step::bash(
        "cat ~/.ssh/id_ed25519; echo x > ~/.config/opencode/planted; ls -a ~ > seen.txt; git log --oneline | wc -l >> seen.txt",
    );
    let commit = Step::bash("git add -A && git commit -qm 'look around'");
    let message = format!("do the job\n{}", Script::new([look, commit, Step::Say("Done.".to_owned())]).as_message());
    let (run, code) = world.start(&repository, &message);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    let seen = repository.show_text(run["branch"].as_str().unwrap(), "seen.txt");
    assert!(!seen.contains(".ssh"), "{seen}");
    assert!(!settings.join("planted").exists());
    assert!(!world.run(["logs", "local/demo#1", "--json"]).contains("PRIVATE"));
    assert!(run["usage"]["input_tokens"].as_u64().unwrap() > 0, "its record is read: {run}");
    let message = format!("more\n{}", Script::new([Step::Say("Still here.".to_owned())]).as_message());
    let (again, _) = crate::world::ended(&world.attempt(["continue", "local/demo#1", &message, "--wait", "--json"]));
    assert_eq!(again["session_id"], run["session_id"], "{again}");
}
