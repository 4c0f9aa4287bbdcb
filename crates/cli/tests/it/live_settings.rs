//! Settings while the daemon runs: edits take effect at once, and an invalid file leaves the last valid one in effect.

use crate::world::{World, kill, script, shown};

/// Changes the text of `config.toml` as an editor does.
fn edit(world: &World, change: impl Fn(String) -> String) {
    let path = world.home.kugetsu().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(text)).unwrap();
}

#[test]
fn a_raised_limit_starts_the_next_task_at_once() {
    let world = World::new();
    let repository = world.repository("demo");
    let issues: Vec<String> = (0..5).map(|_| world.queue(&repository, &script(&["wait go", "say done"]))).collect();
    for issue in &issues[..3] {
        world.await_state(issue, "running");
    }
    assert_eq!(
        (&world.latest(&issues[3])["state"], &world.latest(&issues[4])["state"]),
        (&"queued".into(), &"queued".into())
    );
    edit(&world, |text| format!("{text}\n[agents]\nmax = 4\n"));
    world.await_state(&issues[3], "running");
    assert_eq!(world.latest(&issues[4])["state"], "queued");
    world.run(["config", "set", "agents.max", "5"]);
    world.await_state(&issues[4], "running");
    assert_eq!(world.json(["status", "--json"])["places"], 5);
    world.release_agents();
    for issue in &issues {
        world.await_state(issue, "done");
    }
}

