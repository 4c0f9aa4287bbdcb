//! The database beside the home: lost, emptied, replaced, older, and never mistaken for a new one.

use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_testkit::{Repository, eventually};
use serde_json::Value;

use crate::world::{World, ended, script, shown};

fn database(world: &World) -> PathBuf {
    world.home.kugetsu().join("state/kugetsu.db")
}

fn remove_database(world: &World) {
    for name in ["kugetsu.db", "kugetsu.db-wal", "kugetsu.db-shm"] {
        let _ = fs::remove_file(database(world).with_file_name(name));
    }
}

/// The files below a directory with this name.
fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(find(&entry.path(), name)),
            false if entry.file_name() == name => found.push(entry.path()),
            false => {}
        }
    }
    found
}

#[test]
fn after_a_stop_the_database_file_alone_holds_everything() {
    let world = World::new();
    let (run, _) = world.start(&world.repository("demo"), &script(&["write a.txt a", "commit a"]));
    world.run(["daemon", "stop"]);
    let copy = fs::read(database(&world)).unwrap();
    remove_database(&world);
    fs::write(database(&world), copy).unwrap();
    assert_eq!(world.latest("local/demo#1")["run"], run["run"]);
}

#[test]
fn a_lost_database_loses_no_files_and_gives_no_number_twice() {
    for loss in ["deleted", "emptied", "older"] {
        let world = World::new();
        let repository = world.repository("demo");
        world.run(["status"]);
        world.run(["daemon", "stop"]);
        let older = fs::read(database(&world)).unwrap();
        let (first, _) = world.start(&repository, &script(&["write a.txt a", "commit a", "write dirty.txt dirt"]));
        world.run(["daemon", "stop"]);
        let runs = fs::read_dir(world.home.kugetsu().join("runs")).unwrap().count();
        remove_database(&world);
        match loss {
            "deleted" => {}
            "emptied" => fs::write(database(&world), "").unwrap(),
            _ => fs::write(database(&world), &older).unwrap(),
        }

        let status = world.json(["status", "--json"]);
        assert_eq!(status["quarantined"], 3, "{loss}: {status}");
        let text = shown(&world.attempt(["status"]));
        assert!(text.contains("3 things in quarantine"), "{loss}: {text}");
        let (second, _) = world.start(&repository, &script(&["write b.txt b", "commit b"]));
        assert_eq!(second["issue"], "local/demo#2", "{loss}: {second}");
        assert_eq!(second["commits"], 1, "{loss}: it does not work in the old files");
        assert_ne!(first["branch"], second["branch"]);
        let quarantine = world.home.kugetsu().join("quarantine");
        let dirt = find(&quarantine, "dirty.txt");
        assert_eq!(dirt.len(), 1, "{loss}");
        assert_eq!(fs::read_to_string(&dirt[0]).unwrap(), "dirt\n");
        assert_eq!(find(&quarantine, "records.jsonl").len(), runs, "{loss}");
        let log = fs::read_to_string(world.home.kugetsu().join("logs/daemon.log")).unwrap();
        assert!(log.contains("moved into quarantine") && log.contains("local-demo-1"), "{loss}: {log}");

        world.run(["daemon", "stop"]);
        world.run(["daemon", "start"]);
        assert_eq!(world.json(["status", "--json"])["quarantined"], 3, "{loss}: nothing is moved twice");
        assert_eq!(find(&quarantine, "dirty.txt").len(), 1, "{loss}");
    }
}

#[test]
fn a_database_deleted_under_the_daemon_confirms_nothing_and_is_restored() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    fs::remove_file(database(&world)).unwrap();
    for arguments in [&["start", ".", "more"][..], &["list"], &["status"]] {
        let refused = world.try_in(repository.path(), arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {}", shown(&refused));
        let text = shown(&refused);
        assert!(text.contains("kugetsu.db was deleted while the daemon was running"), "{arguments:?}: {text}");
        assert!(text.contains("hint: ") && text.contains("kugetsu db restore"), "{arguments:?}: {text}");
    }
    let saved = fs::read_dir(database(&world).parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let saved = saved.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("saved-"));
    let saved: Vec<PathBuf> = saved.collect();
    assert_eq!(saved.len(), 1);
    let restoring = world.attempt(["db", "restore", saved[0].to_str().unwrap()]);
    assert_eq!(restoring.status.code(), Some(1), "a daemon runs: {}", shown(&restoring));
    world.run(["daemon", "stop"]);
    world.run(["db", "restore", saved[0].to_str().unwrap()]);
    assert_eq!(world.latest("local/demo#1")["state"], "done");
    assert_eq!(world.json(["status", "--json"])["quarantined"], 0);
}

