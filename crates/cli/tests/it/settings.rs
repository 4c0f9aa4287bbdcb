//! `kugetsu init`, `config` and `env`, and the home.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::{World, script, shown};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_creates_the_home_and_can_be_repeated() {
    let world = World::bare();
    let text = world.run(["init"]);
    let home = world.home.kugetsu();
    for name in ["config.toml", "env/default.env", "env/pm-agent.env", "base/context.md"] {
        assert!(home.join(name).exists(), "{name}: {text}");
    }
    assert_eq!(mode(&home.join("env/default.env")), 0o600);
    let config = std::fs::read_to_string(home.join("config.toml")).unwrap();
    for name in ["max", "default", "timeout", "silence"] {
        assert!(
            config.lines().any(|line| line.trim_start().starts_with('#') && line.contains(name)),
            "{name}: {config}"
        );
    }
    std::fs::write(home.join("base/context.md"), "mine\n").unwrap();
    world.run(["init"]);
    assert_eq!(std::fs::read_to_string(home.join("base/context.md")).unwrap(), "mine\n");
    world.run(["config", "set", "agents.max", "7"]);
    world.run(["init"]);
    assert_eq!(world.run(["config", "get", "agents.max"]).trim(), "7");
    let before = std::fs::read_to_string(home.join("config.toml")).unwrap();
    world.run(["init", "--force"]);
    let copy = std::fs::read_dir(home.join("backup")).unwrap().map(|entry| entry.unwrap().path());
    let copy: Vec<_> = copy.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert_eq!(copy.len(), 1);
    assert_eq!(std::fs::read_to_string(&copy[0]).unwrap(), before, "the old settings are kept");
    assert_eq!(world.run(["config", "get", "agents.max"]).trim(), "3", "--force rewrites the settings");
    assert_eq!(std::fs::read_to_string(home.join("base/context.md")).unwrap(), "mine\n");
}

#[test]
fn init_ignores_the_current_directory() {
    let world = World::new();
    let repository = world.repository("elsewhere");
    world.run_in(repository.path(), ["init"]);
    let other = world.repository("demo");
    let (run, _) = world.start(&other, &script(&["pwd"]));
    assert!(!world.agent_text("local/demo#1").contains("elsewhere"), "{run}");
    assert!(repository.git(["status", "--porcelain"]).is_empty());
}

#[test]
fn settings_have_names_defaults_and_sources() {
    let world = World::bare();
    let list = world.json(["config", "list", "--json"]);
    let text = list.to_string();
    for (name, value) in
        [("agents.max", "3"), ("agent.default", "opencode"), ("run.timeout", "1h"), ("run.silence", "10m")]
    {
        assert_eq!(world.run(["config", "get", name]).trim(), value);
        assert!(text.contains(name), "{text}");
    }
    world.run(["config", "set", "run.silence", "20s"]);
    assert_eq!(world.run(["config", "get", "run.silence"]).trim(), "20s");
    let typed = |name: &str| world.json(["config", "get", name, "--json"])["parsed"].clone();
    assert_eq!(
        ["agents.max", "run.silence", "gc.daily", "pm.model"].map(typed),
        [3.into(), 20.into(), true.into(), Value::Null]
    );
    for (name, value) in [("run.silence", "soon"), ("agents.max", "many"), ("run.timeout", "-1s"), ("no.such", "1")] {
        let failed = world.attempt(["config", "set", name, value]);
        assert_eq!(failed.status.code(), Some(2), "{name}={value}: {}", shown(&failed));
    }
    assert_eq!(world.run(["config", "get", "run.silence"]).trim(), "20s");
    // A field of an entry that does not set it.
    world.run(["config", "set", "servers.work.url", "https://git.example.com"]);
    assert_eq!(world.run(["config", "get", "servers.work.kind"]).trim(), "");
    assert_eq!(typed("servers.work.kind"), Value::Null);
    let failed = shown(&world.attempt(["config", "get", "servers.works.kind"]));
    assert!(failed.contains("no section [servers.works]") && failed.contains("did you mean `work`?"), "{failed}");
}

