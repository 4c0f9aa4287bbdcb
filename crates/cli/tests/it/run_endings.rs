//! Runs that do not end well are never `done`, leave no process, and lose no work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use kugetsu_testkit::{eventually, scripted_agent};

use crate::cancel_at_the_end::HangingGit;
use crate::world::{World, is_alive, script, shown, tamper};

#[test]
fn hanging_agent_ends_at_the_silence_limit() {
    let world = World::new();
    world.run(["config", "set", "run.silence", "2s"]);
    let repository = world.repository("demo");
    let pid_file = world.home.path().join("orphan.pid");
    let steps = ["write half.txt half", &format!("orphan {}", pid_file.display()), "freeze"];
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!((run["state"].as_str(), code), (Some("timeout"), 124), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("run.silence"), "{run}");
    let orphan: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert!(!is_alive(orphan), "a process in its own session and with an empty environment survived");
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    let worktree = world.worktree("local/demo#1");
    assert_eq!(std::fs::read_to_string(worktree.join("half.txt")).unwrap(), "half\n");
    let rescues = world.json(["rescue", "list", "local/demo#1", "--json"]);
    assert_eq!(rescues.as_array().unwrap().len(), 1, "{rescues}");
}

#[test]
fn task_is_continued_in_its_session_after_the_model_failed() {
    let world = World::new();
    let repository = world.repository("demo");
    let failing = script(&["write a.txt a", "commit one", "error status 503 Service Unavailable"]);
    let (run, code) = world.start(&repository, &failing);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(run["commits"], 2, "the agent worked after the failure, too: {run}");
    let notices = world.records("local/demo#1", "notice");
    let notice = notices.iter().filter_map(|notice| notice["text"].as_str()).find(|text| text.contains("retry 1 of 5"));
    assert!(notice.is_some_and(|text| text.contains("status 503")), "{notices:?}");
    assert_eq!(world.records("local/demo#1", "session").len(), 1);

    // Nothing was done, so that the whole message is sent again.
    world.run(["config", "set", "run.model_retries", "1"]);
    let failing = script(&["error status 500 Internal Server Error"]);
    let (run, code) = world.start(&repository, &failing);
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("500"), "{run}");
    let requests = world.records("local/demo#2", "notice");
    assert!(requests.iter().any(|notice| notice["text"].as_str().unwrap().contains("retry 1 of 1")), "{requests:?}");
}

#[test]
fn wait_for_the_model_is_a_reason_while_the_task_runs() {
    let world = World::new();
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &script(&["error status 500 Internal Server Error"]));
    eventually("the wait to be shown", || {
        let why = world.run(["why", &issue]);
        let is_shown = why.contains("running") && why.contains("trying again in") && why.contains("run.model_retries");
        if is_shown { Ok(()) } else { Err(why) }
    });
    world.run(["queue", "cancel", &issue]);
    world.await_state(&issue, "canceled");
}

#[test]
fn agent_without_a_login_blocks_the_task_with_what_to_type() {
    let world = World::new();
    let agent = scripted_agent();
    let agent = agent.to_str().unwrap();
    world.run(["config", "set", "agents.codex.program", agent]);
    world.run(["config", "set", "agents.codex.args", "[\"--needs-login\"]"]);
    let repository = world.repository("demo");
    let output =
        world.attempt(["start", repository.path().to_str().unwrap(), "work", "--agent", "codex", "--wait", "--json"]);
    let (run, code) = crate::world::ended(&output);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert!(run["hint"].as_str().unwrap().contains("codex-acp login"), "{run}");
}

#[test]
fn busy_agent_ends_at_the_wall_clock_limit() {
    let world = World::new();
    world.run(["config", "set", "run.timeout", "2s"]);
    let repository = world.repository("demo");
    let chatter: Vec<&str> = std::iter::repeat_n(["say still here", "slow 200"], 200).flatten().collect();
    let (run, code) = world.start(&repository, &script(&chatter));
    assert_eq!((run["state"].as_str(), code), (Some("timeout"), 124), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("run.timeout"), "{run}");
}

#[test]
fn permission_requests_are_answered_by_policy() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["permission read /etc/hosts", "write a b", "commit c"]));
    assert_eq!(code, 0, "{run}");
    let requests = world.records("local/demo#1", "permission");
    assert_eq!(
        (requests[0]["title"].as_str(), requests[0]["answer"].as_str()),
        (Some("read /etc/hosts"), Some("allowed"))
    );
}

