//! `kugetsu doctor`: its checks, messages and repairs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::{ForgeServer, GitServer, Repository, eventually};
use serde_json::Value;

use crate::world::{World, is_alive, script, shown, tamper};

/// Runs doctor and returns its checks and exit code.
#[track_caller]
fn doctor(world: &World, options: &[&str]) -> (Vec<Value>, i32) {
    let all = ["doctor", "--json"].iter().chain(options);
    let output = world.attempt(all);
    let checks: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    let bad = checks.iter().any(|check| check["state"] == "bad");
    assert_eq!(output.status.code(), Some(i32::from(bad)), "{}", shown(&output));
    for check in &checks {
        assert!(
            check["state"] == "ok"
                || check["state"] == "unknown"
                || check["repair"].is_string()
                || check["fixed"].is_string(),
            "{check}"
        );
    }
    (checks, i32::from(bad))
}

/// The check with this id whose subject contains `subject`.
#[track_caller]
fn check(checks: &[Value], id: &str, subject: &str) -> Value {
    let is_it = |check: &&Value| check["id"] == id && check["subject"].as_str().unwrap().contains(subject);
    checks.iter().find(is_it).cloned().unwrap_or_else(|| panic!("{id} {subject}: {checks:#?}"))
}

#[track_caller]
fn assert_state(checks: &[Value], id: &str, subject: &str, state: &str, parts: &[&str]) {
    let check = check(checks, id, subject);
    assert_eq!(check["state"], state, "{check}");
    for part in parts {
        assert!(check.to_string().contains(part), "{part}: {check}");
    }
}

fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn checks_of_a_working_machine_are_ok_and_ordered() {
    let world = World::new();
    world.run(["init"]);
    world.start(&world.repository("demo"), &script(&["say hello"]));
    let (checks, code) = doctor(&world, &[]);
    assert_eq!(code, 0, "{checks:#?}");
    for (id, subject) in [
        ("git.version", "git"),
        ("git.identity", "git"),
        ("agent.program", "scripted"),
        ("home.place", "kugetsu"),
        ("home.private", "kugetsu"),
        ("database", "kugetsu.db"),
        ("settings", "config.toml"),
        ("env.file", "default.env"),
        ("daemon", ""),
        ("server", "github.com"),
        ("orphan.processes", ""),
        ("orphan.worktrees", "worktrees"),
        ("orphan.runs", "runs"),
        ("orphan.mirrors", "mirrors"),
    ] {
        if (id, subject) != ("home.private", "kugetsu") {
            assert_state(&checks, id, subject, "ok", &[]);
        }
    }
    assert_state(&checks, "agent.login", "scripted", "unknown", &["not known"]);
    let at = |id: &str| checks.iter().position(|check| check["id"] == id).unwrap();
    let order = [
        "git.version",
        "agent.program",
        "home.place",
        "database",
        "settings",
        "daemon",
        "kernel.processes",
        "server",
        "orphan.processes",
    ];
    assert!(order.windows(2).all(|two| at(two[0]) < at(two[1])), "{checks:#?}");
    let text = world.run(["doctor"]);
    assert!(text.starts_with("ok    git: "), "{text}");
}

#[test]
fn doctor_creates_the_home_only_with_fix() {
    let mut world = World::bare();
    let home = world.home.path().join("not-yet");
    world.home.set("KUGETSU_HOME", &home);
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "home.place", "not-yet", "ok", &["does not exist yet"]);
    assert!(!home.exists());
    doctor(&world, &["--offline", "--fix"]);
    assert!(home.join("worktrees").is_dir());
}

