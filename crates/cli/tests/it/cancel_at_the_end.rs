//! A cancel while the host inspects, commits, pushes or rescues: it ends the run within seconds, although git hangs, and loses
//! nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kugetsu_testkit::{Home, eventually};

use crate::world::{World, script};

/// A `git` that hangs in the subcommand that the file `hang` names, if it works for the host: in a mirror, or in a temporary
/// directory of one.
const SCRIPT: &str = r#"#!/bin/sh
case "$(cat "@FOLDER@/hang" 2>/dev/null) $GIT_DIR" in
"$1 "*/mirrors/*)
    echo $$ > "@FOLDER@/hanging"
    exec sleep 10000 ;;
esac
exec "@GIT@" "$@"
"#;

pub(crate) struct HangingGit(PathBuf);

impl HangingGit {
    pub(crate) fn install(home: &mut Home) -> Self {
        let folder = home.folder("hanging-git");
        let paths = std::env::var_os("PATH").expect("PATH");
        let git = std::env::split_paths(&paths).map(|path| path.join("git")).find(|path| path.is_file()).expect("git");
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let program = folder.join("git");
        fs::write(&program, SCRIPT.replace("@FOLDER@", &text(&folder)).replace("@GIT@", &text(&git))).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        home.prepend_path(&folder);
        Self(folder)
    }

    /// The step that lets the host's git hang in a subcommand from now on.
    pub(crate) fn hang_in(&self, subcommand: &str) -> String {
        format!("run echo {subcommand} > {}", self.0.join("hang").display())
    }

    fn recover(&self) {
        fs::remove_file(self.0.join("hang")).unwrap();
        fs::remove_file(self.0.join("hanging")).unwrap();
    }

    fn is_hanging(&self) -> bool {
        self.0.join("hanging").exists()
    }
}

/// Starts a run whose host hangs in a subcommand, cancels it, and destroys the issue when git works again.
fn cancel_while_hanging_in(subcommand: &str, settings: &[&str], steps: &[&str], state: &str, reason: &str) {
    end_while_hanging_in(subcommand, &["queue", "cancel"], settings, steps, [state, reason]);
}

/// The same with a command that ends the run.
fn end_while_hanging_in(
    subcommand: &str,
    command: &[&str],
    settings: &[&str],
    steps: &[&str],
    [state, reason]: [&str; 2],
) {
    let mut world = World::new();
    let git = HangingGit::install(&mut world.home);
    for setting in settings {
        world.run(["config", "set"].into_iter().chain(setting.split(' ')));
    }
    let repository = world.repository("demo");
    let hang = git.hang_in(subcommand);
    let steps: Vec<&str> = steps.iter().copied().chain([hang.as_str()]).collect();
    let reference = world.queue(&repository, &script(&steps));
    eventually("git to hang", || git.is_hanging().then_some(()));

    let began = Instant::now();
    world.run(command.iter().copied().chain([reference.as_str()]));
    let run = world.await_state(&reference, state);
    // The daemon's watchdog kills the runner after a minute.
    assert!(began.elapsed() < Duration::from_secs(50), "{subcommand}: {:?}", began.elapsed());
    assert!(run["reason"].as_str().unwrap().contains(reason), "{subcommand}: {run}");
    assert_eq!(run["pushed"], false, "{subcommand}: {run}");
    assert_eq!(world.processes("sleep 10000"), Vec::<i32>::new(), "{subcommand}");
    let worktree = world.worktree(&reference);
    assert_eq!(fs::read_to_string(worktree.join("a.txt")).unwrap(), "a\n", "{subcommand}");

    git.recover();
    world.run(["destroy", &reference, "-y", "--discard"]);
    assert!(!worktree.exists());
    let into = world.home.path().join("back");
    world.run(["rescue", "restore", &reference, "--to", into.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(into.join("a.txt")).unwrap(), "a\n", "{subcommand}");
}

#[test]
fn cancel_interrupts_the_inspection() {
    cancel_while_hanging_in("status", &[], &["write a.txt a", "commit a"], "canceled", "canceled on request");
}

#[test]
fn cancel_interrupts_the_commit_of_the_rest() {
    cancel_while_hanging_in(
        "check-attr",
        &["run.uncommitted commit"],
        &["write a.txt a"],
        "canceled",
        "canceled on request",
    );
}

#[test]
fn cancel_interrupts_the_push() {
    cancel_while_hanging_in("push", &[], &["write a.txt a", "commit a"], "canceled", "canceled on request");
}

#[test]
fn cancel_interrupts_the_rescue() {
    // How the run ended is known by then.
    let reason = "there was no time to rescue it: it is still in ";
    cancel_while_hanging_in("commit-tree", &[], &["write a.txt a"], "blocked", reason);
}

#[test]
fn stop_interrupts_the_inspection_and_the_push() {
    for subcommand in ["status", "push"] {
        let steps = ["write a.txt a", "commit a"];
        end_while_hanging_in(subcommand, &["stop"], &[], &steps, ["canceled", "canceled on request"]);
    }
}
