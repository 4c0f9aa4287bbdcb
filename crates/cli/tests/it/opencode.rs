//! The real opencode with a scripted model. No account is needed, and nothing leaves this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_testkit::model::script::{Script, Step};
use kugetsu_testkit::{GitServer, ModelServer, Repository, eventually_within};
use serde_json::{Value, json};

use crate::world::{World, ended, is_alive, shown};

/// A home in which opencode is installed and configured by an env file. Prints a line and returns `None` without opencode.
pub(crate) fn world(model: &ModelServer) -> Option<World> {
    let Some(program) = std::env::var_os("KUGETSU_OPENCODE").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "CI must provide opencode");
        eprintln!("skipped: KUGETSU_OPENCODE is not set to the path of opencode");
        return None;
    };
    let mut world = World::bare();
    world.limit = TIMEOUT;
    let bin = world.home.folder("bin");
    std::os::unix::fs::symlink(program, bin.join("opencode")).unwrap();
    world.home.prepend_path(&bin);
    for (name, value) in model.opencode_env() {
        world.run(["env", "set", name, &value]);
    }
    Some(world)
}

fn message(steps: impl IntoIterator<Item = Step>) -> String {
    format!("do the job\n{}", Script::new(steps).as_message())
}

/// How long real agents may take on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(1500);

fn work() -> Vec<Step> {
    vec![
        Step::Say("Starting.".to_owned()),
        Step::write("a.txt", "one\n"),
        Step::bash("git add -A && git commit -qm 'add a'"),
    ]
}

/// One test, as each start of opencode takes seconds.
#[test]
fn needs_opencode_task_is_pushed_continued_and_destroyed() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    let repository = world.repository("demo");
    let look = Step::bash("echo at $PWD $(pwd) prompt $GIT_TERMINAL_PROMPT editor $GIT_EDITOR tmp $TMPDIR");
    let (first, code) = world.start(&repository, &message(std::iter::once(look).chain(work().into_iter().skip(1))));
    assert_eq!((first["state"].as_str(), code), (Some("done"), 0), "{first}");
    assert_eq!((&first["pushed"], &first["commits"]), (&true.into(), &1.into()), "{first}");
    assert_eq!(repository.show_text(first["branch"].as_str().unwrap(), "a.txt"), "one\n");
    assert!(first["session_id"].as_str().unwrap().starts_with("ses_"), "{first}");
    assert!(first["usage"]["input_tokens"].as_u64().unwrap() > 0, "{first}");
    assert!(first["usage"]["output_tokens"].as_u64().unwrap() > 0, "{first}");
    let worktree = first["worktree"].as_str().unwrap();
    let tools = world.records("local/demo#1", "tool_ended");
    let output = tools[0]["output"].as_str().unwrap();
    assert!(output.contains(&format!("at {worktree} {worktree} prompt 0 editor true")), "{output}");
    assert!(output.contains(first["run"].as_str().unwrap()), "{output}");

    // All processes have ended; the model sees the history.
    world.home.kill_processes();
    let again = message([Step::bash("pwd"), Step::Say("Done.".to_owned())]);
    let (second, code) = ended(&world.attempt(["continue", "local/demo#1", &again, "--wait", "--json"]));
    assert_eq!(code, 0, "{second}");
    assert_eq!((&second["session_id"], &second["worktree"]), (&first["session_id"], &first["worktree"]));
    let prompts = model.turn_requests().pop().unwrap().texts("user").join("\n");
    assert_eq!(prompts.matches("do the job").count(), 2, "the model sees both messages: {prompts}");
    assert!(prompts.contains("How you work here"));

    world.run(["destroy", "local/demo#1", "-y"]);
    let mut export = world.home.command("opencode");
    export.envs(model.opencode_env()).args(["export", first["session_id"].as_str().unwrap()]);
    assert!(!world.home.run(export.current_dir(repository.path())).status.success(), "the session is deleted");
}

#[test]
fn needs_opencode_end_of_a_turn_with_a_long_record_is_known() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    let repository = world.repository("demo");
    // Far more than a pipe holds.
    let long = || Step::bash("head -c 60000 /dev/zero | tr '\\0' x");
    let steps = [long(), long(), long(), long(), Step::Full("As much as fits into".to_owned())];
    let (run, code) = world.start(&repository, &message(steps));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("maximum length"), "{run}");
    assert_eq!((&run["usage"]["input_tokens"], &run["usage"]["output_tokens"]), (&500.into(), &100.into()), "{run}");
    // The running agent served its record: it was not started once more.
    let notices = world.records("local/demo#1", "notice");
    assert!(!notices.iter().any(|notice| notice["text"].to_string().contains("record")), "{notices:?}");

    // The same where the agent does not serve it, so that it is exported.
    world.run(["env", "set", "OPENCODE_SERVER_PASSWORD", "a-password-of-the-user"]);
    let steps = [long(), long(), long(), Step::Full("As much as fits into".to_owned())];
    let (run, code) = world.start(&repository, &message(steps));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("maximum length"), "{run}");
    assert_eq!(run["usage"]["input_tokens"], 400, "{run}");
}