#[test]
fn refused_permission_blocks_the_task() {
    let world = World::new();
    world.run(["config", "set", "agent.permissions", "refuse"]);
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["permission read /etc/hosts"]));
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("read /etc/hosts"), "{run}");
}

#[test]
fn failed_runs_have_a_reason() {
    let world = World::new();
    let repository = world.repository("demo");
    for (step, reason) in [
        ("crash", "exited while kugetsu waited for it to do the task: it was killed by signal"),
        ("exit 3", "exited while kugetsu waited for it to do the task: its exit code is 3"),
        ("refuse", "refused"),
        ("max_tokens", "maximum length"),
        ("error no credit left", "no credit left"),
    ] {
        let (run, code) = world.start(&repository, &script(&["write kept.txt kept", step]));
        assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{step}: {run}");
        assert!(run["reason"].as_str().unwrap().contains(reason), "{step}: {run}");
        let worktree = std::path::Path::new(run["worktree"].as_str().unwrap());
        assert!(worktree.join("kept.txt").exists(), "{step}");
    }
}

#[test]
fn pushed_commits_stay_pushed_when_a_later_turn_fails() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let pushed = run["head_sha"].clone();
    for step in ["error boom", "crash"] {
        let failed = world.try_in(repository.path(), ["continue", ".", &script(&[step]), "--wait", "--json"]);
        assert_eq!(failed.status.code(), Some(1), "{}", shown(&failed));
        let run = world.latest("local/demo#1");
        assert_eq!((&run["head_sha"], &run["commits"], &run["pushed"]), (&pushed, &1.into(), &true.into()), "{run}");
    }
    assert!(!world.run(["why", "local/demo#1"]).contains("kugetsu push"));
    assert!(!world.run(["logs", "local/demo#1"]).contains("not pushed"));
    let more = script(&["write b.txt b", "commit two", "error boom"]);
    world.try_in(repository.path(), ["continue", ".", &more, "--wait"]);
    let run = world.latest("local/demo#1");
    assert_eq!((&run["commits"], &run["pushed"]), (&2.into(), &false.into()), "{run}");
    // The server's branch is still where kugetsu left it.
    world.run_in(repository.path(), ["push", "."]);
    let run = world.await_state("local/demo#1", "done");
    assert_eq!((&run["commits"], &run["pushed"]), (&2.into(), &true.into()), "{run}");
}

#[test]
fn task_whose_agent_was_killed_is_tried_again() {
    let world = World::new();
    let repository = world.repository("demo");
    let steps = ["write a.txt a", "run mkdir once || exit 0; kill -9 $PPID; sleep 100", "commit one"];
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    let lost = world.run(["logs", "local/demo#1"]);
    assert!(lost.contains("killed by signal 9") && lost.contains("attempt 2"), "{lost}");
    let sessions = world.records("local/demo#1", "session");
    let last = &sessions[sessions.len() - 1];
    assert_eq!((&last["resumed"], &last["session"]), (&true.into(), &run["session_id"]), "{sessions:?}");
}

#[test]
fn killed_agent_is_reported_with_its_signal() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["say going", "run kill -9 $PPID", "hang"]));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("it was killed by signal 9 (SIGKILL)"), "{run}");
}

#[test]
fn agent_that_answers_nothing_is_failed() {
    let world = World::new();
    let repository = world.repository("demo");
    for steps in [&["think about it"][..], &["usage 0 1 1"]] {
        let (run, code) = world.start(&repository, &script(steps));
        assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
        assert!(run["reason"].as_str().unwrap().contains("answered nothing"), "{run}");
        let named = format!("`kugetsu continue {} ", run["issue"].as_str().unwrap());
        assert!(run["hint"].as_str().unwrap().contains(&named), "{run}");
    }
}