#[test]
fn only_a_missing_default_agent_is_bad() {
    let mut world = World::new();
    let path = world.home.kugetsu().join("config.toml");
    let config = fs::read_to_string(&path).unwrap() + "\n[agents.other]\nprogram = \"no-such-agent\"\n";
    fs::write(&path, config).unwrap();
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0);
    assert_state(&checks, "agent.program", "other", "warning", &["no-such-agent"]);
    world.home.set("PATH", "/usr/bin:/bin");
    world.run(["config", "set", "agent.default", "opencode"]);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1);
    assert_state(&checks, "agent.program", "opencode", "bad", &["npm install"]);
    world.run(["config", "set", "agent.default", "unknown"]);
    assert_state(
        &doctor(&world, &["--offline"]).0,
        "agent.program",
        "unknown",
        "bad",
        &["unknown", "opencode", "config set agent.default"],
    );
}

#[test]
fn agents_are_looked_up_with_the_variables_of_their_env_files() {
    let world = World::new();
    let programs = world.home.folder("programs");
    program(&programs, "hidden-agent", "#!/bin/sh\necho \"1.0-$CUSTOMER\"\n");
    world.run(["config", "set", "agents.hidden.program", "hidden-agent"]);
    assert_state(&doctor(&world, &["--offline"]).0, "agent.program", "hidden", "warning", &["not installed"]);
    world.run(["env", "set", "PATH", &format!("{}:/usr/bin:/bin", programs.display()), "hidden"]);
    world.run(["env", "set", "CUSTOMER", "acme", "hidden"]);
    assert_state(&doctor(&world, &["--offline"]).0, "agent.program", "hidden", "ok", &["1.0-acme"]);
    // Its env file also wins over that of all agents.
    world.run(["env", "set", "CUSTOMER", "other"]);
    assert_state(&doctor(&world, &["--offline"]).0, "agent.program", "hidden", "ok", &["1.0-acme"]);
}

#[test]
fn opencode_is_checked_for_version_and_login() {
    let mut world = World::bare();
    let programs = world.home.folder("programs");
    program(&programs, "opencode", "#!/bin/sh\necho 0.0.1\n");
    world.home.prepend_path(&programs);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0);
    assert_state(&checks, "agent.program", "opencode", "warning", &["0.0.1", "tested"]);
    assert_state(&checks, "agent.login", "opencode", "unknown", &["opencode auth login"]);
    let data = world.home.user().join(".local/share/opencode");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("auth.json"), r#"{"acme": {"type": "api", "key": "never-shown-123"}}"#).unwrap();
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "agent.login", "opencode", "ok", &["auth.json"]);
    assert!(!format!("{checks:?}").contains("never-shown"));
    program(&programs, "opencode", "#!/bin/sh\necho broken >&2; exit 3\n");
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1);
    assert_state(&checks, "agent.program", "opencode", "bad", &["broken"]);
}

#[test]
fn agents_that_are_installed_are_checked_and_no_others() {
    let mut world = World::new();
    let programs = world.home.folder("programs");
    program(&programs, "claude-agent-acp", "#!/bin/sh\necho 0.101.0\n");
    program(&programs, "kimi", "#!/usr/bin/env node\n");
    program(&programs, "node", "#!/bin/sh\necho v20.1.0\n");
    world.home.prepend_path(&programs);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0, "the default agent works");
    assert_state(&checks, "agent.program", "claude", "ok", &["0.101.0"]);
    assert_state(&checks, "agent.login", "claude", "unknown", &["not logged in", "CLAUDE_CODE_OAUTH_TOKEN"]);
    assert_state(&checks, "agent.runtime", "kimi", "warning", &["22.19", "20.1.0", "install node"]);
    let is_about = |name: &str| checks.iter().any(|check| check["subject"].as_str().unwrap().starts_with(name));
    assert!(!is_about("gemini") && !is_about("vibe"), "{checks:#?}");
    world.run(["config", "set", "agent.default", "kimi"]);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1);
    assert_state(&checks, "agent.runtime", "kimi", "bad", &["22.19"]);
    assert_state(&checks, "agent.login", "kimi", "warning", &["not logged in", "kimi login"]);
    assert_state(&checks, "agent.exceptions", "kimi", "ok", &["without a question"]);
}

