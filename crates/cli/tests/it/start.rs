//! `start`: from an issue to a pushed branch.

use kugetsu_testkit::{Repository, eventually};

use crate::world::{World, script};

#[test]
fn start_pushes_a_branch_for_an_issue() {
    let world = World::new();
    let repository = world.repository("demo");
    let before = repository.head();
    let (run, code) =
        world.start(&repository, &script(&["say I fix it", "write fixed.txt yes", "commit fix the test"]));
    assert_eq!(code, 0, "{run}");
    assert_eq!(run["issue"], "local/demo#1");
    assert_eq!(run["state"], "done", "{run}");
    assert_eq!(run["agent"], "scripted");
    assert_eq!(run["branch"], "kugetsu/1-do-the-job");
    assert_eq!(run["base_sha"], before);
    assert_eq!(run["commits"], 1);
    assert_eq!(run["pushed"], true);
    assert_eq!(repository.resolve("kugetsu/1-do-the-job"), run["head_sha"].as_str().map(str::to_owned));
    assert_eq!(repository.show_text("kugetsu/1-do-the-job", "fixed.txt"), "yes\n");
    assert_eq!(repository.head(), before, "the user's branch is unchanged");
    assert_eq!(world.agent_text("local/demo#1").trim(), "I fix it");
}

#[test]
fn run_object_has_exactly_the_documented_fields() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a b", "commit c"]));
    let mut fields: Vec<&String> = run.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "agent",
            "base_sha",
            "branch",
            "change_state",
            "commits",
            "destroyed",
            "ended_at",
            "head_sha",
            "hint",
            "issue",
            "not_before",
            "pr_url",
            "pushed",
            "queued_at",
            "reason",
            "run",
            "session_id",
            "started_at",
            "state",
            "task",
            "usage",
            "worktree"
        ]
    );
    let mut usage: Vec<&String> = run["usage"].as_object().unwrap().keys().collect();
    usage.sort();
    assert_eq!(usage, ["cost_usd", "input_tokens", "output_tokens"]);
    assert!(run["usage"]["cost_usd"].as_f64().unwrap() > 0.0, "{run}");
    assert!(run["session_id"].as_str().unwrap().starts_with("ses_"), "{run}");
    let listed = world.json(["list", "--json"]);
    assert_eq!(listed.as_array().unwrap(), std::slice::from_ref(&run));
}

#[test]
fn agent_runs_in_the_worktree() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["pwd", "run echo shell $PWD $(pwd)"]));
    let worktree = run["worktree"].as_str().unwrap().to_owned();
    let assert_directory = |text: &str| {
        for line in [format!("process {worktree}"), format!("PWD {worktree}"), format!("session {worktree}")] {
            assert!(text.contains(&line), "{line}: {text}");
        }
    };
    assert_directory(&world.agent_text("local/demo#1"));
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(tools[0]["output"].as_str().unwrap().contains(&format!("shell {worktree} {worktree}")), "{tools:?}");
    world.run_in(repository.path(), ["continue", ".", &script(&["pwd"]), "--wait"]);
    assert_directory(&world.agent_text("local/demo#1"));
}

#[test]
fn worktree_has_the_files_of_the_repository() {
    let world = World::new();
    let repository = world.repository("demo");
    repository.write_odd_names("odd");
    repository.commit("odd names");
    let (run, _) = world.start(&repository, &script(&["run git status --porcelain && echo looked"]));
    let worktree = std::path::Path::new(run["worktree"].as_str().unwrap());
    for file in repository.files("HEAD") {
        assert!(worktree.join(&file).symlink_metadata().is_ok(), "{}", file.display());
    }
    let tools = world.records("local/demo#1", "tool_ended");
    assert_eq!(tools[0]["output"].as_str().unwrap().trim(), "looked", "the worktree is clean");
}

#[test]
fn session_starts_with_base_context_and_task() {
    let world = World::new();
    world.run(["init"]);
    let base = world.home.kugetsu().join("base/context.md");
    let mut text = std::fs::read_to_string(&base).unwrap();
    assert!(text.contains("stop and report it"), "{text}");
    text.push_str("\n- Our house rule: be kind.\n");
    std::fs::write(&base, text).unwrap();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say one"]));
    world.run_in(repository.path(), ["continue", ".", &script(&["history"]), "--wait"]);
    let prompts = world.records("local/demo#1", "prompt");
    let first = prompts[0]["text"].as_str().unwrap();
    assert!(first.starts_with("# How you work here"), "{first}");
    assert!(first.contains("be kind") && first.contains("local/demo") && first.contains("credentials"), "{first}");
    assert!(first.contains("do the job"), "{first}");
    let second = prompts[1]["text"].as_str().unwrap();
    assert!(second.starts_with("do the job"), "the base context is sent once per session: {second}");
}