#[test]
fn agent_that_repeats_itself_is_ended() {
    let world = World::new();
    world.run(["config", "set", "run.max_repeats", "4"]);
    let repository = world.repository("demo");
    let same: Vec<&str> =
        std::iter::repeat_n("run echo same", 100).chain(["write late.txt late", "commit late"]).collect();
    let (run, code) = world.start(&repository, &script(&same));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("4 times in a row") && reason.contains("run.max_repeats"), "{reason}");
    assert!(!world.worktree("local/demo#1").join("late.txt").exists());

    let cycle: Vec<&str> = ["run echo one", "run echo two"].into_iter().cycle().take(100).collect();
    let (run, _) = world.start(&repository, &script(&cycle));
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("the same 2 tool calls 4 times in a row"), "{reason}");

    world.run(["config", "set", "run.max_repeats", "0"]);
    let (run, code) = world.start(&repository, &script(&same));
    assert_eq!(code, 0, "{run}");
}

#[test]
fn impossible_usage_ends_no_run_badly() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(
        &repository,
        &script(&["say hello", "usage -5 9223372036854775808 18446744073709551615", "write a b", "commit c"]),
    );
    assert_eq!(code, 0, "{run}");
    assert!(run["usage"]["cost_usd"].is_null(), "{run}");
    world.run(["destroy", "local/demo#1", "-y"]);
}

#[test]
fn run_whose_host_hangs_ends_a_minute_after_its_limit() {
    let mut world = World::new();
    let git = HangingGit::install(&mut world.home);
    world.limit = Duration::from_secs(240);
    world.run(["config", "set", "run.timeout", "5s"]);
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", &git.hang_in("status")]));
    assert_eq!((run["state"].as_str(), code), (Some("timeout"), 124), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("run.timeout"), "{run}");
    assert_eq!(world.processes(" runner "), Vec::<i32>::new());
    assert_eq!(world.json(["status", "--json"])["running"], 0);
}

#[test]
fn fifo_where_git_reads_a_file_is_named_and_the_rest_is_rescued() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a", "run mkfifo .gitattributes"]));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains(".gitattributes is a FIFO"), "{run}");
    assert_eq!(run["pushed"], false, "{run}");
    let into = world.home.path().join("back");
    world.run(["rescue", "restore", "local/demo#1", "--to", into.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(into.join("a.txt")).unwrap(), "a\n");
    world.run(["destroy", "local/demo#1", "-y"]);
}

#[test]
fn stderr_of_a_crashed_agent_is_in_the_reason() {
    let mut world = World::new();
    world.home.set("KUGETSU_SCRIPTED_AGENT_ARGS", "--complain no-model-is-configured --crash-at initialize");
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["say hello"]));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("no-model-is-configured"), "{run}");
}

#[test]
fn slowly_starting_agent_is_waited_for() {
    let mut world = World::new();
    world.home.set("KUGETSU_SCRIPTED_AGENT_ARGS", "--slow-start 3000");
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a b", "commit c"]));
    assert_eq!(code, 0, "{run}");
}

#[test]
fn floods_and_garbage_from_the_agent_are_survived() {
    let mut world = World::new();
    // An unoptimized build reads so much slowly.
    world.limit = Duration::from_secs(240);
    let repository = world.repository("demo");
    let steps = ["flood 75000000", "flood-stderr 10000000", "garbage", "unknown", "write a b", "commit c"];
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!(code, 0, "{run}");
    let directory = world.home.kugetsu().join("runs").join(run["run"].as_str().unwrap());
    let size = |name: &str| std::fs::metadata(directory.join(name)).unwrap().len();
    assert!(size("records.jsonl") < 70 << 20, "{}", size("records.jsonl"));
    assert!(size("agent.stderr") < 9 << 20, "{}", size("agent.stderr"));
}