#[test]
fn login_of_the_coordinator_has_its_own_env_file() {
    let mut world = World::new();
    let programs = world.home.folder("programs");
    program(&programs, "claude-agent-acp", "#!/bin/sh\necho 0.101.0\n");
    world.home.prepend_path(&programs);
    world.run(["config", "set", "pm.agent", "claude"]);
    let subject = "claude (coordinator)";
    assert_state(&doctor(&world, &["--offline"]).0, "agent.login", subject, "warning", &["not logged in"]);
    world.run(["env", "set", "ANTHROPIC_API_KEY", "x", "pm-agent"]);
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "agent.login", subject, "ok", &["ANTHROPIC_API_KEY"]);
    assert_state(&checks, "agent.login", "claude", "unknown", &["not logged in"]);
}

#[test]
fn an_agent_missing_on_the_path_of_the_daemon_is_bad() {
    let mut world = World::bare();
    world.run(["daemon", "start"]);
    let programs = world.home.folder("programs");
    program(&programs, "only-here", "#!/bin/sh\necho 1\n");
    world.home.prepend_path(&programs);
    fs::write(
        world.home.kugetsu().join("config.toml"),
        "[agent]\ndefault = \"only-here\"\n[agents.only-here]\nprogram = \"only-here\"\n",
    )
    .unwrap();
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1, "the daemon would not find it");
    assert_state(&checks, "agent.path", "only-here", "bad", &["kugetsu daemon stop"]);
    world.run(["daemon", "stop"]);
    assert_eq!(doctor(&world, &["--offline"]).1, 0);
}

#[test]
fn an_outdated_git_is_bad() {
    let mut world = World::new();
    let programs = world.home.folder("programs");
    program(&programs, "git", "#!/bin/sh\necho git version 2.20.1\n");
    world.home.prepend_path(&programs);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1);
    assert_state(&checks, "git.version", "git", "bad", &["2.20.1", "2.38"]);
}

#[test]
fn a_git_without_identity_is_a_warning() {
    let world = World::new();
    let mut command = world.command(&world.home.user(), ["doctor", "--offline"]);
    let output = world.home.run(command.env("GIT_CONFIG_GLOBAL", "/dev/null"));
    assert!(
        shown(&output).contains("warn  git: user.name and user.email are not set")
            && shown(&output).contains("user.email"),
        "{}",
        shown(&output)
    );
}

#[test]
fn servers_with_a_token_are_asked_for_its_user() {
    let world = World::new();
    let (known, wrong, other) = (ForgeServer::gitea(), ForgeServer::gitlab(), ForgeServer::forgejo());
    known.token("good-token-123", "robot");
    other.token("good-token-789", "robot");
    for (name, server, kind, token) in [
        ("known", &known, "gitea", "good-token-123"),
        ("wrong", &wrong, "gitlab", "bad-token-456"),
        ("other", &other, "gitea", "good-token-789"),
    ] {
        let variable = format!("{}_TOKEN", name.to_uppercase());
        world.run(["server", "add", name, &server.base_url(), "--kind", kind, "--token-env", &variable]);
        world.run(["env", "set", &variable, token]);
    }
    world.run(["server", "add", "away", "http://127.0.0.1:9", "--kind", "gitea", "--token-env", "AWAY_TOKEN"]);
    world.run(["env", "set", "AWAY_TOKEN", "away-token-000"]);
    world.run(["server", "add", "quiet", "http://127.0.0.1:10", "--kind", "github"]);
    let (checks, code) = doctor(&world, &[]);
    assert_eq!(code, 1);
    assert_state(&checks, "server", "known", "ok", &["robot", "1.24.2"]);
    assert_state(&checks, "server", "wrong", "bad", &["WRONG_TOKEN", "kugetsu env set WRONG_TOKEN -"]);
    assert_state(&checks, "server", "other", "warning", &["forgejo", "--kind forgejo"]);
    assert_state(&checks, "server", "away", "warning", &["kugetsu server get away"]);
    assert_state(&checks, "server", "quiet", "ok", &["GITHUB_TOKEN is not set"]);
    assert!(!format!("{checks:?}").contains("-token-"), "{checks:?}");
    for (server, own) in [(&known, "good-token-123"), (&wrong, "bad-token-456"), (&other, "good-token-789")] {
        for request in server.requests() {
            let others = ["good-token-123", "bad-token-456", "good-token-789", "away-token-000"];
            assert!(others.iter().all(|token| *token == own || !request.contains(token)), "{request:?}");
        }
    }
    let before = known.requests().len();
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!((code, known.requests().len()), (0, before));
    assert_state(&checks, "server", "known", "unknown", &["--offline"]);
}