#[test]
fn needs_opencode_host_runs_no_plugin_of_the_agent() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    // The host's commands, not the running agent, read the record.
    world.run(["env", "set", "OPENCODE_SERVER_PASSWORD", "a-password-of-the-user"]);
    let repository = world.repository("demo");
    // In a sandbox, the plugin could not leave a mark outside.
    world.run(["config", "set", "run.sandbox", "off"]);
    let mark = world.home.path().join("plugin-ran");
    let plugin = format!(
        "import {{ appendFileSync }} from 'fs';\nimport {{ spawn }} from 'child_process';\n\
         appendFileSync('{0}', process.argv.join(' ') + '\\n');\n\
         spawn('sleep', ['7654'], {{ detached: true, stdio: 'ignore' }}).unref();\nexport const P = async () => ({{}});\n",
        mark.display()
    );
    let steps = ["plugin", "plugins"].map(|folder| Step::write(&format!(".opencode/{folder}/p.js"), &plugin));
    let commit = Step::bash("git add -A -f && git commit -qm 'add plugins'");
    let (run, code) = world.start(&repository, &message(steps.into_iter().chain([commit])));
    assert_eq!(code, 0, "{run}");
    world.run(["destroy", "local/demo#1", "-y"]);
    let ran = std::fs::read_to_string(&mark).unwrap_or_default();
    assert!(!ran.contains("export") && !ran.contains("delete"), "{ran}");
    assert_eq!(world.processes("sleep 7654"), Vec::<i32>::new());
    let mut export = world.home.command("opencode");
    export.envs(model.opencode_env()).args(["export", run["session_id"].as_str().unwrap()]);
    assert!(!world.home.run(export.current_dir(repository.path())).status.success(), "the session is deleted");
}

#[test]
fn needs_opencode_broken_configuration_is_named_in_the_reason() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    world.run(["env", "rm", "OPENCODE_CONFIG_CONTENT"]);
    let config = world.home.user().join(".config/opencode");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("opencode.json"), "{\"model\": oops\n").unwrap();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &message([Step::Say("hello".to_owned())]));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("opencode.json is not valid JSON") && reason.contains("exit code is 1"), "{reason}");
}

#[test]
fn needs_opencode_users_own_configuration_is_used() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    assert!(!world.home.user().join(".local/share/opencode/auth.json").exists());
    // The user's own configuration, not kugetsu's, names the provider here.
    world.run(["env", "rm", "OPENCODE_CONFIG_CONTENT"]);
    let config = world.home.user().join(".config/opencode");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("opencode.json"), model.opencode_config()).unwrap();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &message([Step::Say("hello".to_owned())]));
    assert_eq!(code, 0, "{run}");
    assert!(
        model.turn_requests().iter().all(|request| request.authorization.as_deref() == Some("Bearer scripted-key"))
    );
    assert!(!model.turn_requests().is_empty());
    let session = world.records("local/demo#1", "session");
    assert!(session[0]["model"].as_str().unwrap().starts_with("mock/"), "{session:?}");
}

#[test]
fn needs_opencode_hanging_model_ends_at_the_silence_limit() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    // In a sandbox, the process could not leave its number outside.
    world.run(["config", "set", "run.sandbox", "off"]);
    let repository = world.repository("demo");
    let pid = world.home.path().join("pid");
    let leave = Step::bash(&format!(
        "setsid env -i sleep 7777 >/dev/null 2>&1 & echo $! > {}; echo kept > kept.txt",
        pid.display()
    ));
    let hang: Script = serde_json::from_str(r#"[{"hang": {"text": "and then"}}]"#).unwrap();
    let steps = std::iter::once(leave).chain(hang.steps);
    let reference = world.queue(&repository, &message(steps));
    let hangs = "the model to hang";
    eventually_within(TIMEOUT, hangs, || (model.turn_requests().len() >= 2 && pid.exists()).then_some(()));
    world.run(["config", "set", "run.silence", "2s"]);
    let run = world.await_state(&reference, "timeout");
    assert!(run["reason"].as_str().unwrap().contains("run.silence"), "{run}");
    assert!(!is_alive(std::fs::read_to_string(pid).unwrap().trim().parse().unwrap()));
    assert_eq!(world.processes("opencode"), Vec::<i32>::new());
    assert_eq!(world.processes("sleep 7777"), Vec::<i32>::new());
    assert!(world.worktree("local/demo#1").join("kept.txt").exists());
    assert_eq!(world.json(["rescue", "list", "--json"]).as_array().unwrap().len(), 1);
}