#[test]
fn env_file_variables_reach_the_agent() {
    let world = World::new();
    world.run(["env", "set", "PLAIN", "a value"]);
    let file = world.home.kugetsu().join("env/default.env");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("export EXPORTED=\"an exported one\"\n");
    std::fs::write(&file, text).unwrap();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["env PLAIN", "env EXPORTED", "run echo tool $EXPORTED"]));
    let agent_text = world.agent_text("local/demo#1");
    assert!(agent_text.contains("PLAIN=a value") && agent_text.contains("EXPORTED=an exported one"), "{agent_text}");
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(tools[0]["output"].as_str().unwrap().contains("tool an exported one"));
}

#[test]
fn printed_secret_is_masked_everywhere() {
    let world = World::new();
    world.run(["env", "set", "GITEA_TOKEN", "topsecret-123456"]);
    world.run(["config", "set", "run.credentials", "env"]);
    let repository = world.repository("demo");
    world.start(&repository, &script(&["env GITEA_TOKEN", "run echo $GITEA_TOKEN; env | grep TOKEN"]));
    let shown = world.run(["env", "show"]);
    let logs = world.run(["logs", "local/demo#1"]) + &world.run(["logs", "local/demo#1", "--json"]);
    assert!(!shown.contains("topsecret") && !logs.contains("topsecret"), "{shown}\n{logs}");
    assert!(logs.contains("***"), "{logs}");
    assert_eq!(world.run(["env", "get", "GITEA_TOKEN"]).trim(), "topsecret-123456");
    let mut files = vec![world.home.kugetsu()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_none_or(|ending| ending != "env")
            && let Ok(bytes) = std::fs::read(&path)
        {
            assert!(!bytes.windows(9).any(|window| window == b"topsecret"), "{}", path.display());
        }
    }
}

#[test]
fn agents_shell_never_waits_for_a_terminal() {
    let mut world = World::new();
    world.home.set("EDITOR", "vi");
    let repository = world.repository("demo");
    let (run, code) = world.start(
        &repository,
        &script(&[
            "write a.txt a",
            "commit one",
            "run git commit --amend && git rebase -i HEAD~1 && git log && git tag -a v1 -m x && echo survived",
            "env GIT_TERMINAL_PROMPT",
            "env PAGER",
        ]),
    );
    assert_eq!(code, 0, "{run}");
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(tools.iter().any(|tool| tool["output"].as_str().unwrap().contains("survived")), "{tools:?}");
    assert!(world.agent_text("local/demo#1").contains("GIT_TERMINAL_PROMPT=0"));
}

#[test]
fn each_run_has_its_own_temporary_directory() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) =
        world.start(&repository, &script(&["env TMPDIR", "env KUGETSU_TEMP_DIR", "run f=$(mktemp) && echo made $f"]));
    let run_directory = world.home.kugetsu().join("runs").join(run["run"].as_str().unwrap());
    let text = world.agent_text("local/demo#1");
    let expected = run_directory.join("tmp");
    assert!(text.contains(&format!("TMPDIR={}", expected.display())), "{text}");
    assert!(text.contains(&format!("KUGETSU_TEMP_DIR={}", expected.display())), "{text}");
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(tools[0]["output"].as_str().unwrap().contains(&format!("made {}", expected.display())), "{tools:?}");
    eventually("the directory to be removed", || if expected.exists() { Err("there") } else { Ok(()) });
}

