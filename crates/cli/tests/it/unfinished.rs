//! Turns that end well, but leave work where nothing pushes it.

use kugetsu_testkit::Repository;
use serde_json::Value;

use crate::world::{World, ended, script};

fn continue_with(world: &World, repository: &Repository, steps: &[&str]) -> (Value, i32) {
    ended(&world.try_in(repository.path(), ["continue", ".", &script(steps), "--wait", "--json"]))
}

#[track_caller]
fn assert_blocked((run, code): (Value, i32), parts: &[&str]) {
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    let (reason, hint) = (run["reason"].as_str().unwrap(), run["hint"].as_str().unwrap());
    assert!(!reason.contains("kugetsu continue"), "the hint is apart from it: {run}");
    for part in parts {
        assert!(reason.contains(part) || hint.contains(part), "{part}: {run}");
    }
}

#[test]
fn unfinished_rebase_is_not_pushed_and_the_next_prompt_names_it() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt mine", "commit mine"]));
    let (branch, pushed) = (run["branch"].as_str().unwrap().to_owned(), run["head_sha"].clone());
    repository.commit_files("theirs", &[("a.txt", "theirs\n")]);
    let steps = ["write b.txt b", "commit second", "run git fetch -q; git rebase -q origin/main; git status | head -3"];
    assert_blocked(continue_with(&world, &repository, &steps), &["a rebase is unfinished", "git rebase --abort"]);
    assert_eq!(repository.git(["rev-parse", &branch]).trim(), pushed.as_str().unwrap());

    let (run, code) = continue_with(&world, &repository, &["run git rebase --abort"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(repository.show_text(&branch, "b.txt"), "b\n");
    let prompts = world.records("local/demo#1", "prompt");
    let notes: Vec<bool> = prompts
        .iter()
        .map(|prompt| prompt["text"].as_str().unwrap().contains("a rebase is unfinished in this worktree"))
        .collect();
    assert_eq!(notes, [false, false, true]);
}

#[test]
fn stashed_work_blocks_the_task() {
    let world = World::new();
    let repository = world.repository("demo");
    let stash = "run git stash -q --include-untracked";
    let (run, code) = world.start(&repository, &script(&["write a.txt a", stash]));
    assert_blocked((run, code), &["not pushed: stash ", "kugetsu continue local/demo#1"]);
    assert_blocked(continue_with(&world, &repository, &["say it is still there"]), &["stash "]);
    let (run, code) = continue_with(&world, &repository, &["run git stash pop -q", "commit a"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    // Also when the branch was pushed before.
    assert_blocked(continue_with(&world, &repository, &["write b.txt b", stash]), &["1 commit pushed", "stash "]);
}

#[test]
fn uncommitted_rest_is_committed_if_the_setting_says_so() {
    let world = World::new();
    world.run(["config", "set", "run.uncommitted", "commit"]);
    let repository = world.repository("demo");
    let steps = ["write a.txt a", "commit first", "write b.txt b", "say Add b\n\nBecause it was missing."];
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["commits"], &run["pushed"]), (&2.into(), &true.into()), "{run}");
    let branch = run["branch"].as_str().unwrap();
    assert_eq!(repository.show_text(branch, "b.txt"), "b\n");
    assert!(repository.git(["log", "-1", "--format=%s", branch]).starts_with("Add b"));
    // The agent continues on top of it.
    let (run, code) = continue_with(&world, &repository, &["run git status --porcelain", "write c.txt c", "commit c"]);
    assert_eq!((&run["commits"], code), (&3.into(), 0), "{run}");
}

#[test]
fn branch_with_commits_of_another_branch_is_pushed() {
    let world = World::new();
    let repository = world.repository("demo");
    repository.git(["switch", "-q", "-c", "other"]);
    repository.commit_files("other", &[("o.txt", "o\n")]);
    repository.git(["switch", "-q", "main"]);
    let (run, code) = world.start(&repository, &script(&["run git merge -q --ff-only origin/other"]));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &true.into()), "{run}");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "o.txt"), "o\n");

    // The same commit on the branches of two issues.
    let same = "run GIT_AUTHOR_DATE='@1 +0000' GIT_COMMITTER_DATE='@1 +0000' git commit -q --allow-empty -m same";
    let runs = [(); 2].map(|()| world.start(&repository, &script(&[same])).0);
    assert_eq!(runs[0]["head_sha"], runs[1]["head_sha"]);
    for run in runs {
        assert_eq!(
            (&run["state"], &run["commits"], &run["pushed"]),
            (&"done".into(), &1.into(), &true.into()),
            "{run}"
        );
        assert_eq!(repository.git(["rev-parse", run["branch"].as_str().unwrap()]).trim(), run["head_sha"]);
    }
}

#[test]
fn merged_and_deleted_branch_is_not_pushed_again_by_a_question() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let branch = run["branch"].as_str().unwrap().to_owned();
    repository.git(["merge", "--quiet", &branch]);
    repository.git(["branch", "--delete", &branch]);
    let (run, code) = continue_with(&world, &repository, &["say what I did"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &false.into()), "{run}");
    assert_eq!(repository.git(["branch", "--list", &branch]), "");
}

#[test]
fn push_that_a_hook_keeps_open_counts_if_the_branch_arrived() {
    let world = World::new();
    let repository = world.repository("demo");
    let hook = repository.path().join(".git/hooks/post-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nsleep 120\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.run(["config", "set", "run.timeout", "8s"]);
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["pushed"], &run["commits"]), (&true.into(), &1.into()), "{run}");
    let notices = world.records("local/demo#1", "notice");
    assert!(notices.iter().any(|notice| notice["text"].as_str().unwrap().contains("the server has the branch")));
}