/// opencode waits in silence for as long as the provider asks it to.
#[test]
fn needs_opencode_limit_of_the_provider_pauses_the_task() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    let repository = world.repository("demo");
    let limit: Script =
        serde_json::from_str(r#"[{"status": {"code": 429, "times": 99, "retry_after": 7200}}]"#).unwrap();
    let reference = world.queue(&repository, &message(limit.steps));
    eventually_within(TIMEOUT, "the limit", || (!model.turn_requests().is_empty()).then_some(()));
    world.run(["config", "set", "run.silence", "5s"]);
    let run = eventually_within(TIMEOUT, "the pause", || {
        let run = world.latest(&reference);
        if run["not_before"].is_string() { Ok(run) } else { Err(run) }
    });
    assert_eq!(run["state"], "queued", "{run}");
    let until: jiff::Timestamp = run["not_before"].as_str().unwrap().parse().unwrap();
    let minutes = until.duration_since(jiff::Timestamp::now()).as_mins();
    assert!((100..=120).contains(&minutes), "{run}");
    let held = world.queue(&repository, &message([Step::Say("held".to_owned())]));
    let why = world.run(["why", &held]);
    assert!(why.contains("is limited by its provider") && why.contains("kugetsu resume --agent opencode"), "{why}");
    assert_eq!(world.processes("opencode"), Vec::<i32>::new());
}

#[test]
fn needs_opencode_refused_permission_blocks_the_task() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    world.run(["config", "set", "agent.permissions", "refuse"]);
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &message([Step::bash("cat /etc/hostname")]));
    if code != 3 {
        // opencode need not ask about this command, but it always asks about a file outside the worktree.
        let (run, code) = world.start(&repository, &message([Step::write("/var/tmp/kugetsu-outside.txt", "x")]));
        assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
        return;
    }
    assert_eq!(run["state"], "blocked", "{run}");
}