/// The issues that `list` shows, by number, without what cannot be rebuilt.
fn issues(world: &World) -> Vec<(String, String, String)> {
    let all = world.json(["list", "--json"]);
    let text = |run: &Value, field: &str| run[field].as_str().unwrap_or_default().to_owned();
    let mut issues: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (text(run, "issue"), text(run, "branch"), text(run, "worktree")))
        .collect();
    issues.sort();
    issues
}

#[test]
fn a_backup_is_made_each_day_and_can_be_restored() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    let before = issues(&world);
    let copy = world.home.path().join("copy.db");
    let text = world.run(["db", "backup", copy.to_str().unwrap()]);
    assert!(text.contains("copy.db"), "{text}");
    let again = world.attempt(["db", "backup", copy.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "nothing is replaced: {}", shown(&again));
    world.run(["daemon", "stop"]);
    world.run(["daemon", "start"]);
    let backups = || fs::read_dir(world.home.kugetsu().join("backup")).map_or(0, Iterator::count);
    eventually("the daily backup", || (backups() == 1).then_some(()));
    world.run(["daemon", "stop"]);
    world.run(["daemon", "start"]);
    world.run(["daemon", "stop"]);
    assert_eq!(backups(), 1, "the next one is due tomorrow");
    fs::write(database(&world), "garbage").unwrap();
    let wrong = world.attempt(["db", "restore", repository.path().join("README.md").to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1), "{}", shown(&wrong));
    assert_eq!(fs::read(database(&world)).unwrap(), b"garbage", "a wrong file replaces nothing");
    let text = world.run(["db", "restore", copy.to_str().unwrap()]);
    assert!(text.contains("restored"), "{text}");
    assert_eq!(issues(&world), before);
    let kept = fs::read_dir(database(&world).parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    assert!(
        kept.filter(|path| path.is_file()).any(|path| fs::read(path).unwrap() == b"garbage"),
        "the old one is kept"
    );
}

#[test]
fn run_that_a_restored_database_does_not_know_says_why_it_ended() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    let copy = world.home.path().join("copy.db");
    world.run(["db", "backup", copy.to_str().unwrap()]);
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "hang"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let run = world.latest(&reference)["run"].as_str().unwrap().to_owned();
    let records = world.home.kugetsu().join("runs").join(run).join("records.jsonl");
    world.run(["daemon", "stop"]);
    world.run(["db", "restore", copy.to_str().unwrap()]);
    world.run(["daemon", "start"]);
    let text = eventually("the run to end", || {
        let text = fs::read_to_string(&records).ok()?;
        text.contains(r#""type":"ended""#).then_some(text)
    });
    assert!(
        text.contains("the daemon does not know this run as running") && text.contains("kugetsu db check"),
        "{text}"
    );
    assert!(!text.contains("on request"), "{text}");
}

#[test]
fn check_finds_a_healthy_database_and_a_damaged_one() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    world.run(["db", "backup"]);
    for running in [true, false] {
        if !running {
            world.run(["daemon", "stop"]);
        }
        let check = world.json(["db", "check", "--json"]);
        assert_eq!(check["problems"], Value::Array(vec![]), "{check}");
        assert_eq!(check["issues"], 1, "{check}");
        assert_eq!(check["backups"].as_array().unwrap().len(), 1, "{check}");
    }
    crate::world::tamper(&database(&world), "UPDATE runs SET state = 'nonsense'");
    fs::remove_dir_all(world.home.kugetsu().join("worktrees/local-demo-1")).unwrap();
    let check = world.attempt(["db", "check"]);
    assert_eq!(check.status.code(), Some(1), "{}", shown(&check));
    let text = shown(&check);
    assert!(text.contains("nonsense") && text.contains("local-demo-1"), "{text}");
}

