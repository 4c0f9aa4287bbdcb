//! Wrong input and unusable machines: a clear message with a hint, the right exit code, and no leftovers.

use std::os::unix::fs::PermissionsExt;

use crate::world::{World, script, shown, tamper};

#[test]
fn mistake_in_gits_settings_is_shown_with_file_and_line() {
    let world = World::new();
    let repository = world.repository("demo");
    let file = world.home.user().join(".gitconfig");
    std::fs::write(&file, "[user]\n\tname = x\n[broken\n").unwrap();
    let expected = format!("bad config line 3 in file {}", file.display());
    for args in [["daemon", "start"].as_slice(), &["start", ".", "hello"], &["doctor"]] {
        let output = world.try_in(repository.path(), args);
        let text = shown(&output);
        assert!(!output.status.success(), "{args:?}: {text}");
        assert!(text.contains(&expected) && text.contains("correct the settings file"), "{args:?}: {text}");
    }
}

#[test]
fn wrong_input_fails_with_a_message_and_leaves_nothing() {
    let world = World::new();
    let repository = world.repository("demo");
    std::fs::create_dir(world.home.path().join("plain")).unwrap();
    let plain = world.home.path().join("plain");
    let cases: &[(&[&str], &str)] = &[
        (&["start", plain.to_str().unwrap(), "x"], "git init"),
        (&["start", "/no/such/directory", "x"], "/no/such/directory"),
        (&["start", "not a reference", "x"], "not a valid reference"),
        (&["start", "ext::sh -c true", "x"], "not a valid reference"),
        (&["start", "https://github.com/acme/api", "x"], "issue"),
        (&["start", "https://github.com/acme/api/pull/7", "x"], "pull"),
        (&["start", ".", ""], "message"),
        (&["start", "."], "message"),
        (&["continue", ".", ""], "kugetsu continue . \"<message>\""),
        (&["start", ".", "x", "--agent", "missing"], "missing"),
        (&["start", ".", "x", "--base", "-x"], "-x"),
        (&["start", ".", "x", "--after", "local/none#1"], "local/none#1"),
        (&["start", "local/demo#9", "x"], "local/demo#9"),
        (&["frobnicate"], "frobnicate"),
        (&["logs", "local/demo#9"], "local/demo#9"),
        (&["queue", "cancel", "0190b0b0-0000-7000-8000-000000000000"], "no task"),
    ];
    for (args, part) in cases {
        let refused = world.try_in(repository.path(), *args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", shown(&refused));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains(part), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        assert!(refused.stdout.is_empty(), "{args:?}: {}", shown(&refused));
    }
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    for directory in ["worktrees", "mirrors", "gates", "runs"] {
        assert_eq!(std::fs::read_dir(world.home.kugetsu().join(directory)).unwrap().count(), 0, "{directory}");
    }
}

#[test]
fn missing_agent_is_reported_before_queueing() {
    let mut world = World::bare();
    world.home.set("PATH", "/usr/bin:/bin");
    let repository = world.repository("demo");
    let refused = world.try_in(repository.path(), ["start", ".", "fix it", "--agent", "opencode"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("opencode") && text.contains("npm"), "{text}");
}

#[test]
fn missing_repository_is_reported_at_once() {
    let server = kugetsu_testkit::GitServer::start("t");
    let world = World::new();
    let refused = world.attempt(["start", &format!("{}/no/body/issues/1", server.base_url()), "x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    let refused = world.attempt(["start", "http://127.0.0.1:1/a/b/issues/1", "x"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("127.0.0.1:1"), "{}", shown(&refused));
}

#[test]
fn unwritable_home_is_reported() {
    let mut world = World::new();
    // A file in place of the directory stops root as well.
    let file = world.home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    world.home.set("KUGETSU_HOME", file.join("home"));
    let refused = world.attempt(["status"]);
    assert_ne!(refused.status.code(), Some(0));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("KUGETSU_HOME"), "{text}");
}

#[test]
fn newer_or_invalid_database_is_left_alone() {
    for (content, word) in [("newer", "newer"), ("garbage", "not a database")] {
        let world = World::new();
        let repository = world.repository("demo");
        let database = world.home.kugetsu().join("state/kugetsu.db");
        if content == "newer" {
            world.run(["status"]);
            world.run(["daemon", "stop"]);
            let raise = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                         VALUES (9999, 'from the future', 1, x'00', 0)";
            tamper(&database, raise);
        } else {
            std::fs::create_dir_all(database.parent().unwrap()).unwrap();
            std::fs::write(&database, "this is no database, and long enough to be looked at as one".repeat(50))
                .unwrap();
        }
        let before = std::fs::read(&database).unwrap();
        let refused = world.try_in(repository.path(), ["start", ".", &script(&["say x"])]);
        assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(word), "{content}: {}", shown(&refused));
        assert_eq!(std::fs::read(&database).unwrap(), before, "{content}");
    }
}

#[test]
fn directory_in_place_of_the_database_is_an_error() {
    let world = World::new();
    std::fs::create_dir_all(world.home.kugetsu().join("state/kugetsu.db")).unwrap();
    let refused = world.attempt(["status"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("kugetsu.db"), "{}", shown(&refused));
}

#[test]
fn invalid_settings_file_is_reported_and_does_not_stop_the_daemon() {
    let world = World::new();
    world.run(["status"]);
    let path = world.home.kugetsu().join("config.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\n[run]\nsilence = \"soon\"\n")).unwrap();
    let listed = world.attempt(["config", "list"]);
    let text = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(text.contains("config.toml") && text.contains("silence"), "{}", shown(&listed));
    assert_eq!(world.json(["daemon", "status", "--json"])["running"], 0, "the daemon keeps its settings");
}

#[test]
fn full_disk_is_reported_and_stored_tasks_stay() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    world.run(["daemon", "stop"]);
    // A file-size limit simulates a full disk: writes fail in the same way.
    let kugetsu = env!("CARGO_BIN_EXE_kugetsu");
    let big = format!("{}\n{}", script(&["hang"]), "x".repeat(100_000));
    let limited = format!("trap '' XFSZ; ulimit -f 800; exec '{kugetsu}' daemon run");
    let mut daemon =
        world.home.command("sh").args(["-c", &limited]).stderr(std::process::Stdio::null()).spawn().unwrap();
    kugetsu_testkit::eventually("the daemon", || world.attempt(["daemon", "status"]).status.success().then_some(()));
    world.run(["config", "set", "agents.max", "1"]);
    let mut stored = 1;
    let refused = loop {
        let output = world.try_in(repository.path(), ["start", ".", &big]);
        if !output.status.success() {
            break output;
        }
        stored += 1;
        assert!(stored < 100, "the limit does not hold");
    };
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("disk") || text.contains("full") || text.contains("database"), "{text}");
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), stored);
    world.run(["daemon", "stop"]);
    daemon.wait().unwrap();
    assert_eq!(world.json(["list", "--json"]).as_array().unwrap().len(), stored);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let world = World::new();
    let repository = world.repository("demo");
    let nasty = "title \u{1b}]0;owned\u{7}\u{1b}[31mred";
    world.start(
        &repository,
        &format!("{nasty}\n{}", script(&["run printf '\\033[2Jboo\\007'", "say \u{1b}[2Jcleared"])),
    );
    for args in [
        &["list"][..],
        &["logs", "local/demo#1"],
        &["queue", "list", "--all"],
        &["queue", "show", "local/demo#1"],
        &["status"],
    ] {
        let text = world.run(args);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{args:?}: {text:?}");
    }
    let permissions = std::fs::metadata(world.home.kugetsu().join("state/kugetsu.db")).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o077, 0);
}