#[test]
fn a_server_that_does_not_respond_times_out() {
    let world = World::new();
    let slow = ForgeServer::gitea();
    slow.fail_at("/user", Fault::Late(Duration::from_secs(120)));
    world.run(["server", "add", "slow", &slow.base_url(), "--kind", "gitea"]);
    world.run(["env", "set", "GITEA_TOKEN", "slow-token-123"]);
    let started = Instant::now();
    let (checks, _) = doctor(&world, &[]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_state(&checks, "server", "slow", "warning", &["10 s"]);
}

#[test]
fn a_missing_token_is_a_warning_only_for_servers_in_use() {
    let world = World::new();
    let server = GitServer::start("the-token-123");
    server.add_repository_from("acme/api", &Repository::with_commit());
    world.run(["server", "add", "work", &server.base_url(), "--kind", "gitea"]);
    assert_state(&doctor(&world, &["--offline"]).0, "server", "work", "ok", &["GITEA_TOKEN is not set"]);
    world.run(["env", "set", "GITEA_TOKEN", "the-token-123"]);
    world.run(["start", &format!("{}/acme/api/issues/1", server.base_url()), &script(&["say hello"]), "--wait"]);
    world.run(["env", "rm", "GITEA_TOKEN"]);
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0);
    assert_state(&checks, "server", "work", "warning", &["acme/api", "env set GITEA_TOKEN -"]);
}

#[test]
fn leftover_processes_of_ended_runs_are_found_and_killed() {
    let world = World::new();
    let (run, _) = world.start(&world.repository("demo"), &script(&["say hello"]));
    let id = run["run"].as_str().or(run["run_id"].as_str()).expect("the run").to_owned();
    let home = kugetsu_api::home::Home::new(world.home.kugetsu());
    let suffix = kugetsu_api::location::Location::of(&home).unwrap().suffix();
    let own = format!("{id}{suffix}");
    let mut stray = world.home.command("sleep").arg("600").env("KUGETSU_RUN", &own).process_group(0).spawn().unwrap();
    // A run of the same name in a copy of the home is not this home's.
    let copy = world
        .home
        .command("sleep")
        .arg("602")
        .env("KUGETSU_RUN", format!("{id}.0123456789abcdef"))
        .process_group(0)
        .spawn()
        .unwrap();
    // A run of another home must be left alone.
    let unknown_run = format!("0190a000-0000-7000-8000-000000000000{suffix}");
    let other =
        world.home.command("sleep").arg("601").env("KUGETSU_RUN", unknown_run).process_group(0).spawn().unwrap();
    let pid = i32::try_from(stray.id()).unwrap();
    let found = eventually("the stray process to be reported", || {
        let (checks, _) = doctor(&world, &["--offline"]);
        let found = check(&checks, "orphan.processes", "");
        if found["state"] == "warning" { Ok(found) } else { Err(found) }
    });
    assert!(found["said"].as_str().unwrap().contains(&pid.to_string()), "{found}");
    assert!(is_alive(pid), "a check kills nothing");
    let (checks, _) = doctor(&world, &["--offline", "--fix"]);
    assert_state(&checks, "orphan.processes", "", "ok", &["killed"]);
    stray.wait().unwrap();
    for mut spared in [copy, other] {
        assert!(is_alive(i32::try_from(spared.id()).unwrap()));
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
    assert_state(&doctor(&world, &["--offline"]).0, "orphan.processes", "", "ok", &["no leftover processes"]);
}

#[test]
fn processes_of_live_runs_are_no_orphans() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let (checks, _) = doctor(&world, &["--offline", "--fix"]);
    assert_state(&checks, "orphan.processes", "", "ok", &["no leftover processes"]);
    assert_state(&checks, "orphan.worktrees", "", "ok", &[]);
    world.kill_daemon();
    let (checks, _) = doctor(&world, &["--offline", "--fix"]);
    assert_state(&checks, "orphan.processes", "", "warning", &["kugetsu daemon start"]);
    assert_state(&checks, "daemon", "", "ok", &["removed the socket"]);
    world.release_agents();
    world.run(["daemon", "start"]);
    world.await_state(&reference, "done");
}