#[test]
fn unknown_settings_are_warnings_with_line_and_suggestion() {
    let world = World::new();
    edit(&world, |text| {
        format!(
            "{text}\n[run]\ntimout = \"2h\"\nsilence = \"3m\"\n[servers.work]\nurl = \"https://git.example.com\"\ntyp = \"gitea\"\n"
        )
    });
    let listed = world.attempt(["config", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", shown(&listed));
    let stderr = String::from_utf8_lossy(&listed.stderr).into_owned();
    let assert_warning = |line: u32, parts: &[&str]| {
        let start = format!("config.toml:{line}: ");
        let warning = stderr.lines().find(|warning| warning.starts_with("warning: ") && warning.contains(&start));
        assert!(warning.is_some_and(|text| parts.iter().all(|part| text.contains(part))), "{line}: {stderr}");
    };
    assert_warning(10, &["run.timout", "did you mean `run.timeout`?"]);
    assert_warning(14, &["servers.work.typ", "did you mean `servers.work."]);
    assert_eq!(world.run(["config", "get", "run.silence"]).trim(), "3m", "the rest of the file is used");
    let status = world.json(["status", "--json"]);
    assert_eq!(
        (&status["settings_error"], status["settings_warnings"].as_array().unwrap().len()),
        (&serde_json::Value::Null, 2)
    );
}

#[test]
fn an_invalid_value_leaves_the_last_valid_file_in_effect_until_it_is_corrected() {
    let world = World::new();
    edit(&world, |text| format!("{text}\n[agents]\nmax = 7\n[run]\nsilence = \"20s\"\n"));
    assert_eq!(world.json(["status", "--json"])["places"], 7);
    edit(&world, |text| text.replace("max = 7", "max = \"many\"").replace("20s", "40s"));
    let status = world.json(["status", "--json"]);
    assert_eq!(status["places"], 7);
    let error = status["settings_error"].as_str().unwrap().to_owned();
    assert!(error.contains("config.toml:10: agents.max must be an integer from 0 to 1000, not \"many\""), "{error}");
    let shown_status = world.attempt(["status"]);
    let warnings = String::from_utf8_lossy(&shown_status.stderr).into_owned();
    assert!(warnings.contains(&error) && warnings.contains("last valid settings"), "{}", shown(&shown_status));

    let listed = world.attempt(["config", "list"]);
    assert_eq!(listed.status.code(), Some(2), "{}", shown(&listed));
    assert!(String::from_utf8_lossy(&listed.stderr).contains(&error), "{}", shown(&listed));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let row = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("agents.max").contains(" 7 ") && row("agents.max").contains("last valid config.toml"), "{listed}");
    assert!(row("run.silence").contains("20s"), "the last valid file is in effect as a whole: {listed}");

    // A daemon that starts now falls back to the same file.
    world.run(["daemon", "stop"]);
    assert_eq!(world.json(["status", "--json"])["places"], 7);
    let failed = world.attempt(["config", "set", "agents.max", "lots"]);
    assert_eq!(failed.status.code(), Some(2), "{}", shown(&failed));
    let set = world.attempt(["config", "set", "queue.keep", "1d"]);
    assert!(String::from_utf8_lossy(&set.stderr).contains("takes effect once this is corrected"), "{}", shown(&set));
    world.run(["config", "set", "agents.max", "2"]);
    let status = world.json(["status", "--json"]);
    assert_eq!((&status["places"], &status["settings_error"]), (&2.into(), &serde_json::Value::Null), "{status}");
    assert_eq!(world.run(["config", "get", "run.silence"]).trim(), "40s");
}

#[test]
fn a_renamed_setting_is_read_under_its_earlier_name() {
    let world = World::new();
    edit(&world, |text| format!("{text}\n[destroy]\ncheck_change = false\n"));
    let listed = world.attempt(["config", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", shown(&listed));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("destroy.check_pr"), "{}", shown(&listed));
    let warning = "`destroy.check_change` has been renamed to `destroy.check_pr`";
    assert!(String::from_utf8_lossy(&listed.stderr).contains(warning), "{}", shown(&listed));
    for name in ["destroy.check_pr", "destroy.check_change"] {
        assert_eq!(world.run(["config", "get", name]).trim(), "false");
    }
    let set = world.attempt(["config", "set", "destroy.check_change", "true"]);
    assert!(String::from_utf8_lossy(&set.stderr).contains(warning), "{}", shown(&set));
    let text = std::fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap();
    assert!(text.contains("check_pr = true") && !text.contains("check_change"), "{text}");
    assert_eq!(world.json(["status", "--json"])["settings_warnings"], serde_json::json!([]));
}

#[test]
fn no_daemon_starts_without_ever_valid_settings() {
    let world = World::new();
    edit(&world, |text| text.replace("default = \"scripted\"", "default = \"scripted\"\npermissions = \"refuze\""));
    let failed = world.attempt(["status"]);
    assert_ne!(failed.status.code(), Some(0), "{}", shown(&failed));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("config.toml:3: agent.permissions"), "{}", shown(&failed));
}

#[test]
fn temporary_directories_of_runs_follow_the_setting() {
    let world = World::new();
    let repository = world.repository("demo");
    let parent = world.home.path().join("big").join("tmp");
    world.run(["config", "set", "run.temp_dir", parent.to_str().unwrap()]);
    let (run, code) =
        world.start(&repository, &script(&["env TMPDIR", "env KUGETSU_TEMP_DIR", "run touch \"$TMPDIR/mine\""]));
    assert_eq!(code, 0, "{run}");
    let own = parent.join(format!("kugetsu-{}", run["run"].as_str().unwrap()));
    let text = world.agent_text("local/demo#1");
    assert!(text.contains(&format!("TMPDIR={}", own.display())), "{text}");
    assert!(text.contains(&format!("KUGETSU_TEMP_DIR={}", own.display())), "{text}");
    kugetsu_testkit::eventually("the temporary directory to be gone", || {
        let left: Vec<_> = std::fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path()).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    let failed = world.attempt(["config", "set", "run.temp_dir", "tmp"]);
    assert_eq!(failed.status.code(), Some(2), "{}", shown(&failed));
    let file = world.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    world.run(["config", "set", "run.temp_dir", file.to_str().unwrap()]);
    let (run, code) = world.start(&repository, &script(&["say hello"]));
    assert_eq!(code, 1, "{run}");
    assert!(run["reason"].as_str().unwrap().contains("run.temp_dir"), "{run}");
}

#[test]
fn a_killed_runner_leaves_no_temporary_directory() {
    let world = World::new();
    let repository = world.repository("demo");
    let parent = world.home.path().join("big");
    world.run(["config", "set", "run.temp_dir", parent.to_str().unwrap()]);
    let issue = world.queue(&repository, &script(&["run touch \"$TMPDIR/mine\"", "wait go", "say done"]));
    let inside = || -> Vec<_> {
        let paths = std::fs::read_dir(&parent).into_iter().flatten().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.join("mine").exists()).collect()
    };
    let first = kugetsu_testkit::eventually("the agent to be at work", || inside().pop().ok_or("nothing is there"));
    let run = first.file_name().unwrap().to_str().unwrap().strip_prefix("kugetsu-").unwrap().to_owned();
    let runner = world.processes(&format!("runs/{run}"));
    kill(runner[0]);
    kugetsu_testkit::eventually(
        "the first directory to be gone",
        || if first.exists() { Err(inside()) } else { Ok(()) },
    );
    world.release_agents();
    world.await_state(&issue, "done");
}
