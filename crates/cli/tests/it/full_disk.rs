//! A home on a full disk: everything that is shown is true, hints fit, and files can be removed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use kugetsu_testkit::eventually;

use crate::world::{World, script, shown};

/// A small file system.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "mounting needs root");
        Self(path)
    }

    /// Fills it to the last byte. The file can be removed.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for length in [1 << 20, 1 << 12, 1] {
            let chunk = vec![1; length];
            while file.write_all(&chunk).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn has_no_bad_hint(text: &str) {
    for hint in text.lines().filter(|line| line.starts_with("hint: ")) {
        assert!(!hint.contains("KUGETSU_HOME") && !hint.contains("destroy"), "{text}");
    }
}

fn is_full(path: &Path) -> bool {
    fs::write(path.join("probe"), [0; 8192]).is_err()
}

/// Moves the home to a small disk.
fn small_home(world: &mut World) -> (Disk, PathBuf) {
    let mut settings = fs::read(world.home.kugetsu().join("config.toml")).unwrap();
    settings.extend(b"\n[queue]\nmin_disk = 0\n");
    let disk = Disk::mount(world.home.path().join("disk"), "40m");
    let home = disk.0.join("kugetsu");
    world.home.set("KUGETSU_HOME", &home);
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("config.toml"), settings).unwrap();
    (disk, home)
}

#[test]
fn needs_root_a_run_on_a_full_disk_can_be_canceled() {
    let mut world = World::new();
    let (disk, home) = small_home(&mut world);
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    eventually("the reserve", || home.join("state/reserve").exists().then_some(()));
    let _filler = disk.fill();
    let canceled = world.attempt(["queue", "cancel", &reference]);
    assert!(canceled.status.success(), "{}", shown(&canceled));
    world.await_state(&reference, "canceled");
}

#[test]
fn needs_root_a_full_disk_is_reported_and_files_can_be_removed() {
    let mut world = World::new();
    let (disk, home) = small_home(&mut world);
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    let reference = world.queue(&repository, &script(&["say ready", "wait go"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    eventually("the reserve", || home.join("state/reserve").exists().then_some(()));
    let filler = disk.fill();
    assert!(is_full(&home));

    for arguments in [&["start", ".", "more"][..], &["continue", "local/demo#1", "more"]] {
        let refused = world.try_in(repository.path(), arguments);
        let text = shown(&refused);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("full") || text.contains("No space"), "{arguments:?}: {text}");
        has_no_bad_hint(&text);
    }
    world.release_agents();
    // The end of the run cannot be stored, and everything that is shown says so.
    eventually("the daemon to notice", || {
        let text = shown(&world.attempt(["list"]));
        if text.contains("cannot store anything") { Ok(()) } else { Err(text) }
    });
    for arguments in [&["list"][..], &["status"], &["why", &reference]] {
        let output = world.try_in(repository.path(), arguments);
        let text = shown(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        assert!(text.contains("cannot store anything") && text.contains("disk is full"), "{arguments:?}: {text}");
        has_no_bad_hint(&text);
    }
    let removed = world.try_in(repository.path(), ["destroy", "local/demo#1", "--yes"]);
    assert!(removed.status.success(), "{}", shown(&removed));
    assert!(!home.join("worktrees/local-demo-1").exists());

    fs::remove_file(filler).unwrap();
    // Its worktree could not be inspected, so it is not done; nothing of it is lost.
    let run = world.await_state(&reference, "failed");
    assert!(run["reason"].as_str().unwrap().contains("No space left on device"), "{run}");
    assert!(world.worktree(&reference).join("README.md").exists());
    eventually("the warning to end", || {
        let text = shown(&world.attempt(["list"]));
        if text.contains("cannot store") { Err(text) } else { Ok(()) }
    });
}

#[test]
fn needs_root_a_daemon_on_a_full_disk_says_what_to_do() {
    let mut world = World::new();
    let disk = Disk::mount(world.home.path().join("disk"), "4m");
    world.home.set("KUGETSU_HOME", disk.0.join("kugetsu"));
    fs::create_dir_all(disk.0.join("kugetsu")).unwrap();
    disk.fill();
    let output = world.attempt(["list"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let text = shown(&output);
    assert!(text.contains("hint: free some space"), "{text}");
    has_no_bad_hint(&text);
}