#[test]
fn orphaned_directories_are_reported_and_quarantined_by_the_next_daemon() {
    let world = World::new();
    world.start(&world.repository("demo"), &script(&["write a.txt a"]));
    let home = world.home.kugetsu();
    let run = home.join("runs/0190a000-0000-7000-8000-000000000000");
    let kept =
        [home.join("worktrees/lost-1"), home.join("gates/lost-1"), home.join("mirrors/lost"), home.join("runs/mine")];
    for directory in kept.iter().chain([&run]) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("work.txt"), "work").unwrap();
    }
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0);
    for id in ["orphan.worktrees", "orphan.gates", "orphan.mirrors"] {
        assert_state(&checks, id, "", "warning", &["lost"]);
        assert!(!check(&checks, id, "")["said"].as_str().unwrap().contains("demo"), "{checks:#?}");
    }
    assert_state(&checks, "orphan.runs", "", "warning", &["0190a000", "quarantine"]);
    assert!(run.exists());
    doctor(&world, &["--offline", "--fix"]);
    assert!(kept.iter().chain([&run]).all(|directory| directory.join("work.txt").exists()), "doctor removes no work");
    world.run(["daemon", "stop"]);
    world.run(["daemon", "start"]);
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "orphan.runs", "", "ok", &[]);
    assert_state(&checks, "orphan.worktrees", "", "ok", &[]);
    assert_state(&checks, "orphan.mirrors", "", "warning", &["lost"]);
    let names = ["run 0190a000", "worktree lost-1", "relay lost-1", "db rebuild"];
    assert_state(&checks, "quarantine", "", "warning", &names);
    assert!(!run.exists() && !kept[0].exists() && !kept[1].exists() && kept[2].exists() && kept[3].exists());
    assert!(world.worktree("local/demo#1").join("a.txt").exists());
}

#[test]
fn permissions_are_repaired_and_opencodes_database_is_not_touched() {
    let world = World::new();
    world.run(["init"]);
    let home = world.home.kugetsu();
    let data = world.home.user().join(".local/share/opencode");
    fs::create_dir_all(&data).unwrap();
    let database = data.join("opencode.db");
    fs::write(&database, "not to be read, not to be written").unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o666)).unwrap();
    let before = fs::metadata(&database).unwrap().modified().unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let env = home.join("env/default.env");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o644)).unwrap();
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "home.private", "", "warning", &["chmod 700"]);
    assert_state(&checks, "env.private", "default.env", "warning", &["chmod 600"]);
    assert_eq!((mode(&home), mode(&env)), (0o755, 0o644));
    fs::create_dir_all(home.join("runs/0190a000-0000-7000-8000-000000000000")).unwrap();
    for options in [&["--offline", "--fix-permissions"][..], &["--offline", "--fix"][..]] {
        let (checks, _) = doctor(&world, options);
        assert_state(&checks, "home.private", "", "ok", &["only you"]);
    }
    assert_eq!((mode(&home), mode(&env)), (0o700, 0o600));
    assert_eq!(fs::read_to_string(&database).unwrap(), "not to be read, not to be written");
    assert_eq!((mode(&database), fs::metadata(&database).unwrap().modified().unwrap()), (0o666, before));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no file is created beside it");
}