#[test]
fn agents_do_not_inherit_git_variables_and_do_not_commit_into_a_repository_around_the_home() {
    let mut world = World::new();
    // As in a git hook.
    world.home.set("GIT_AUTHOR_NAME", "Hook");
    world.home.set("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z");
    world.home.set("GIT_CONFIG_COUNT", "1");
    world.home.set("GIT_CONFIG_KEY_0", "user.name");
    world.home.set("GIT_CONFIG_VALUE_0", "Hook");
    world.home.set("GIT_EXTERNAL_DIFF", "false");
    world.home.set("GIT_QUARANTINE_PATH", "/nowhere");
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a", "run env | grep ^GIT_ | sort"]));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    let author = repository.git(["log", "-1", "--format=%an %ad", "--date=format:%Y", run["branch"].as_str().unwrap()]);
    assert!(!author.contains("Hook") && !author.contains("2020"), "{author}");
    let tools = world.records("local/demo#1", "tool_ended");
    let variables = tools.last().unwrap()["output"].as_str().unwrap().to_owned();
    assert!(!variables.contains("Hook") && !variables.contains("GIT_EXTERNAL_DIFF"), "{variables}");

    // The dotfiles of the user, above the worktree.
    let git = |args: &[&str]| {
        let mut command = world.home.command("git");
        world.home.run(command.args(args).env_remove("GIT_QUARANTINE_PATH").current_dir(world.home.path()))
    };
    assert!(git(&["init", "--quiet"]).status.success());
    let steps = ["run rm -rf .git; git add -A; git commit -qm mine; git rev-parse --show-toplevel"];
    continue_with(&world, &repository, &steps);
    let log = git(&["log", "--oneline"]);
    assert!(!log.status.success(), "{}", String::from_utf8_lossy(&log.stdout));
}

#[test]
fn broken_worktree_blocks_the_run_and_is_created_again_with_its_files_rescued() {
    let world = World::new();
    let repository = world.repository("demo");
    let breaks = [
        ("rm -rf .git", "was removed"),
        ("rm -rf .git && git init -q && git add -A && git commit -qm foreign", "replaced by another repository"),
        ("echo rubbish > .git/index", ".git/index"),
        ("echo rubbish > .git/config", ".git/config"),
        ("rm .git/HEAD", ".git/HEAD"),
        ("rm .git/objects/info/alternates", "alternates"),
    ];
    let (run, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let branch = run["branch"].as_str().unwrap().to_owned();
    for (number, (command, part)) in breaks.into_iter().enumerate() {
        let (name, second) = (format!("left-{number}.txt"), format!("write b-{number}.txt b"));
        let steps = [format!("write {name} kept"), format!("run {command}")];
        let run = continue_with(&world, &repository, &steps.each_ref().map(String::as_str));
        assert_blocked(run, &["the worktree is damaged", part]);
        let before = repository.git(["rev-parse", &branch]);
        let (run, code) = continue_with(&world, &repository, &[&second, "commit more"]);
        assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{command}: {run}");
        assert_eq!(repository.git(["rev-parse", &format!("{branch}~1")]), before, "{command}");
        let prompts = world.records("local/demo#1", "prompt");
        let prompt = prompts.last().unwrap()["text"].as_str().unwrap();
        assert!(prompt.contains("Your worktree was damaged") && prompt.contains("git restore --source"), "{prompt}");
        let commit = prompt.split("is the commit ").nth(1).unwrap().split('.').next().unwrap();
        let worktree = world.worktree("local/demo#1");
        let show = world.home.command("git").args(["show", &format!("{commit}:{name}")]).current_dir(worktree).output();
        assert_eq!(String::from_utf8(show.unwrap().stdout).unwrap(), "kept\n", "{command}");
    }
}

#[test]
fn secret_in_a_commit_stops_the_push_until_it_is_allowed() {
    let world = World::new();
    world.run(["env", "set", "DEPLOY_TOKEN", "dt-0123456789abcdef"]);
    let repository = world.repository("demo");
    let (run, code) = world.start(
        &repository,
        &script(&["write ok.txt ok", "commit ok", "run echo $DEPLOY_TOKEN > leak.txt", "commit leak"]),
    );
    let reason = run["reason"].as_str().unwrap().to_owned();
    let branch = run["branch"].as_str().unwrap().to_owned();
    assert_blocked(
        (run, code),
        &["the file leak.txt in commit ", " contains the value of DEPLOY_TOKEN", "run.allow_secrets"],
    );
    assert!(!reason.contains("later commits"), "{reason}");
    assert!(!reason.contains("dt-0123"), "{reason}");
    assert_eq!(repository.git(["branch", "--list", &branch]), "");
    // A later commit that removes it is not enough: the history would be pushed.
    assert_blocked(
        continue_with(&world, &repository, &["run git rm -q leak.txt && git commit -qm gone"]),
        &["leak.txt in commit ", "later commits remove it, but the history would be pushed", "rewrite the commits"],
    );
    let message = "run git reset -q --hard HEAD~2 && git commit -q --allow-empty -m $DEPLOY_TOKEN";
    assert_blocked(
        continue_with(&world, &repository, &[message]),
        &["the message or author of commit", "DEPLOY_TOKEN"],
    );
    world.run(["config", "set", "run.allow_secrets", "OTHER, DEPLOY_TOKEN"]);
    let (run, code) = continue_with(&world, &repository, &["say it is a test value"]);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
}