#[test]
fn work_in_the_temporary_directory_is_rescued_before_it_is_removed() {
    let world = World::new();
    let repository = world.repository("demo");
    let linked = "run git worktree add -q $TMPDIR/wt -b wtb && echo W > $TMPDIR/wt/w";
    let clone = "run git init -q $TMPDIR/new && echo N > $TMPDIR/new/n";
    let (run, code) = world.start(&repository, &script(&[linked, clone, "write a b", "commit c"]));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    let reason = run["reason"].as_str().unwrap();
    assert!(
        reason.contains("rescued what the agent left in its temporary directory as refs/kugetsu/rescue/1/"),
        "{reason}"
    );
    let directory = world.home.kugetsu().join("runs").join(run["run"].as_str().unwrap()).join("tmp");
    eventually("the directory to be removed", || if directory.exists() { Err("there") } else { Ok(()) });
    let back = world.home.path().join("back");
    world.run(["rescue", "restore", "local/demo#1", "--to", back.to_str().unwrap()]);
    let back = Repository::open(&back);
    let names = back.git(["for-each-ref", "--format=%(refname)", "refs/kugetsu/inner"]);
    let show = |name: &str, file: &str| {
        let name = names.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{names}"));
        back.git(["show", &format!("{name}:{file}")])
    };
    assert_eq!(show("/wt/", "w"), "W");
    assert_eq!(show("TMPDIR/new/", "n"), "N");
}

#[test]
fn uncommitted_files_block_the_task() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write left.txt over"]));
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert_eq!((&run["pushed"], &run["commits"]), (&false.into(), &0.into()));
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("no commits") && reason.contains("left.txt"), "{reason}");
    assert!(!reason.contains("kugetsu continue"), "{reason}");
    assert!(run["hint"].as_str().unwrap().contains("kugetsu continue local/demo#1"), "{run}");
}

#[test]
fn empty_and_partial_repositories_work() {
    let world = World::new();
    let source = world.repository("source");
    source.commit_files("second", &[("b", "b")]);
    let empty = Repository::at(world.home.path().join("empty"));
    let partial = source.partial_clone();
    for repository in [&empty, &partial] {
        let (run, code) = world.start(repository, &script(&["write new.txt new", "commit add a file"]));
        assert_eq!(code, 0, "{}: {run}", repository.path().display());
        assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "new.txt"), "new\n");
    }
}

#[test]
fn commits_have_the_users_identity_and_are_not_signed() {
    let world = World::new();
    let repository = world.repository("demo");
    repository.git(["config", "user.name", "The Owner"]);
    repository.git(["config", "user.email", "owner@example.invalid"]);
    repository.git(["config", "commit.gpgSign", "true"]);
    repository.git(["config", "gpg.program", "/bin/false"]);
    let (run, code) = world.start(&repository, &script(&["write a b", "run git add . && git commit -m mine"]));
    assert_eq!(code, 0, "{run}");
    let author = repository.git(["log", "-1", "--format=%an <%ae>", run["branch"].as_str().unwrap()]);
    assert_eq!(author.trim(), "The Owner <owner@example.invalid>");
}

#[test]
fn base_and_model_options_are_used() {
    let world = World::new();
    let repository = world.repository("demo");
    repository.branch("release/1");
    let release = repository.head();
    repository.commit_files("later", &[("later.txt", "x")]);
    let message = script(&["model", "run ls"]);
    let args = ["start", ".", &message, "--base", "release/1", "--model", "scripted/two", "--wait", "--json"];
    let (run, code) = crate::world::ended(&world.try_in(repository.path(), args));
    assert_eq!(code, 0, "{run}");
    assert_eq!(run["base_sha"], release);
    assert!(world.agent_text("local/demo#1").contains("model scripted/two"), "{}", world.agent_text("local/demo#1"));
    let unknown = ["start", ".", &message, "--base", "relaese/1", "--wait", "--json"];
    let refused = world.try_in(repository.path(), unknown);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("has no branch relaese/1; there is release/1"), "a similar name is suggested: {error}");
    assert_eq!(world.json(["list", "--all", "--json"]).as_array().unwrap().len(), 1, "no number is taken");
    let model = ["start", ".", &message, "--model", "scripted/three", "--wait", "--json"];
    let (run, code) = crate::world::ended(&world.try_in(repository.path(), model));
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["hint"].as_str().unwrap().contains("scripted/two"), "the models are listed: {run}");
}

#[test]
fn linked_worktree_starts_from_its_branch() {
    let world = World::new();
    let repository = world.repository("demo");
    let linked = world.home.path().join("linked");
    repository.git(["worktree", "add", "-q", "-b", "feature", linked.to_str().unwrap()]);
    let there = Repository::open(&linked);
    let head = there.commit_files("on the feature", &[("feature.txt", "x\n")]);
    let (run, code) = world.start(&there, &script(&["run ls"]));
    assert_eq!((code, run["base_sha"].as_str()), (0, Some(head.as_str())), "{run}");
    let (run, _) = world.start(&repository, &script(&["run ls"]));
    assert_eq!(run["base_sha"].as_str(), Some(repository.head().as_str()), "{run}");
}

