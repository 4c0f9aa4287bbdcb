//! `kugetsu gc`: what is old goes, and what may be the only copy of work stays.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::world::{World, script, shown};

fn mirror(world: &World, name: &str) -> PathBuf {
    world.home.kugetsu().join("mirrors").join(format!("local-{name}"))
}

fn names(result: &Value, kind: &str) -> Vec<String> {
    let items = result["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
    items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn unused_mirror_is_removed_and_cloned_again() {
    let world = World::new();
    let (used, unused) = (world.repository("used"), world.repository("unused"));
    world.start(&used, &script(&["write a.txt 1", "commit a"]));
    let (run, _) = world.start(&unused, &script(&["write a.txt 1", "commit a"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    world.run(["destroy", &reference, "--yes"]);

    let result = world.json(["gc", "--dry-run", "--json"]);
    assert_eq!(
        (&result["items"], &result["finished_issues"]),
        (&serde_json::json!([]), &serde_json::json!(1)),
        "{result}"
    );
    let result = world.json(["gc", "--mirrors-older-than", "0s", "--dry-run", "--json"]);
    assert_eq!(names(&result, "mirrors"), ["local/unused"], "{result}");
    assert!(mirror(&world, "unused").exists(), "a dry run removes nothing");
    let text = shown(&world.attempt(["gc", "--mirrors-older-than", "0s"]));
    assert!(text.contains("removed 1 mirror (") && text.contains("the home has "), "{text}");
    assert!(text.contains("kugetsu destroy --merged"), "{text}");
    assert!(!mirror(&world, "unused").exists() && mirror(&world, "used").exists());

    let status = world.json(["status", "--json"]);
    let kinds = status["storage"]["kinds"].as_array().unwrap();
    let mirrors = kinds.iter().find(|kind| kind["kind"] == "mirrors").unwrap();
    assert!(mirrors["count"] == 1 && mirrors["bytes"].as_u64().unwrap() > 0, "{status}");
    assert!(status["storage"]["total_bytes"].as_u64() > mirrors["bytes"].as_u64(), "{status}");
    assert!(shown(&world.attempt(["status"])).contains("the home has "));

    let (run, code) = world.start(&unused, &script(&["write b.txt 1", "commit b"]));
    assert_eq!((run["issue"].as_str(), code), (Some("local/unused#2"), 0), "{run}");
}

#[test]
fn rescues_and_quarantined_files_go_only_if_the_user_says_when() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write left.txt 1"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    world.run(["destroy", &reference, "--discard"]);
    let home = world.home.kugetsu();
    fs::create_dir_all(home.join("quarantine/20200101T000000Z/worktrees/x")).unwrap();
    fs::create_dir_all(home.join("mirrors/local-demo.damaged-1")).unwrap();
    for name in ["replaced-1.db", "replaced-1.db-wal", "saved-2.db"] {
        fs::write(home.join("state").join(name), "old").unwrap();
    }

    let result = world.json(["gc", "--mirrors-older-than", "0s", "--json"]);
    assert_eq!((&result["items"], &result["kept"]), (&serde_json::json!([]), &serde_json::json!([])), "{result}");
    assert!(mirror(&world, "demo").exists(), "it holds a rescue");

    let result = world.json(["gc", "--quarantine-older-than", "0s", "--json", "--yes"]);
    let mut found = names(&result, "quarantine");
    found.sort();
    let expected =
        ["mirrors/local-demo.damaged-1", "quarantine/20200101T000000Z", "state/replaced-1.db", "state/saved-2.db"];
    assert_eq!(found, expected, "{result}");
    for name in expected.into_iter().chain(["state/replaced-1.db-wal"]) {
        assert!(!home.join(name).exists(), "{name}");
    }
    assert!(home.join("state/kugetsu.db").exists());

    world.run(["config", "set", "gc.rescues", "1d"]);
    let result = world.json(["gc", "--json"]);
    assert_eq!(result["items"], serde_json::json!([]), "it is younger");
    for format in [None, Some("--json")] {
        let refused = world.attempt(["gc", "--rescues-older-than", "0s"].into_iter().chain(format));
        let text = shown(&refused);
        assert_eq!(refused.status.code(), Some(3), "{text}");
        assert!(text.contains("removing 1 rescue for good needs confirmation") && text.contains("--yes"), "{text}");
        assert_eq!(format.is_none(), text.contains("gc.rescues") || text.contains(&reference), "it is listed: {text}");
    }
    assert_eq!(world.json(["rescue", "list", "--json"]).as_array().unwrap().len(), 1);
    assert_eq!(world.json(["gc", "--rescues-older-than", "1d", "--json"])["items"], serde_json::json!([]));
    let result = world.json(["gc", "--rescues-older-than", "0s", "--json", "--yes"]);
    assert_eq!((names(&result, "rescues").len(), &result["freed"][0]["count"]), (1, &serde_json::json!(1)), "{result}");
    assert_eq!(world.json(["rescue", "list", "--json"]), serde_json::json!([]));
    world.json(["gc", "--mirrors-older-than", "0s", "--json"]);
    assert!(!mirror(&world, "demo").exists());
}

#[test]
fn mirror_whose_repository_is_gone_is_kept_and_the_rest_is_removed() {
    let world = World::new();
    let (gone, there) = (world.repository("gone"), world.repository("there"));
    for repository in [&gone, &there] {
        let (run, _) = world.start(repository, &script(&["write a.txt 1", "commit a"]));
        world.run(["destroy", run["issue"].as_str().unwrap(), "--yes"]);
    }
    fs::remove_dir_all(gone.path()).unwrap();
    let result = world.attempt(["gc", "--mirrors-older-than", "0s"]);
    let text = shown(&result);
    assert_eq!(result.status.code(), Some(1), "{text}");
    assert!(text.contains("could not remove local/gone: ") && text.contains("removed 1 mirror"), "{text}");
    assert!(mirror(&world, "gone").exists() && !mirror(&world, "there").exists());
}

#[test]
fn mirror_with_commits_that_the_repository_lost_is_kept() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write a.txt 1", "commit a"]));
    world.run(["destroy", run["issue"].as_str().unwrap(), "--yes"]);
    let branch = run["branch"].as_str().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = world.home.command("git");
        let output = world.home.run(command.arg("-C").arg(repository.path()).args(arguments));
        assert!(output.status.success(), "{output:?}");
    };
    git(&["tag", "kept", branch]);
    git(&["branch", "-D", branch]);
    let text = shown(&world.attempt(["gc", "--mirrors-older-than", "0s"]));
    assert!(text.contains(&format!("does not have all commits of {branch} any more")), "{text}");
    assert!(mirror(&world, "demo").exists());
    git(&["merge", "--ff-only", "kept"]);
    world.run(["gc", "--mirrors-older-than", "0s"]);
    assert!(!mirror(&world, "demo").exists());
}
