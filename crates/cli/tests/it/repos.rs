//! Repositories that were moved, replaced or deleted.

use std::fs;

use kugetsu_testkit::Repository;

use crate::world::{World, script, shown};

#[test]
fn moved_repository_is_followed_and_another_one_is_not_taken_for_it() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write one.txt 1", "commit one"]));
    assert_eq!(code, 0, "{run}");
    let reference = run["issue"].as_str().unwrap().to_owned();
    let (old, new) = (repository.path().to_owned(), world.home.path().join("elsewhere"));
    fs::rename(&old, &new).unwrap();
    let other = Repository::at(old.clone());
    other.commit_files("another", &[("other.txt", "x")]);

    let refused = world.attempt(["continue", &reference, &script(&["write two.txt 2", "commit two"]), "--wait"]);
    assert_ne!(refused.status.code(), Some(0), "{}", shown(&refused));
    assert!(shown(&refused).contains("is another one than before"), "{}", shown(&refused));
    assert_eq!(other.git(["branch", "--list", "kugetsu/*"]), "", "nothing is pushed to it");
    let refused = world.attempt(["repo", "move", "local/demo", world.home.user().to_str().unwrap()]);
    assert!(shown(&refused).contains("no git repository"), "{}", shown(&refused));
    let unrelated = Repository::at(world.home.path().join("unrelated"));
    unrelated.commit_files("own", &[("own.txt", "own")]);
    let refused = world.attempt(["repo", "move", "local/demo", unrelated.path().to_str().unwrap()]);
    assert!(shown(&refused).contains("no commit in common"), "{}", shown(&refused));

    world.run(["repo", "move", "local/demo", new.to_str().unwrap()]);
    world.run(["continue", &reference, &script(&["write two.txt 2", "commit two"]), "--wait"]);
    let branch = world.latest(&reference)["branch"].as_str().unwrap().to_owned();
    assert_eq!(Repository::at(new.clone()).show_text(&branch, "two.txt"), "2\n");
    let (run, code) = world.start(&other, &script(&["say hello"]));
    assert_eq!((run["issue"].as_str(), code), (Some("local/demo-2#1"), 0), "{run}");

    let repos = world.json(["repo", "list", "--json"]);
    let names: Vec<_> =
        repos.as_array().unwrap().iter().map(|repo| (repo["name"].as_str(), repo["source"].as_str())).collect();
    assert_eq!(names, [(Some("local/demo"), new.to_str()), (Some("local/demo-2"), old.to_str())]);
    assert!(repos[0]["mirror_bytes"].as_u64().unwrap() > 0 && repos[0]["open_issues"] == 1, "{repos}");
    let refused = world.attempt(["repo", "move", "local/demo", old.to_str().unwrap()]);
    assert!(shown(&refused).contains("is known as local/demo-2"), "{}", shown(&refused));
}

#[test]
fn repository_is_forgotten_when_its_issues_are_destroyed() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    let refused = world.attempt(["repo", "forget", "local/demo"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(shown(&refused).contains(&format!("kugetsu destroy {reference}")), "{}", shown(&refused));
    fs::remove_dir_all(repository.path()).unwrap();
    world.run(["destroy", &reference, "--yes"]);
    world.run(["repo", "forget", repository.path().to_str().unwrap()]);
    assert_eq!(world.json(["repo", "list", "--json"]), serde_json::json!([]));
    assert_eq!(
        fs::read_dir(world.home.kugetsu().join("mirrors"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count(),
        0
    );
    // Another one at the same path gets another name: the numbers of the first one stay taken.
    let again = world.repository("demo");
    let (run, code) = world.start(&again, &script(&["say hello"]));
    assert_eq!((run["issue"].as_str(), code), (Some("local/demo-2#1"), 0), "{run}");
}

#[test]
fn rescues_are_deleted_only_when_the_user_says_so_and_then_the_repository_can_be_forgotten() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write left.txt 1"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    world.run(["destroy", &reference, "--discard"]);
    let refused = world.attempt(["repo", "forget", "local/demo"]);
    let hint = format!("kugetsu rescue drop {reference} --all");
    assert!(refused.status.code() == Some(1) && shown(&refused).contains(&hint), "{}", shown(&refused));

    let refused = world.attempt(["rescue", "drop", &reference]);
    assert!(refused.status.code() != Some(0) && shown(&refused).contains("--yes"), "{}", shown(&refused));
    let refused = world.attempt(["rescue", "drop", &reference, "--rescue", "another", "--yes"]);
    assert!(shown(&refused).contains("has no rescue \"another\""), "{}", shown(&refused));
    let listed = world.json(["rescue", "list", &reference, "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");

    let dropped = world.json(["rescue", "drop", &reference, "--all", "--yes", "--json"]);
    assert_eq!(dropped, listed);
    assert_eq!(world.json(["rescue", "list", "--json"]), serde_json::json!([]));
    world.run(["repo", "forget", "local/demo"]);
}