#[test]
fn a_foreign_database_is_an_error_with_its_path() {
    for what in ["a directory", "no database", "another program's", "damaged"] {
        let world = World::new();
        let path = world.home.kugetsu().join("state/kugetsu.db");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match what {
            "a directory" => fs::create_dir(&path).unwrap(),
            "no database" => fs::write(&path, "something else\n".repeat(100)).unwrap(),
            "another program's" => other_programs(&path),
            _ => {
                world.start(&world.repository("demo"), &script(&["say hello"]));
                world.run(["daemon", "stop"]);
                tamper(&path, "UPDATE tasks SET id = 'no-uuid'");
            }
        }
        let (checks, code) = doctor(&world, &["--offline"]);
        assert_eq!(code, 1, "{what}");
        assert_state(&checks, "database", "kugetsu.db", "bad", &[]);
        if what != "damaged" {
            let failed = world.attempt(["list"]);
            assert_eq!(failed.status.code(), Some(1), "{what}: {}", shown(&failed));
            assert!(shown(&failed).contains(&path.display().to_string()), "{what}: {}", shown(&failed));
            assert_state(&checks, "orphan.worktrees", "", "unknown", &["cannot be read"]);
        }
    }
}

fn other_programs(path: &Path) {
    rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE session (id TEXT)").unwrap();
}

#[test]
fn invalid_settings_are_bad_only_without_earlier_valid_ones() {
    let world = World::new();
    let path = world.home.kugetsu().join("config.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}\n[run]\ntimeout = \"soon\"\n")).unwrap();
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 1);
    assert_state(&checks, "settings", "config.toml:", "bad", &["timeout"]);
    fs::write(&path, &good).unwrap();
    world.run(["daemon", "start"]);
    fs::write(&path, format!("{good}\n[run]\ntimeout = \"soon\"\n")).unwrap();
    let (checks, code) = doctor(&world, &["--offline"]);
    assert_eq!(code, 0);
    assert_state(&checks, "settings", "config.toml:", "warning", &["the last valid settings stay in effect"]);
}

#[test]
fn files_of_the_script_suggest_init() {
    let world = World::bare();
    fs::create_dir_all(world.home.kugetsu().join("sessions")).unwrap();
    assert_state(&doctor(&world, &["--offline"]).0, "script", "", "warning", &["sessions", "kugetsu init"]);
}

#[test]
fn the_systemd_unit_is_checked_and_reloaded() {
    let mut world = World::new();
    assert!(doctor(&world, &["--offline"]).0.iter().all(|check| check["id"] != "unit"), "no unit is installed");
    let programs = world.home.folder("programs");
    let calls = programs.join("calls");
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> {0}\n[ \"$2\" != show ] || grep -q '^--user daemon-reload' {0} && echo no || echo yes\n",
        calls.display()
    );
    program(&programs, "systemctl", &text);
    world.home.prepend_path(&programs);
    world.run(["daemon", "install"]);
    fs::remove_file(&calls).unwrap();
    let (checks, _) = doctor(&world, &["--offline"]);
    assert_state(&checks, "unit", "kugetsu.service", "warning", &["systemctl --user daemon-reload"]);
    assert_state(&doctor(&world, &["--offline", "--fix"]).0, "unit", "", "ok", &["reloaded its units"]);
    assert_state(&doctor(&world, &["--offline"]).0, "unit", "", "ok", &["at login"]);
    let unit = world.home.user().join(".config/systemd/user/kugetsu.service");
    let other = fs::read_to_string(&unit).unwrap().replace("KUGETSU_HOME=/", "KUGETSU_HOME=/other/");
    fs::write(&unit, other).unwrap();
    assert_state(&doctor(&world, &["--offline"]).0, "unit", "", "warning", &["kugetsu daemon install"]);
}
