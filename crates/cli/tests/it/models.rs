//! Names of models are checked before a task takes a number.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kugetsu_testkit::scripted_agent;

use crate::world::{World, ended, script, shown};

/// A world whose agent prints the file `models` of the home when it is started with `models`.
fn world() -> World {
    let mut world = World::bare();
    // The agent's own directory is known only to itself.
    world.home.set("KUGETSU_RUN_SANDBOX", "off");
    let directory = world.home.path();
    let program = directory.join("agent");
    let list = directory.join("models");
    fs::write(&list, "scripted/one\nscripted/two\n").unwrap();
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = models ]; then cat '{}'; else exec '{}' \"$@\"; fi\n",
        list.display(),
        scripted_agent().display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!(
        "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {program:?}\nargs = [\"acp\"]\nmodels = [\"models\"]\n"
    );
    fs::write(world.home.kugetsu().join("config.toml"), config).unwrap();
    world
}

#[test]
fn mistyped_model_is_refused_before_the_task_takes_a_number() {
    let world = world();
    let repository = world.repository("demo");
    // The first run shows which models there are.
    let (run, code) = world.start(&repository, &script(&["say hello"]));
    assert_eq!(code, 0, "{run}");
    for args in [["start", "."], ["continue", "local/demo#1"]] {
        let args = args.iter().chain(&["say hello", "--model", "scripted/tow"]).copied();
        let output = world.try_in(repository.path(), args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(
            error.contains("scripted has no model \"scripted/tow\"") && error.contains("for example scripted/two"),
            "{error}"
        );
    }
    let listed = world.json(["list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let message = script(&["model"]);
    let (run, code) = ended(
        &world.try_in(repository.path(), ["start", ".", &message, "--model", "scripted/two", "--wait", "--json"]),
    );
    assert_eq!((run["issue"].as_str(), code), (Some("local/demo#2"), 0), "{run}");
}

#[test]
fn model_that_was_added_since_is_not_refused() {
    let world = world();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    fs::write(world.home.kugetsu().join("agents/scripted.models"), "scripted/one\n").unwrap();
    let start = || {
        let message = script(&["say hello"]);
        world.try_in(repository.path(), ["start", ".", &message, "--model", "scripted/two", "--wait", "--json"])
    };
    let output = start();
    assert_eq!(ended(&output).1, 0, "{}", shown(&output));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("did not offer"), "{}", shown(&output));

    // Without a list that can be trusted there is a warning, and the run finds out.
    fs::write(world.home.kugetsu().join("agents/scripted.models"), "scripted/one\n").unwrap();
    fs::remove_file(world.home.path().join("models")).unwrap();
    let output = start();
    assert_eq!(ended(&output).1, 0, "{}", shown(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not offer the model"), "{}", shown(&output));
}
