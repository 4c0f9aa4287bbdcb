//! How users name issues, and where the message comes from.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kugetsu_testkit::{Repository, eventually};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::world::{World, script, shown};

#[test]
fn directory_names_its_repository_without_a_dot() {
    let world = World::new();
    world.repository("shop");
    let parent = world.home.path();
    for (verb, reference) in [("start", "shop"), ("start", "shop/"), ("continue", "shop"), ("continue", "shop/")] {
        let output = world.try_in(parent, [verb, reference, &script(&["say hello"]), "--wait", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{verb} {reference}: {}", shown(&output));
    }
    let output = world.try_in(parent, ["continue", "nothing", "x"]);
    let text = shown(&output);
    assert!(output.status.code() == Some(2) && text.contains("nor a directory"), "{text}");
}

#[test]
fn path_means_the_newest_issue_that_fits_the_command() {
    let world = World::new();
    let repository = world.repository("shop");
    let first = world.queue(&repository, &script(&["say ready", "wait go"]));
    world.start(&repository, &script(&["say hello"]));
    let canceled = world.run_in(repository.path(), ["queue", "cancel", "."]);
    assert!(canceled.contains(&first), "only the first can be canceled: {canceled}");
    world.await_state(&first, "canceled");
    let continued = world.run_in(repository.path(), ["continue", ".", &script(&["say again"])]);
    assert!(continued.starts_with("local/shop#2 "), "{continued}");
    world.await_state("local/shop#2", "done");
    let logs = world.try_in(repository.path(), ["logs", "."]);
    assert!(String::from_utf8_lossy(&logs.stderr).contains("local/shop#2"), "logs name it: {}", shown(&logs));
    let destroyed = world.try_in(repository.path(), ["destroy", ".", "--yes"]);
    assert!(destroyed.status.code() == Some(2), "nothing is removed by a guess: {}", shown(&destroyed));
}

#[test]
fn number_alone_names_an_issue_of_the_current_repository() {
    let world = World::new();
    let repository = world.repository("shop");
    repository.git(["remote", "add", "origin", "https://github.com/acme/shop.git"]);
    world.start(&repository, &script(&["say hello"]));
    for reference in ["1", "#1", "shop#1", "SHOP#1"] {
        let object = world.run_in(repository.path(), ["why", reference, "--json"]);
        assert!(object.contains("local/shop#1"), "{reference}: {object}");
    }
    let object = world.run(["why", "shop#1", "--json"]);
    assert!(object.contains("local/shop#1"), "outside of the repository: {object}");
    let other = world.try_in(repository.path(), ["why", "2"]);
    assert!(shown(&other).contains("has not worked on github.com/acme/shop#2"), "{}", shown(&other));
}

#[test]
fn message_needs_no_quotes_and_may_begin_with_a_dash() {
    let world = World::new();
    let repository = world.repository("shop");
    let start = |parts: &[&str]| {
        let mut arguments = vec!["start", ".", "--json"];
        arguments.extend(parts);
        let output = world.try_in(repository.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        let task: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        task["message"].as_str().unwrap().to_owned()
    };
    world.run(["config", "set", "agents.max", "0"]);
    assert_eq!(start(&["fix", "the", "parser"]), "fix the parser");
    assert_eq!(start(&["- fix it\n- test it"]), "- fix it\n- test it");
    assert_eq!(start(&["--", "-x", "is", "unknown"]), "-x is unknown");
    for (parts, expected) in [(["fix it", "--wai"], "--wait"), (["-w", "fix it"], "quote the whole message")] {
        let output = world.try_in(repository.path(), ["start", ".", parts[0], parts[1]]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains(expected), "{}", shown(&output));
    }
    let all = world.json(["queue", "list", "--all", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
}

/// Runs a command in a terminal, with an editor that writes `text` in front of its file.
fn in_terminal(world: &World, text: &str, arguments: &str) -> String {
    let editor = world.home.path().join("the editor");
    std::fs::write(
        &editor,
        format!("#!/bin/sh\nprintf '{text}' | cat - \"$1\" > \"$1.new\" && mv \"$1.new\" \"$1\"\n"),
    )
    .unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_kugetsu"));
    let mut command = world.home.command("script");
    command.args(["-qec", &line, "/dev/null"]).env("EDITOR", format!("'{}'", editor.display()));
    command.current_dir(world.home.path().join("shop"));
    let output = world.home.run(&mut command);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn settings_are_edited_in_an_editor() {
    let world = World::new();
    world.repository("shop");
    let shown = in_terminal(&world, "[agents]\\nmax = 7\\n", "config edit");
    assert!(shown.contains("changed "), "{shown}");
    assert_eq!(world.run(["config", "get", "agents.max"]), "7\n");
    let before = std::fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap();
    let shown = in_terminal(&world, "[run]\\ntimeout = \"soon\"\\n", "config edit < /dev/tty");
    assert!(shown.contains("run.timeout") && shown.contains("edit it again?"), "{shown}");
    assert_eq!(std::fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap(), before);
    assert!(world.run(["config", "unset", "agents.max"]).contains("removed agents.max"));
    assert_ne!(world.run(["config", "get", "agents.max"]), "7\n");
}

#[cfg(target_os = "linux")]
#[test]
fn missing_message_is_written_in_an_editor() {
    let world = World::new();
    let repository = world.repository("shop");
    world.run(["config", "set", "agents.max", "0"]);
    let messages = || {
        let all = world.json(["queue", "list", "--all", "--json"]);
        all.as_array().unwrap().iter().map(|task| task["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let shown = in_terminal(&world, "# Parser\\n\\nfix it\\n", "start .");
    assert_eq!(messages(), ["# Parser\n\nfix it"], "{shown}");
    in_terminal(&world, "and test it\\n", "continue .");
    assert_eq!(messages()[1], "and test it");
    let shown = in_terminal(&world, " \\n", "start .");
    assert!(shown.contains("the message is empty"), "{shown}");
    let shown = in_terminal(&world, "keep me\\n", "start . --agent unknown");
    let path = shown.split("the message is kept in ").nth(1).unwrap_or_else(|| panic!("{shown}")).trim();
    assert!(std::fs::read_to_string(path).unwrap().contains("keep me"));
    assert_eq!(messages().len(), 2);
    drop(repository);
}

/// Makes git hang in a repository: its settings include a FIFO, which is returned.
fn make_hang(world: &World, repository: &Repository) -> PathBuf {
    let pipe = world.home.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    repository.git(["config", "include.path", pipe.to_str().unwrap()]);
    pipe
}

/// The end of the pipe that git reads, once it does.
fn reading(pipe: &Path) -> File {
    let write = || OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(pipe);
    eventually("git to read the pipe", || write().map_err(|error| error.to_string()))
}

#[test]
fn start_in_a_directory_that_hangs_holds_up_no_other_and_ends_with_its_caller() {
    let world = World::new();
    let (slow, other) = (world.repository("slow"), world.repository("other"));
    world.run(["daemon", "start"]);
    let pipe = make_hang(&world, &slow);
    let mut command = world.command(slow.path(), ["start", ".", "never"]);
    let mut abandoned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let writer = reading(&pipe);
    let (run, exit) = world.start(&other, &script(&["say hello"]));
    assert_eq!(exit, 0, "{run}");
    abandoned.kill().unwrap();
    abandoned.wait().unwrap();
    // From now on git would find an answer.
    let empty = world.home.path().join("empty");
    fs::write(&empty, "").unwrap();
    fs::rename(&empty, &pipe).unwrap();
    drop(writer);
    let (run, exit) = world.start(&slow, &script(&["say hello"]));
    assert_eq!((run["issue"].as_str(), exit), (Some("local/slow#1"), 0), "the first start queued nothing: {run}");
}

#[test]
fn run_in_a_repository_that_hangs_ends_with_the_reason() {
    let world = World::new();
    let repository = world.repository("slow");
    world.run(["config", "set", "agents.max", "0"]);
    let issue = world.queue(&repository, &script(&["say hello"]));
    let _pipe = make_hang(&world, &repository);
    world.run(["config", "set", "agents.max", "1"]);
    let run = world.await_state(&issue, "failed");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("slow") && reason.contains("no answer within 30 s"), "{run}");
}