#[test]
fn settings_of_the_script_are_read_and_never_executed() {
    let world = World::bare();
    std::fs::create_dir_all(world.home.kugetsu()).unwrap();
    let old = "# mine\nexport MAX_CONCURRENT_AGENTS=5\nTASK_TIMEOUT_HOURS='2'\nX=$(touch hacked)\n";
    std::fs::write(world.home.kugetsu().join("config"), old).unwrap();
    assert_eq!(world.run(["config", "get", "agents.max"]).trim(), "5");
    assert_eq!(world.run(["config", "get", "run.timeout"]).trim(), "2h");
    world.run(["config", "set", "agents.max", "4"]);
    assert_eq!(world.run(["config", "get", "agents.max"]).trim(), "4", "config.toml wins");
    let mut command = world.command(&world.home.user(), ["config", "get", "agents.max"]);
    let output = world.home.run(command.env("KUGETSU_AGENTS_MAX", "9"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "9", "the environment wins over files");
    assert!(!world.home.user().join("hacked").exists());
}

#[test]
fn env_files_are_private_and_values_are_masked() {
    let world = World::bare();
    let mut set = world.command(&world.home.user(), ["env", "set", "MY_API_KEY", "-"]);
    let mut child = set.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"from-stdin-123\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(world.run(["env", "get", "MY_API_KEY"]).trim(), "from-stdin-123");
    assert!(!world.run(["env", "show"]).contains("from-stdin"));
    assert!(!world.run(["env", "list"]).contains("from-stdin"));
    assert_eq!(mode(&world.home.kugetsu().join("env/default.env")), 0o600);
    world.run(["env", "rm", "MY_API_KEY"]);
    assert_ne!(world.attempt(["env", "get", "MY_API_KEY"]).status.code(), Some(0));
}

#[test]
fn home_is_private_and_follows_kugetsu_home() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    assert_eq!(mode(&world.home.kugetsu().join("daemon.sock")) & 0o077, 0);
    assert!(!world.home.user().join(".kugetsu").exists());
    assert_eq!(mode(&world.home.kugetsu().join("worktrees")), 0o700);
}

#[test]
fn concurrent_changes_of_settings_are_not_lost() {
    let world = World::bare();
    world.run(["init"]);
    let numbers: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let names: Vec<String> = numbers.iter().map(|number| format!("N{number}")).collect();
    let urls: Vec<String> = numbers.iter().map(|number| format!("servers.s{number}.url")).collect();
    let commands = names.iter().zip(&numbers).map(|(name, number)| vec!["env", "set", name, number]);
    let commands = commands.chain(urls.iter().map(|name| vec!["config", "set", name, "https://git.example.com"]));
    let children: Vec<_> = commands
        .map(|args| {
            let mut command = world.command(&world.home.user(), args);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for (name, number) in names.iter().zip(&numbers) {
        assert_eq!(world.run(["env", "get", name]).trim(), number);
    }
    for name in &urls {
        assert_eq!(world.run(["config", "get", name]).trim(), "https://git.example.com");
    }
}

#[test]
fn a_line_that_is_not_utf_8_does_not_stop_a_run() {
    let world = World::new();
    world.run(["init"]);
    std::fs::write(world.home.kugetsu().join("env/default.env"), b"# caf\xe9\nMINE=1\n").unwrap();
    std::fs::write(world.home.kugetsu().join("config"), b"# caf\xe9\nMAX_CONCURRENT_AGENTS=5\n").unwrap();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["env MINE"]));
    assert_eq!(code, 0, "{run}");
    assert!(world.agent_text("local/demo#1").contains("MINE=1"));
    assert_eq!(world.run(["config", "get", "agents.max"]).trim(), "5");
    let doctor = world.attempt(["doctor"]);
    assert!(
        String::from_utf8_lossy(&doctor.stdout).contains("default.env:1: line ignored: not valid UTF-8"),
        "{}",
        shown(&doctor)
    );
}