#[test]
fn hints_name_what_can_be_typed() {
    let world = World::new();
    let repository = world.repository("demo");
    world.run(["config", "set", "agents.max", "0"]);
    for _ in 0..11 {
        world.queue(&repository, "hello");
    }
    let refused = |args: &[&str], parts: &[&str]| {
        let output = world.try_in(repository.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{args:?}: {}", shown(&output));
        assert!(parts.iter().all(|part| text.contains(part)), "{args:?}: {text}");
        text
    };
    refused(&["destroy", "."], &["has 11 open issues: ", " and 1 more"]);
    refused(&["logs", ".", "-n", "x"], &["expected a whole number"]);
    refused(&["list", "--limit", "0"], &["expected a whole number from 1 on"]);
    refused(&["queue", "list", "--limit", "x"], &["expected a whole number from 1 on"]);
    world.run(["queue", "cancel", "local/demo#1"]);
    refused(&["attach", "local/demo#1"], &["has no session", "kugetsu why local/demo#1"]);
    let text = refused(
        &["repo", "move", "local/demo", "/no/such/directory"],
        &["/no/such/directory is not a directory", "hint: "],
    );
    assert!(!text.contains("kugetsu repo move"), "{text}");
    let listed = shown(&world.attempt(["list", "--state", "queued", "--repo", "local/demo", "--limit", "2"]));
    assert!(listed.contains("`kugetsu list --state queued --repo local/demo --limit 20`"), "{listed}");
    refused(&["db", "backup", "/no/such/directory/a.db"], &["/no/such/directory is not a directory", "hint: "]);
    world.run(["daemon", "stop"]);
    refused(&["db", "restore", "nofile"], &["could not copy nofile", "hint: "]);
}

#[test]
fn unknown_agents_in_settings_and_env_files_are_reported() {
    let world = World::new();
    let repository = world.repository("demo");
    let set = shown(&world.attempt(["env", "set", "MODE", "y", "nosuchagent"]));
    assert!(
        set.contains("warning: no agent \"nosuchagent\"") && set.contains("kugetsu env rm MODE nosuchagent"),
        "{set}"
    );
    world.run(["env", "set", "MODE", "y", "pm-agent"]);
    let complete = |typed: &[&str]| {
        let mut command = world.command(repository.path(), ["--"].iter().chain(typed));
        command.env("KUGETSU_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (typed.len() - 1).to_string());
        shown(&world.home.run_within(world.limit, &mut command))
    };
    let offered = complete(&["kugetsu", "start", "--agent", ""]);
    assert!(
        offered.contains("scripted") && !offered.contains("nosuchagent") && !offered.contains("pm-agent"),
        "{offered}"
    );
    let offered = complete(&["kugetsu", "env", "show", ""]);
    assert!(offered.contains("nosuchagent") && offered.contains("pm-agent"), "{offered}");

    world.run(["config", "set", "agent.default", "nope"]);
    let refused = world.try_in(repository.path(), ["start", ".", "hello"]);
    let text = shown(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("which the setting agent.default names"), "{text}");
    assert!(text.contains("kugetsu config set agent.default"), "{text}");
}