#[test]
fn masking_does_not_change_facts() {
    let world = World::new();
    world.run(["env", "set", "DB_PASSWORD", "postgres"]);
    world.run(["env", "set", "PIN_SECRET", "123456"]);
    let repository = world.repository("postgres-tools");
    let steps = script(&["usage 0.5 123456 42", "say postgres it is", "write a b", "commit upgrade postgres"]);
    let (run, code) = world.start(&repository, &format!("upgrade postgres\n{steps}"));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(run["branch"], "kugetsu/1-upgrade-postgres");
    assert_eq!(run["usage"]["input_tokens"], 123_456, "{run}");
    assert_eq!(repository.resolve("kugetsu/1-upgrade-postgres"), run["head_sha"].as_str().map(str::to_owned));
    let reference = run["issue"].as_str().unwrap();
    assert!(world.agent_text(reference).contains("*** it is"), "{}", world.agent_text(reference));
    let steps = script(&["write c d", "commit more"]);
    world.run_in(repository.path(), ["continue", reference, &steps, "--wait"]);
    let worktree = world.worktree(reference);
    assert!(worktree.ends_with("local-postgres-tools-1") || worktree.exists(), "{}", worktree.display());
    world.run_in(repository.path(), ["destroy", reference, "-y"]);
    assert!(!worktree.exists(), "the worktree is removed");
}

#[test]
fn quoted_secret_is_masked() {
    let world = World::new();
    // Its letters are no hex digits: the IDs of sessions and calls are random.
    let secret = "xyz'uvw\"pqr";
    world.run(["env", "set", "ODD_TOKEN", secret]);
    let repository = world.repository("demo");
    let commands = [
        "run echo $ODD_TOKEN",
        "env ODD_TOKEN",
        "run printf x-access-token:%s \"$ODD_TOKEN\" | base64",
        "run export -p",
        "permission use xyz'uvw\"pqr",
        "run echo 'xyz'\\''uvw\"pqr'",
    ];
    world.start(&repository, &script(&commands));
    let logs = world.run(["logs", "local/demo#1"]) + &world.run(["logs", "local/demo#1", "--json"]);
    assert!(!logs.contains("uvw\"") && !logs.contains("uvw\\") && !logs.contains("eHl6J3V2d"), "{logs}");
    assert!(world.records("local/demo#1", "tool_started").iter().any(|tool| tool["input"].to_string().contains("***")));
    assert_eq!(world.run(["env", "get", "ODD_TOKEN"]).trim(), secret);
}

#[test]
fn diff_and_path_show_the_work_of_an_issue() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit one", "write b.txt b"]));
    let diff = world.run_in(repository.path(), ["diff", "."]);
    assert!(diff.contains("+++ b/a.txt") && diff.contains("+++ b/b.txt"), "{diff}");
    assert!(world.run(["diff", "local/demo#1", "--stat"]).contains("2 files changed"));
    let path = world.run_in(repository.path(), ["path", "."]);
    assert_eq!(std::fs::read_to_string(format!("{}/b.txt", path.trim_end())).unwrap(), "b\n");
    let away = world.home.path().join("away");
    std::fs::rename(path.trim_end(), &away).unwrap();
    for command in ["diff", "path"] {
        let output = world.attempt([command, "local/demo#1"]);
        let text = crate::world::shown(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("is missing") && text.contains("kugetsu continue local/demo#1"), "{text}");
    }
    std::fs::rename(&away, path.trim_end()).unwrap();
    world.run(["destroy", "local/demo#1", "--discard"]);
    for command in ["diff", "path"] {
        let output = world.attempt([command, "local/demo#1"]);
        assert_eq!(output.status.code(), Some(2), "{}", crate::world::shown(&output));
        assert!(crate::world::shown(&output).contains("kugetsu rescue list"), "{}", crate::world::shown(&output));
    }
}

#[test]
fn path_warns_about_what_programs_would_execute() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let output = world.attempt(["path", "local/demo#1"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let path = String::from_utf8(output.stdout).unwrap();

    world.start(&repository, &script(&["write .envrc x", "commit one"]));
    let output = world.attempt(["path", "local/demo#2"]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("outside of its sandbox: .envrc; look at it before"), "{warning}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1, "{path}");
}