#[test]
fn rebuild_recreates_what_the_home_contains() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    world.start(&repository, &script(&["write b.txt b", "commit b", "write dirty.txt dirt"]));
    world.run_in(repository.path(), ["continue", "local/demo#1", &script(&["write c.txt c", "commit c"]), "--wait"]);
    world.start(&repository, &script(&["write d.txt d", "commit d"]));
    world.run(["destroy", "local/demo#3", "--discard"]);
    let before = issues(&world);
    let session = world.latest("local/demo#2")["session_id"].clone();
    let refused = world.attempt(["db", "rebuild"]);
    assert_eq!(refused.status.code(), Some(1), "a daemon runs: {}", shown(&refused));
    world.run(["daemon", "stop"]);
    // One is noticed by a daemon before it is rebuilt, so files are in quarantine.
    remove_database(&world);
    let listed = shown(&world.attempt(["list"]));
    assert!(
        listed.contains("no issues, but the home has 2 worktrees, ") && listed.contains("kugetsu db rebuild"),
        "{listed}"
    );
    world.run(["daemon", "stop"]);

    let text = world.run(["db", "rebuild"]);
    assert!(text.contains("local/demo#1") && text.contains("not known"), "{text}");
    let open: Vec<_> = before.into_iter().filter(|issue| issue.0 != "local/demo#3").collect();
    let rebuilt = issues(&world);
    assert_eq!(open, rebuilt.into_iter().filter(|issue| issue.0 != "local/demo#3").collect::<Vec<_>>());
    assert_eq!(world.latest("local/demo#2")["session_id"], session);
    assert_eq!(world.latest("local/demo#1")["state"], "done");
    assert_eq!(world.json(["status", "--json"])["quarantined"], 0);
    assert!(world.worktree("local/demo#2").join("dirty.txt").exists());
    let check = world.json(["db", "check", "--json"]);
    assert_eq!(check["problems"], Value::Array(vec![]), "{check}");
    let text = world.run_in(
        repository.path(),
        ["continue", "local/demo#2", &script(&["write e.txt e", "commit all"]), "--wait", "--json"],
    );
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&run["state"], &run["pushed"]), (&"done".into(), &true.into()), "{run}");
    assert_eq!(run["session_id"], session, "it continues the session");
    let (next, _) = world.start(&repository, &script(&["write f.txt f", "commit f"]));
    assert_eq!(next["issue"], "local/demo#4", "{next}");
}

#[test]
fn rebuild_finds_what_removed_runs_pushed() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    world.run(["queue", "clean", "--older-than", "0s"]);
    assert_eq!(fs::read_dir(world.home.kugetsu().join("runs")).unwrap().count(), 0);
    // The repository and the branch are known from a run that pushed nothing.
    world.run(["continue", "local/demo#1", &script(&["say ready", "hang"])]);
    world.await_state("local/demo#1", "running");
    world.run(["queue", "cancel", "local/demo#1"]);
    world.await_state("local/demo#1", "canceled");
    world.run(["daemon", "stop"]);
    remove_database(&world);
    world.run(["db", "rebuild"]);
    let amend = script(&["write b.txt b", "run git add -A && git commit --quiet --amend --no-edit"]);
    let text = world.run_in(repository.path(), ["continue", "local/demo#1", &amend, "--wait", "--json"]);
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&run["state"], &run["pushed"]), (&"done".into(), &true.into()), "{run}");
}

