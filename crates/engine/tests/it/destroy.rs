//! The daemon dies while it removes an issue's files: they are rescued and removed once.

use std::fs;
use std::ops::Not;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::AgentSettings;
use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::TaskKind;
use kugetsu_git::command::Git;
use kugetsu_git::rescue;
use kugetsu_store::fuse::Fuse;
use kugetsu_store::view::Repo;
use kugetsu_store::write::Precondition;
use kugetsu_testkit::Repository;

use crate::every_step::{Scenario, survives_a_death_at_every_step};
use crate::files::{create_worktree, mirror};
use crate::world::{Daemon, World, settings};

/// The programs that the daemon starts. Each passes on what it gets, or hangs when it is the one at which the daemon dies.
struct Programs {
    directory: tempfile::TempDir,
}

impl Programs {
    fn new(git: &Path) -> Self {
        let programs = Self { directory: tempfile::tempdir().unwrap() };
        programs.write("git", &format!("exec {} \"$@\"", git.display()));
        programs.write("agent", "echo \"$@\" >> \"$here/deleted\"; step");
        programs
    }

    /// A shell script that takes a step before and, where it says so, after its work.
    fn write(&self, name: &str, work: &str) {
        let here = self.directory.path().display();
        let script = format!(
            "#!/bin/sh\n\
             here='{here}'\n\
             step() {{\n\
                 [ -e \"$here/limit\" ] || return 0\n\
                 echo >> \"$here/steps\"\n\
                 if [ \"$(wc -l < \"$here/steps\")\" -gt \"$(cat \"$here/limit\")\" ]; then\n\
                     : > \"$here/dead\"\n\
                     exec sleep 600\n\
                 fi\n\
             }}\n\
             step\n\
             {work}\n"
        );
        let path = self.path(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn arm(&self, steps: usize) {
        fs::write(self.path("limit"), steps.to_string()).unwrap();
    }

    fn reset(&self) {
        for name in ["limit", "steps", "dead", "deleted"] {
            let _ = fs::remove_file(self.path(name));
        }
    }

    async fn death(&self) {
        while !self.path("dead").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.disarm();
    }

    fn disarm(&self) {
        let _ = fs::remove_file(self.path("limit"));
    }

    async fn git(&self) -> Git {
        let path = format!("{}:{}", self.directory.path().display(), std::env::var("PATH").unwrap());
        Git::find_with([("PATH".into(), path.into())]).await.unwrap()
    }
}

/// Destroys an issue whose worktree holds a file that is in no commit.
struct Destroy {
    repository: Repository,
    programs: Programs,
    git: Git,
}

impl Destroy {
    async fn new() -> Self {
        let git = Git::find().await.unwrap();
        let programs = Programs::new(git.program());
        Self { repository: Repository::with_commit(), git: programs.git().await, programs }
    }
}

impl Scenario for Destroy {
    async fn world(&self) -> World {
        self.programs.reset();
        let agent = AgentSettings {
            name: "scripted".to_owned(),
            program: Some(self.programs.path("agent")),
            delete: Some(vec!["{session}".to_owned()]),
            ..AgentSettings::default()
        };
        let mut settings = settings(1);
        settings.profiles = vec![agent];
        let name = RepoRef { base: ServerBase::local(), project: ProjectPath::new("tools").unwrap() };
        let source = self.repository.path().to_str().unwrap().to_owned();
        let mut world = World::with(settings, Repo { name, kind: Some(ForgeKind::Local), source }).await;
        world.git = self.git.clone();
        let daemon = world.daemon();
        daemon.start(1, "done").await;
        daemon.settled(1).await;
        daemon.no_effects(daemon.issue(1).await.id).await;
        let directory = create_worktree(&world, &daemon, 1).await;
        fs::write(directory.join("work.txt"), "a day's work").unwrap();
        daemon.kill().await;
        world
    }

    async fn play(&self, _: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await;
        if issue.state == IssueState::Open {
            daemon.engine.apply(issue.id, Event::DestroyRequested).await.unwrap();
        }
        daemon
            .until("the removal", async || (daemon.issue(1).await.state == IssueState::Destroyed).then_some(()))
            .await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        let issue = daemon.issue(1).await.id;
        let events = daemon.store.events_after(Some(issue), 0, 100).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds[5..], ["destroy_asked", "destroyed"], "{kinds:?}");
        let rescues = rescue::list(&mirror(world).await, Some(1)).await.unwrap();
        let names: Vec<&str> = rescues.iter().map(|rescue| rescue.name.as_str()).collect();
        let data = &events.last().unwrap().data;
        assert_eq!(names, [data["rescue"].as_str().expect("the rescue is reported")]);
        assert_eq!(data["notes"].as_array().map(Vec::len), Some(0), "{data}");
        for directory in [world.home.worktrees(), world.home.relays()] {
            let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        let deleted = fs::read_to_string(self.programs.path("deleted")).unwrap();
        assert!(deleted.starts_with("session-of-"), "{deleted}");
    }
}

/// As [`Destroy`], but the daemon dies before and after programs that it runs.
struct DestroyWithPrograms(Destroy);

impl Scenario for DestroyWithPrograms {
    fn arm(&self, steps: usize) -> Fuse {
        self.0.programs.arm(steps);
        Fuse::after(usize::MAX)
    }

    async fn death(&self, _: &Daemon) {
        self.0.programs.death().await;
    }

    async fn world(&self) -> World {
        self.0.world().await
    }

    async fn play(&self, world: &World, daemon: &Daemon) {
        self.0.play(world, daemon).await;
    }

    async fn check(&self, world: &World, daemon: &Daemon) {
        self.0.programs.disarm();
        self.0.check(world, daemon).await;
    }
}

#[tokio::test]
async fn session_is_deleted_outside_of_the_worktree_and_nothing_stays_behind() {
    let destroy = Destroy::new().await;
    let leave = "setsid env -i sleep 4567 > /dev/null 2>&1 & echo $! > \"$here/left\"; (pwd; ls -A) > \"$here/where\"";
    destroy.programs.write("agent", &format!("echo \"$@\" > \"$here/deleted\"; {leave}"));
    let world = destroy.world().await;
    let daemon = world.daemon();
    destroy.play(&world, &daemon).await;
    destroy.check(&world, &daemon).await;
    let read = |name: &str| fs::read_to_string(destroy.programs.path(name)).unwrap();
    let (directory, rest) = read("where").split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(!directory.contains("worktrees") && rest.is_empty(), "{directory} {rest}");
    assert!(!Path::new(&directory).exists());
    let left = Path::new("/proc").join(read("left").trim()).join("stat");
    assert!(fs::read_to_string(left).is_ok_and(|stat| !stat.contains(" Z ")).not(), "a process was left");
}

#[tokio::test]
async fn session_is_kept_when_the_location_of_the_home_cannot_be_read() {
    let destroy = Destroy::new().await;
    destroy.programs.write("agent", "echo \"$@\" > \"$here/deleted\"");
    let world = destroy.world().await;
    nix::unistd::mkfifo(&world.home.location(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let daemon = world.daemon();
    destroy.play(&world, &daemon).await;
    let events = daemon.store.events_after(Some(daemon.issue(1).await.id), 0, 100).await.unwrap();
    let notes = events.last().unwrap().data["notes"].to_string();
    assert!(notes.contains("was not deleted: could not read"), "{notes}");
    assert!(!destroy.programs.path("deleted").exists(), "it may belong to another home");
}

#[tokio::test]
async fn files_are_rescued_and_removed_once() {
    survives_a_death_at_every_step(&Destroy::new().await).await;
}

#[tokio::test]
async fn files_are_rescued_once_whichever_program_the_daemon_dies_at() {
    survives_a_death_at_every_step(&DestroyWithPrograms(Destroy::new().await)).await;
}

/// Leaves a file that is not committed in a linked worktree in the temporary directory of the issue's latest run.
async fn leave_work_in_temporary_directory(world: &World, daemon: &Daemon, worktree: &Path) -> PathBuf {
    let (run, _) = world.machine.started_runs().pop().unwrap();
    let temporary = world.home.run(run).temporary();
    daemon.no_effects(daemon.issue(1).await.id).await;
    let linked = temporary.join("linked");
    let add = ["worktree", "add", "--quiet", linked.to_str().unwrap(), "-b", "aside"];
    Repository::open(worktree).git(add);
    fs::write(linked.join("left.txt"), "left").unwrap();
    temporary
}

#[tokio::test]
async fn work_in_temporary_directories_is_rescued_before_they_are_removed() {
    let destroy = Destroy::new().await;
    let world = destroy.world().await;
    let daemon = world.daemon();
    let directory = world.home.files(&daemon.issue(1).await.worktree.unwrap().directory).0;
    // Of a run that was killed: its daemon had not removed the directory yet.
    let temporary = leave_work_in_temporary_directory(&world, &daemon, &directory).await;
    destroy.play(&world, &daemon).await;
    assert!(!temporary.exists());
    let rescues = rescue::list(&mirror(&world).await, Some(1)).await.unwrap();
    let back = world.home.path().join("back");
    rescue::restore(&mirror(&world).await, &rescues[0].name, &back).await.unwrap();
    let back = Repository::open(&back);
    let name = back.git(["for-each-ref", "--format=%(refname)", "refs/kugetsu/inner"]);
    assert_eq!(back.git(["show", &format!("{name}:left.txt")]), "left");
}

#[tokio::test]
async fn work_that_a_runner_left_in_its_temporary_directory_is_rescued() {
    let destroy = Destroy::new().await;
    let world = destroy.world().await;
    let daemon = world.daemon();
    let issue = daemon.issue(1).await;
    let directory = world.home.files(&issue.worktree.unwrap().directory).0;
    let task = daemon.enqueue(1, TaskKind::Continue, "wait", Precondition::Any).await;
    let started = async || world.machine.started_runs().into_iter().find(|(_, message)| message == "wait");
    let (run, _) = daemon.until("the run", started).await;
    let temporary = world.home.run(run).temporary();
    let add =
        ["worktree", "add", "--quiet", temporary.join("linked").to_str().unwrap(), "-b", "aside"].map(str::to_owned);
    Repository::open(&directory).git(add);
    fs::write(temporary.join("linked/left.txt"), "left").unwrap();
    daemon.engine.apply(issue.id, Event::CancelRequested { task }).await.unwrap();
    daemon.until("the removal", async || (!temporary.exists()).then_some(())).await;
    let rescues = rescue::list(&mirror(&world).await, Some(1)).await.unwrap();
    let reasons: Vec<&str> = rescues.iter().map(|rescue| rescue.reason.as_str()).collect();
    assert_eq!(reasons, ["the run's temporary directory was removed"]);
}

#[tokio::test]
async fn work_that_cannot_be_rescued_keeps_its_temporary_directory() {
    let destroy = Destroy::new().await;
    let world = destroy.world().await;
    let daemon = world.daemon();
    let issue = daemon.issue(1).await;
    let directory = world.home.files(&issue.worktree.unwrap().directory).0;
    let temporary = leave_work_in_temporary_directory(&world, &daemon, &directory).await;
    let elsewhere = Repository::with_commit();
    elsewhere.git(["worktree", "add", "--quiet", temporary.join("elsewhere").to_str().unwrap()]);
    daemon.engine.apply(issue.id, Event::DestroyRequested).await.unwrap();
    let reason = async || {
        let events = daemon.store.events_after(Some(issue.id), 0, 100).await.unwrap();
        events.into_iter().find(|event| event.kind == "destroy_failed").map(|event| event.data.to_string())
    };
    let reason = daemon.until("the failure", reason).await;
    assert!(reason.contains("is kept") && reason.contains("TMPDIR/elsewhere"), "{reason}");
    assert!(temporary.join("linked/left.txt").exists() && directory.exists());
}

#[tokio::test]
async fn a_worktree_whose_lock_cannot_be_tried_is_not_removed() {
    let destroy = Destroy::new().await;
    let world = destroy.world().await;
    let daemon = world.daemon();
    let issue = daemon.issue(1).await;
    let (directory, relay) = world.home.files(&issue.worktree.unwrap().directory);
    let aside = world.home.path().join("aside");
    fs::rename(&directory, &aside).unwrap();
    // Also root cannot open it.
    symlink(&directory, &directory).unwrap();
    let reason = async || {
        let events = daemon.store.events_after(Some(issue.id), 0, 100).await.unwrap();
        events.into_iter().find(|event| event.kind == "destroy_failed").map(|event| event.data.to_string())
    };
    daemon.engine.apply(issue.id, Event::DestroyRequested).await.unwrap();
    let reason = daemon.until("the failure", reason).await;
    assert!(reason.contains("could not lock"), "{reason}");
    assert!(directory.is_symlink() && relay.exists());
    fs::remove_file(&directory).unwrap();
    fs::rename(&aside, &directory).unwrap();
    destroy.play(&world, &daemon).await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn files_are_not_gone_while_the_relay_cannot_be_looked_at() {
    let destroy = Destroy::new().await;
    let world = destroy.world().await;
    let daemon = world.daemon();
    let issue = daemon.issue(1).await;
    let (directory, relay) = world.home.files(&issue.worktree.unwrap().directory);
    fs::rename(&directory, world.home.path().join("removed")).unwrap();
    let (relays, aside) = (world.home.relays(), world.home.path().join("aside"));
    fs::rename(&relays, &aside).unwrap();
    symlink(&relays, &relays).unwrap();
    daemon.engine.apply(issue.id, Event::DestroyRequested).await.unwrap();
    let failed = async || {
        let events = daemon.store.events_after(Some(issue.id), 0, 100).await.unwrap();
        let ended = events.into_iter().find(|event| ["destroy_failed", "destroyed"].contains(&event.kind.as_str()));
        ended.map(|event| format!("{} {}", event.kind, event.data))
    };
    let failed = daemon.until("the failure", failed).await;
    assert!(failed.starts_with("destroy_failed") && failed.contains("cannot look at"), "{failed}");
    fs::remove_file(&relays).unwrap();
    fs::rename(&aside, &relays).unwrap();
    assert!(relay.exists());
}