#[test]
fn needs_opencode_imported_session_continues_if_its_directory_is_the_worktree() {
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    let server = Repository::bare_at(world.home.path().join("server.git"));
    let project = world.repository("project");
    project.git(["push", "-q", &server.url(), "main"]);
    let home = world.home.kugetsu();
    std::fs::write(home.join("repos.json"), json!({"github.com/acme/api": server.path()}).to_string()).unwrap();
    std::fs::create_dir_all(home.join("sessions")).unwrap();
    // As the script ran it: the session belongs to the directory, which in some versions was not the worktree.
    let opencode = |directory: &Path, args: &[&str]| {
        let mut command = world.home.command("opencode");
        command.envs(model.opencode_env()).args(args).current_dir(directory);
        let output = world.home.run_within(TIMEOUT, &mut command);
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let import_session = |number: u32, in_worktree: bool| {
        let name = format!("github.com-acme-api-{number}");
        let worktree = home.join("worktrees").join(&name);
        let clone = Repository::clone_at(&server.url(), &worktree, &[]);
        clone.git(["switch", "-q", "-c", &format!("fix/issue-{number}")]);
        let directory = if in_worktree { clone.path() } else { project.path() };
        opencode(directory, &["run", &format!("the script asks in {number}")]);
        let all: Value = serde_json::from_str(&opencode(directory, &["session", "list", "--format", "json"])).unwrap();
        let id = all[0]["id"].as_str().unwrap().to_owned();
        let session = json!({"type": "forked", "opencode_session_id": id, "worktree_path": worktree, "state": "idle",
                             "created_at": "2026-03-29T11:00:00Z"});
        std::fs::write(home.join("sessions").join(format!("{name}.json")), session.to_string()).unwrap();
        id
    };
    let (same, elsewhere) = (import_session(14, true), import_session(15, false));
    let report = world.json(["init", "--json"]);
    let continue_issue = |number: u32| {
        let reference = format!("github.com/acme/api#{number}");
        let output = world.attempt(["continue", &reference, &message(work().into_iter().skip(1)), "--wait", "--json"]);
        let (run, code) = ended(&output);
        assert_eq!((code, &run["pushed"]), (0, &true.into()), "{run} {report:#}");
        assert_eq!(server.show_text(&format!("fix/issue-{number}"), "a.txt"), "one\n");
        (run["session_id"].as_str().unwrap().to_owned(), model.turn_requests().pop().unwrap().texts("user").join("\n"))
    };
    let (session, seen) = continue_issue(14);
    assert_eq!(session, same);
    assert!(seen.contains("the script asks in 14"), "{seen}");
    let (session, seen) = continue_issue(15);
    assert_ne!(session, elsewhere);
    assert!(!seen.contains("the script asks in 15"), "{seen}");
    let stdout = world.run(["logs", "github.com/acme/api#15"]);
    assert!(stdout.contains("a new session takes over"), "{stdout}");
}

#[test]
fn needs_opencode_concurrent_starts_have_separate_sessions() {
    /// One more than there are slots.
    const COUNT: usize = 4;
    let model = ModelServer::start(Script::say("hello"));
    let Some(world) = world(&model) else { return };
    let repository = world.repository("demo");
    let children: Vec<_> = (0..COUNT)
        .map(|index| {
            let steps =
                [Step::bash(&format!("pwd; echo {index} > own-{index}.txt && git add . && git commit -qm mine"))];
            let mut command = world.command(repository.path(), ["start", ".", &message(steps)]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let runs = eventually_within(TIMEOUT, "all runs to end", || {
        let all = world.json(["list", "--json"]).as_array().unwrap().clone();
        assert!(all.iter().filter(|run| run["state"] == "running").count() <= 3);
        let has_ended = |run: &&serde_json::Value| !["queued", "running"].contains(&run["state"].as_str().unwrap());
        (all.iter().filter(has_ended).count() == COUNT).then_some(all)
    });
    let mut sessions = std::collections::BTreeSet::new();
    for run in &runs {
        assert_eq!(run["state"], "done", "{run}");
        sessions.insert(run["session_id"].as_str().unwrap().to_owned());
        let worktree = Repository::open(run["worktree"].as_str().unwrap());
        let own = std::fs::read_dir(worktree.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("own-"));
        assert_eq!(own.count(), 1, "{run}");
    }
    assert_eq!(sessions.len(), COUNT);
}

#[test]
fn needs_opencode_delegate_pushes_two_branches_and_reports_once() {
    let model = ModelServer::start(Script::say("Both are fixed, and nothing is left to decide."));
    let Some(world) = world(&model) else { return };
    let token = "server-token-123456";
    let server = GitServer::start(token);
    for project in ["acme/one", "acme/two"] {
        server.add_repository_from(project, &Repository::with_commit());
    }
    let path = world.home.kugetsu().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap_or_default();
    let config = format!("{config}\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", server.base_url());
    std::fs::write(path, config).unwrap();
    world.run(["env", "set", "GITEA_TOKEN", token]);

    let reference = |project: &str| format!("{}/{project}/issues/7", server.base_url());
    let start = |project: &str| {
        let task = message(work().into_iter().skip(1));
        Step::call("kugetsu_start", json!({"issue": reference(project), "message": task}))
    };
    let escape = Step::bash("echo bad > ../escaped; ls .. | head -3");
    let script = Script::new([
        escape,
        Step::call("kugetsu_list", json!({})),
        start("acme/one"),
        start("acme/two"),
        Step::Say("Started both.".to_owned()),
    ]);
    let text = format!("work on {} and {}\n{}", reference("acme/one"), reference("acme/two"), script.as_message());
    world.run(["delegate", &text]);
    let coordinators = |count: usize| {
        eventually_within(TIMEOUT, "the coordinator to finish", || {
            let all = world.json(["queue", "list", "--all", "--json"]);
            let own = all.as_array().unwrap().iter().filter(|task| task["issue"] == "pm").cloned();
            let own: Vec<_> = own.collect();
            let done = own.iter().all(|task| task["state"] == "done");
            if own.len() == count && done { Ok(own) } else { Err(all) }
        })
    };
    let tasks = coordinators(2);
    for project in ["acme/one", "acme/two"] {
        let run = world.latest(&format!("{}#7", reference(project).replace("http://", "").replace("/issues/7", "")));
        assert_eq!((run["state"].as_str(), &run["pushed"]), (Some("done"), &true.into()), "{run}");
        assert_eq!(server.repository(project).show_text(run["branch"].as_str().unwrap(), "a.txt"), "one\n");
    }
    let answers: Vec<_> = tasks.iter().map(|task| task["reason"].as_str().unwrap()).collect();
    assert_eq!(answers, ["Started both.", "Both are fixed, and nothing is left to decide."], "one report");
    assert!(!world.home.kugetsu().join("escaped").exists());
    assert_eq!(world.processes("opencode"), Vec::<i32>::new(), "an idle coordinator has no process");

    let requests_before = model.turn_requests().len();
    world.run(["delegate", "--anyway", "and what did I ask before?"]);
    coordinators(3);
    let last = model.turn_requests().pop().unwrap();
    assert!(last.texts("user").join("\n").contains("work on http"), "the session continues");
    assert_eq!(model.turn_requests().len(), requests_before + 1, "one request to the model per message");
}