#[test]
fn rebuild_without_runs_finds_the_branches_of_issues_or_leaves_them() {
    let world = World::new();
    let first = world.repository("demo");
    let bare = Repository::bare_at(world.home.path().join("bare"));
    first.git(["push", "--quiet", bare.path().to_str().unwrap(), "main"]);
    for name in ["a", "b", "c"] {
        world.start(&bare, &script(&[&format!("write {name}.txt x"), &format!("commit {name}")]));
    }
    let before = issues(&world);
    let main = bare.resolve("main");
    // Only what is older goes.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.run(["queue", "clean", "--older-than", "1s"]);
    let worktree = world.worktree("local/bare#3");
    world.run(["daemon", "stop"]);
    let mirror = Repository::open(world.home.kugetsu().join("mirrors/local-bare"));
    mirror.git(["update-ref", "-d", &format!("refs/kugetsu/pushed/{}", before[2].1)]);
    Repository::open(worktree).git(["checkout", "--quiet", "--detach"]);

    let text = shown(&world.attempt(["db", "rebuild", "--yes"]));
    assert!(text.contains("worktree local-bare-3: its branch is not known"), "{text}");
    assert_eq!(issues(&world), before[..2], "{text}");
    let message = script(&["write d.txt d", "commit d"]);
    let (run, code) = ended(&world.try_in(bare.path(), ["continue", "local/bare#1", &message, "--wait", "--json"]));
    assert_eq!((&run["state"], &run["branch"], code), (&"done".into(), &before[0].1.as_str().into(), 0), "{run}");
    assert_eq!(bare.show_text(&before[0].1, "d.txt"), "d\n");
    let (run, code) = ended(&world.attempt(["push", "local/bare#2", "--wait", "--json"]));
    assert_eq!((&run["state"], code), (&"done".into(), 0), "{run}");
    assert_eq!(bare.resolve("main"), main);

    // A database that an earlier version rebuilt.
    world.run(["daemon", "stop"]);
    crate::world::tamper(&database(&world), "UPDATE issues SET branch = 'main' WHERE number = 1");
    let (run, code) =
        ended(&world.try_in(bare.path(), ["continue", "local/bare#1", &script(&["say hello"]), "--wait", "--json"]));
    assert_eq!((&run["state"], code), (&"blocked".into(), 3), "{run}");
    let text = world.run(["why", "local/bare#1"]);
    assert!(text.contains("never pushes to it") && text.contains("HEAD:refs/heads/<new branch>"), "{text}");
    assert_eq!(bare.resolve("main"), main);
}

#[test]
fn rebuild_asks_before_it_replaces_a_sound_database() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    world.run(["daemon", "stop"]);
    let state = || {
        let entries = fs::read_dir(database(&world).parent().unwrap()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.contains(".db"));
        names.sort();
        names
    };
    let refused = world.attempt(["db", "rebuild"]);
    let text = shown(&refused);
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("has no problems") && text.contains("kugetsu db rebuild --yes"), "{text}");
    assert!(text.contains("kugetsu db restore"), "{text}");
    assert!(!state().iter().any(|name| name.starts_with("replaced-") || name.starts_with("new-")), "{:?}", state());

    // A damaged one, whose backup is as new: nothing was written since.
    world.run(["db", "backup"]);
    let sound = fs::read(database(&world)).unwrap();
    fs::write(database(&world), "garbage").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options().write(true).open(database(&world)).unwrap().set_modified(old).unwrap();
    let refused = world.attempt(["db", "rebuild"]);
    let text = shown(&refused);
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("is as new as the database") && text.contains("kugetsu db restore"), "{text}");

    fs::write(database(&world), &sound).unwrap();
    let before = issues(&world);
    world.run(["daemon", "stop"]);
    for _ in 0..2 {
        let text = shown(&world.attempt(["db", "rebuild", "--yes"]));
        let kept = state().into_iter().rfind(|name| name.starts_with("replaced-")).unwrap();
        let way_back = text.split("kugetsu db restore ").nth(1).unwrap().split('`').next().unwrap();
        assert!(way_back.ends_with(&kept), "{text}");
        assert!(state().iter().all(|name| name.ends_with(".db")), "no log is left: {:?}", state());
    }
    let kept = state().into_iter().find(|name| name.starts_with("replaced-")).unwrap();
    world.run(["db", "restore", database(&world).with_file_name(kept).to_str().unwrap()]);
    assert_eq!(issues(&world), before);
}

#[test]
fn clean_frees_run_directories_and_events() {
    let world = World::new();
    let repository = world.repository("demo");
    for _ in 0..3 {
        world.start(&repository, &script(&["say hello"]));
    }
    let runs = || fs::read_dir(world.home.kugetsu().join("runs")).unwrap().count();
    assert_eq!(runs(), 3);
    // Only what is older goes.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.run(["queue", "clean", "--older-than", "1s"]);
    assert_eq!(runs(), 0, "although each run is the latest of its issue");
    let all = world.json(["list", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    let text = world.run(["logs", "local/demo#1"]);
    assert!(text.contains("has no transcript") && text.contains("queue.keep"), "{text}");
    world.run_in(repository.path(), ["continue", "local/demo#1", &script(&["say again"]), "--wait"]);
    assert_eq!(runs(), 1);
}