#[test]
fn url_with_a_password_is_rejected_and_not_printed() {
    let world = World::new();
    let repository = world.repository("demo");
    for args in [
        vec!["config", "set", "servers.work.url", "https://bot:topsecret@git.example.com"],
        vec!["start", ".", "fix it", "https://bot:topsecret@git.example.com/a/b/pulls/3"],
        vec!["start", ".", "fix it", "https://git.example.com/a/b/pulls/3?token=topsecret"],
    ] {
        let failed = world.try_in(repository.path(), args);
        assert_eq!(failed.status.code(), Some(2), "{}", shown(&failed));
        assert!(!shown(&failed).contains("topsecret"), "{}", shown(&failed));
    }
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    assert!(!std::fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap().contains("topsecret"));
}

#[test]
fn a_relative_home_is_refused() {
    let mut world = World::bare();
    world.home.set("KUGETSU_HOME", "kugetsu");
    for arguments in [&["status"][..], &["init"], &["doctor", "--offline"]] {
        let output = world.attempt(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        let text = shown(&output);
        assert!(
            text.contains("KUGETSU_HOME is not an absolute path: kugetsu") && text.contains("$PWD/kugetsu"),
            "{text}"
        );
    }
    assert!(!world.home.user().join("kugetsu").exists());
}

#[test]
fn a_home_that_others_can_change_is_protected_with_a_warning() {
    let world = World::new();
    let home = world.home.kugetsu();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = world.attempt(["status"]);
    assert!(
        output.status.success() && shown(&output).contains("could be changed by other users"),
        "{}",
        shown(&output)
    );
    assert_eq!(mode(&home) & 0o022, 0);
    assert!(!shown(&world.attempt(["status"])).contains("other users"));
}

#[test]
fn needs_root_a_home_of_another_user_is_refused() {
    let world = World::new();
    std::os::unix::fs::chown(world.home.kugetsu(), Some(12345), None).unwrap();
    let output = world.attempt(["status"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("belongs to another user") && shown(&output).contains("12345"),
        "{}",
        shown(&output)
    );
}

#[test]
fn settings_in_a_pipe_are_an_error_and_nothing_hangs() {
    for name in ["config.toml", "config", "repos.json", "env/default.env"] {
        let world = World::new();
        let path = world.home.kugetsu().join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let output = world.attempt(["status"]);
        let text = shown(&output);
        assert_ne!(output.status.code(), Some(0), "{name}: {text}");
        assert!(text.contains("not a regular file") && text.contains(name), "{name}: {text}");
    }
}

#[test]
fn every_command_warns_about_broken_settings() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let config = world.home.kugetsu().join("config.toml");
    let valid = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{valid}\n[run]\nsilence = \"nö\"\n")).unwrap();
    world.attempt(["status"]);
    for arguments in [
        &["start", ".", "more"][..],
        &["continue", "local/demo#1", "more"],
        &["list"],
        &["queue", "list"],
        &["why", "local/demo#1"],
        &["logs", "local/demo#1"],
        &["status"],
        &["diff", "local/demo#1"],
        &["path", "local/demo#1"],
        &["push", "local/demo#1"],
        &["queue", "show", "local/demo#1"],
        &["queue", "clean"],
        &["rescue", "list"],
        &["repo", "list"],
        &["daemon", "status"],
    ] {
        let text = shown(&world.try_in(repository.path(), arguments));
        assert_eq!(text.matches("the last valid settings stay in effect").count(), 1, "{arguments:?}: {text}");
        assert!(text.contains("run.silence"), "{arguments:?}: {text}");
    }
}

#[test]
fn pipe_at_a_file_of_the_daemon_is_named_and_stays() {
    for name in ["daemon.starting", "logs/daemon.log", "daemon.sock"] {
        let world = World::new();
        let path = world.home.kugetsu().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let output = world.attempt(["daemon", "start"]);
        let text = shown(&output);
        assert_ne!(output.status.code(), Some(0), "{name}: {text}");
        assert!(text.contains(name) && text.contains("move it away"), "{name}: {text}");
        assert!(std::os::unix::fs::FileTypeExt::is_fifo(&path.metadata().unwrap().file_type()), "{name}");
    }
}
