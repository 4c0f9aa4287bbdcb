//! Kills of single git calls through the whole program: each scenario is played once for each of its calls, and that call
//! dies before it starts, while it runs, or after it has succeeded and before its end is seen.
//!
//! All calls count, those of agents included. By default a few calls of each scenario are killed, spread over its
//! length; `KUGETSU_KILL_CALLS` sets another number, and with `cargo xtask test --full` every call is.

use std::fs;

use kugetsu_testkit::Repository;
use serde_json::json;

use super::case::Case;
use super::counting_git::CountingGit;
use super::invariants;
use super::ledger::Ending;
use super::random::{self, Random};
use super::variable;
use crate::world::{World, shown};

/// Calls of each scenario that are killed by default.
const SAMPLES: u64 = 2;

/// Fewer calls than any scenario has.
const CALLS_MIN: u64 = 80;

#[test]
fn killed_git_call_of_a_pushed_task_loses_nothing() {
    survives_a_kill_of_each_call(11, |case| {
        let repository = case.repositories[0].path().to_owned();
        let issue = queue(case, &repository, "start", ".", Ending::Committed);
        let user = case.world.home.user();
        queue(case, &user, "continue", &issue, Ending::Committed);
        case.destroy(&issue);
    });
}

#[test]
fn killed_git_call_of_uncommitted_work_loses_nothing() {
    survives_a_kill_of_each_call(12, |case| {
        let repository = case.repositories[0].path().to_owned();
        let issue = queue(case, &repository, "start", ".", Ending::Uncommitted);
        case.destroy(&issue);
    });
}

#[test]
fn killed_git_call_of_a_lost_run_loses_nothing() {
    survives_a_kill_of_each_call(13, |case| {
        let repository = case.repositories[0].path().to_owned();
        let issue = queue(case, &repository, "start", ".", Ending::Lost);
        case.destroy(&issue);
    });
}

#[test]
fn killed_git_call_of_a_refused_push_loses_nothing() {
    survives_a_kill_of_each_call(14, |case| {
        case.world.run(["env", "set", "DEPLOY_TOKEN", "s3cret-of-the-deployment"]);
        let repository = case.repositories[0].path().to_owned();
        let issue = queue(case, &repository, "start", ".", Ending::Secret);
        case.destroy(&issue);
    });
}

#[test]
fn killed_git_call_of_a_moved_repository_loses_nothing() {
    survives_a_kill_of_each_call(15, |case| {
        let repository = case.repositories[0].path().to_owned();
        let issue = queue(case, &repository, "start", ".", Ending::Committed);
        let moved = case.move_repository(0);
        let path = moved.to_str().expect("a path that is text");
        case.until_it_succeeds(&["repo", "move", "local/one", path]);
        let user = case.world.home.user();
        queue(case, &user, "continue", &issue, Ending::Uncommitted);
        case.destroy(&issue);
    });
}

#[test]
fn killed_git_call_of_an_adopted_clone_loses_nothing() {
    survives_a_kill_of_each_call(16, |case| {
        let home = case.world.home.kugetsu();
        let server = Repository::open(case.repositories[0].path());
        fs::write(home.join("repos.json"), json!({ "github.com/acme/api": server.path() }).to_string()).unwrap();
        let directory = home.join("worktrees/github.com-acme-api-7");
        fs::create_dir_all(home.join("worktrees")).unwrap();
        let clone = Repository::clone_at(&server.url(), &directory, &[]);
        clone.git(["switch", "-q", "-c", "fix/issue-7"]);
        clone.commit_files("work", &[("work.txt", "work\n")]);
        clone.write("stashed.txt", "stashed\n");
        clone.git(["stash", "push", "-q", "-u"]);
        clone.write("new.txt", "new\n");
        let session = json!({ "issue_ref": "github.com/acme/api#7", "worktree_path": directory });
        fs::create_dir_all(home.join("sessions")).unwrap();
        fs::write(home.join("sessions/a.json"), session.to_string()).unwrap();
        let state = |clone: &Repository| {
            let status = clone.git(["status", "--porcelain=v1", "--untracked-files=all"]);
            (clone.head(), status, clone.git(["stash", "list", "--format=%H"]))
        };
        let before = state(&clone);

        case.until_it_succeeds(&["init"]);
        assert_eq!(state(&Repository::open(&directory)), before);
        if case.issues().is_empty() {
            // The killed call left the clone as it was; nothing prevents another attempt.
            case.world.run(["init"]);
        }
        assert_eq!(case.issues(), ["github.com/acme/api#7"]);
        let user = case.world.home.user();
        let issue = queue(case, &user, "continue", "github.com/acme/api#7", Ending::Committed);
        if case.tasks().iter().all(|task| task["state"] != "done") {
            // A killed git fails a push, which says so. The work is still there. A killed commit of the agent's left a file, which
            // blocks.
            let pushed = case.world.attempt(["push", issue.as_str(), "--wait"]);
            let is_blocked = pushed.status.code() == Some(3) && shown(&pushed).contains("1 file is not committed");
            assert!(pushed.status.success() || is_blocked, "{}", shown(&pushed));
        }
        assert_eq!(server.show_text("fix/issue-7", "work.txt"), "work\n");
        case.destroy(&issue);
    });
}

/// Queues a task, again if the command fails, and waits for its end. Returns the issue.
fn queue(case: &mut Case, directory: &std::path::Path, verb: &str, reference: &str, ending: Ending) -> String {
    // One call is killed, so the second attempt meets none. The first may have been queued all the same.
    for _ in 0..2 {
        let name = case.next_name();
        let message = case.ledger.message_with(&name, ending);
        if case.queue(directory, verb, reference, name, &message) {
            case.await_ends();
            return case.confirmed.last().expect("a task").issue.clone();
        }
    }
    panic!("{verb} {reference} failed twice, and only one git call was killed");
}

fn survives_a_kill_of_each_call(number: u64, play: impl Fn(&mut Case)) {
    let seed = variable("KUGETSU_KILL_SEED").unwrap_or_else(random::new_seed);
    let mut random = Random::new(seed.wrapping_add(number));
    eprintln!("KUGETSU_KILL_SEED={seed} repeats the choices of this test");
    let samples = variable("KUGETSU_KILL_CALLS").unwrap_or(SAMPLES).max(1);
    // How many calls there are is known after the first kill.
    let (mut from, mut calls, mut sample) = (0, CALLS_MIN, 0);
    while from < calls && sample < samples {
        // One call of each of as many equal parts.
        let part = ((calls - from) / (samples - sample)).max(1);
        let call = 1 + from + random.below(part);
        let moment = *random.choose(&["before 0", "during 0.002", "during 0.02", "after 0"]).expect("a moment");
        eprintln!("--- call {call} of {calls}: {moment}");
        let played = play_with(&play, (call, moment));
        assert!(played >= CALLS_MIN, "{played} calls of git");
        if sample == 0 {
            calls = played;
        }
        from += part;
        sample += 1;
    }
}

/// Plays a scenario, and checks what must hold. Returns the number of git calls.
fn play_with(play: &impl Fn(&mut Case), kill: (u64, &str)) -> u64 {
    let mut world = World::new();
    let git = CountingGit::install(&mut world.home, kill);
    let repositories = vec![world.repository("one")];
    let mut case = Case::new(world, repositories);
    play(&mut case);
    let calls = git.disarm();
    case.use_every_issue_again();
    invariants::check(&case);
    calls
}