#[test]
fn cancel_ends_the_run_and_keeps_its_work() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "hang"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    world.run(["queue", "cancel", &reference]);
    let run = world.await_state(&reference, "canceled");
    assert!(run["reason"].as_str().unwrap().contains("canceled"), "{run}");
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    assert_eq!(world.json(["rescue", "list", &reference, "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn changed_silence_limit_applies_to_a_running_run() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    world.run(["config", "set", "run.silence", "1s"]);
    world.await_state(&reference, "timeout");
}

#[test]
fn run_with_a_very_long_prompt_can_be_canceled_and_read() {
    let world = World::new();
    world.run(["init"]);
    let base = world.home.kugetsu().join("base/context.md");
    std::fs::write(&base, "Be \"kind\" and patient.\n".repeat(200_000)).unwrap();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["history", "say ready", "hang"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let prompts = world.records(&reference, "prompt");
    let shown = prompts[0]["text"].as_str().unwrap();
    assert!(shown.len() < 1 << 20 && shown.ends_with("more bytes]"), "{} bytes", shown.len());
    world.run(["queue", "cancel", &reference]);
    world.await_state(&reference, "canceled");
    assert!(world.run(["logs", &reference]).contains("ready"));
}

#[test]
fn end_of_a_run_is_recorded_before_its_temporary_files_are_removed() {
    const FILES: usize = 5_000;
    let world = World::new();
    let repository = world.repository("demo");
    let fill = format!("run cd $TMPDIR && seq {FILES} | xargs touch && echo filled");
    world.queue(&repository, &script(&[&fill, "write a b", "commit c"]));
    let runs = world.home.kugetsu().join("runs");
    let directory = eventually("the run to start", || {
        std::fs::read_dir(&runs)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("records.jsonl").exists())
    });
    let count = || std::fs::read_dir(directory.join("tmp")).map_or(0, Iterator::count);
    let ended = || std::fs::read_to_string(directory.join("records.jsonl")).unwrap().contains(r#""type":"ended""#);
    eventually("the files to be there", || if count() >= FILES || ended() { Ok(()) } else { Err(count()) });
    eventually("the removal to start", || if count() < FILES { Ok(()) } else { Err(count()) });
    assert!(ended(), "a runner that is killed now must not run the task again");
    world.await_state("local/demo#1", "done");
}

#[test]
fn clean_finishes_an_interrupted_clean_and_removes_nothing_else() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a b", "commit c"]));
    let runs = world.home.kugetsu().join("runs");
    let unknown = runs.join("0197f000-0000-7000-8000-000000000000");
    std::fs::create_dir_all(unknown.join("tmp/cache")).unwrap();
    std::fs::create_dir(runs.join("not-a-run")).unwrap();
    let expired = runs.join("0197f000-0000-7000-8000-000000000001");
    std::fs::create_dir_all(expired.join("tmp/cache")).unwrap();
    let marked = "INSERT INTO expired_runs (run) VALUES ('0197f000-0000-7000-8000-000000000001')";
    tamper(&world.home.kugetsu().join("state/kugetsu.db"), marked);
    world.run(["queue", "clean"]);
    assert!(!expired.exists());
    assert!(unknown.exists(), "it may be the run of a database that was lost");
    assert!(runs.join(run["run"].as_str().unwrap()).exists() && runs.join("not-a-run").exists());
}

/// A world whose agent is one that has records, as opencode does; `export` is the shell command that exports them.
pub(crate) fn world_with_records(export: &str) -> World {
    let mut world = World::new();
    let folder = world.home.folder("agent-with-records");
    let program = folder.join("opencode");
    let agent = scripted_agent();
    let agent = agent.to_str().unwrap();
    let text = format!("#!/bin/sh\ncase \"$1\" in\nacp) exec '{agent}' acp ;;\nexport) {export} ;;\nesac\nexit 1\n");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.home.prepend_path(&folder);
    world.run(["config", "set", "agent.default", "opencode"]);
    world
}

const CLEAN: &[&str] = &["write a.txt a", "commit a", "usage 0 10 20", "say finished"];

#[test]
fn turn_whose_record_cannot_be_read_is_not_done() {
    let world = world_with_records("exit 1");
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(CLEAN));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("could not be checked"), "{run}");
}

#[test]
fn cancel_interrupts_the_export_of_the_record() {
    let world = world_with_records("exec sleep 10001");
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(CLEAN));
    eventually("the export to begin", || (!world.processes("sleep 10001").is_empty()).then_some(()));
    let began = Instant::now();
    world.run(["queue", "cancel", &reference]);
    let run = world.await_state(&reference, "canceled");
    // The daemon's watchdog kills the runner after a minute.
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    assert!(run["reason"].as_str().unwrap().starts_with("canceled on request"), "{run}");
    assert_eq!(run["pushed"], false, "{run}");
    assert_eq!(world.processes("sleep 10001"), Vec::<i32>::new());
    assert_eq!(fs::read_to_string(world.worktree(&reference).join("a.txt")).unwrap(), "a\n");
}
