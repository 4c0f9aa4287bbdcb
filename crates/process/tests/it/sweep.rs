//! Ending what a killed runner left behind.

use std::process::{Child, Stdio};

use kugetsu_process::{MARKER, Marker, Tracking, Tree, kill_with_arguments, leftover_processes, sweep};

use crate::own_process::rerun;
use crate::test_dir::{TestDir, exists, is_running, until};
use crate::tree::{cgroup_left, spec};

const DIR: &str = "KUGETSU_TEST_DIR";
const TRACKING: &str = "KUGETSU_TEST_TRACKING";

/// A tool in a session of its own that ignores SIGTERM, and one without environment whose parent lives.
const AGENT: &str = r#"
setsid /bin/sh -c 'trap "" TERM; echo $$ >tool; while :; do sleep 1; done' &
setsid /bin/sh -c 'env -i /bin/sh -c "echo \$\$ >bare; sleep 1000"; :' &
echo $$ >agent
while :; do sleep 1; done
"#;

/// A process that only a cgroup finds: its parent is gone, and it left the group and cleared its environment.
const LOST: &str = r#"(setsid env -i /bin/sh -c 'trap "" TERM; echo $$ >lost; while :; do sleep 1; done' &)"#;

/// The runner that the tests kill.
#[tokio::test]
#[ignore = "run by other tests"]
async fn runner() {
    let cwd = std::path::PathBuf::from(std::env::var_os(DIR).unwrap());
    let dir = TestDir::new();
    let cgroup = std::env::var_os(TRACKING).unwrap() == "cgroup";
    let tracking = if cgroup { Tracking::CgroupV2 } else { Tracking::Subreaper };
    kugetsu_process::adopt_orphans().unwrap();
    let mut spec = spec(&dir, &if cgroup { format!("{LOST}\n{AGENT}") } else { AGENT.to_owned() }, tracking);
    spec.marker = Marker::new(cwd.file_name().unwrap().to_string_lossy().trim_start_matches('.')).unwrap();
    spec.cwd = cwd.clone();
    let mut tree = Tree::spawn(spec).await.unwrap();
    std::fs::write(cwd.join("tracking"), tree.tracking().to_string()).unwrap();
    tree.wait().await.unwrap();
}

fn start_runner(dir: &TestDir, tracking: &str) -> Child {
    let mut command = rerun("it::sweep::runner");
    command.env(DIR, dir.root()).env(TRACKING, tracking).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn sweeps_after(tracking: &str, files: &[&str]) {
    let dir = TestDir::new();
    let id = dir.root().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    let marker = Marker::new(id).unwrap();
    let mut runner = start_runner(&dir, tracking);
    let mut pids = Vec::new();
    for file in files {
        pids.push(dir.pid(file).await);
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(pids.iter().all(|pid| is_running(*pid)), "they outlive the runner");

    let listed = leftover_processes(MARKER).await.unwrap();
    assert!(listed.iter().any(|(pid, value)| pid.as_raw() == pids[0] && *value == *marker.id()), "{listed:?}");
    let swept = sweep(&marker).await.unwrap();

    assert!(swept.survivors.is_empty(), "{swept:?}");
    assert!(swept.signaled >= pids.len(), "{swept:?}");
    assert!(!pids.iter().any(|pid| is_running(*pid)), "{pids:?}");
    assert!(!cgroup_left(marker.id()));
    let again = sweep(&marker).await.unwrap();
    assert_eq!((again.signaled, again.survivors.len()), (0, 0));
}

#[tokio::test]
async fn sweep_ends_what_a_killed_runner_left() {
    sweeps_after("subreaper", &["agent", "tool", "bare"]).await;
}

#[tokio::test]
async fn sweep_ends_what_only_a_cgroup_finds() {
    // Without a cgroup that process cannot be found.
    if Tracking::detect() == Tracking::CgroupV2 {
        sweeps_after("cgroup", &["agent", "tool", "bare", "lost"]).await;
    }
}

/// A daemon started from within a run carries that run's marker itself.
#[tokio::test]
#[ignore = "run by other tests"]
async fn marked_sweeper() {
    let marker = Marker::new(std::env::var(MARKER).unwrap()).unwrap();
    assert!(sweep(&marker).await.unwrap().survivors.is_empty());
}

#[tokio::test]
async fn sweep_spares_its_own_process() {
    let id = format!("spared-{}", std::process::id());
    let mut sleeper = std::process::Command::new("setsid").args(["sleep", "1000"]).env(MARKER, &id).spawn().unwrap();
    let pid = sleeper.id().cast_signed();
    // Until it has called setsid, the sleeper is in the group of this process, which is spared as a whole.
    until("the sleeper to lead a group", || {
        nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).is_ok_and(|group| group.as_raw() == pid)
    })
    .await;
    let sweeper = rerun("it::sweep::marked_sweeper").env(MARKER, &id).stdout(Stdio::null()).status().unwrap();
    let ended = sleeper.try_wait().unwrap();
    let _ = sleeper.kill();
    assert!(sweeper.success());
    assert!(ended.is_some(), "the sleeper was swept");
    assert!(exists(std::process::id().cast_signed()));
}

#[tokio::test]
async fn stopped_runner_is_killed_with_everything_that_it_started() {
    let dir = TestDir::new();
    // A child with another session and environment, as git's or an agent's may be.
    let script = "setsid env -i /bin/sh -c 'trap \"\" TERM; echo $$ >child; while :; do sleep 1; done' & \
                  echo $$ >runner; kill -STOP $$; while :; do sleep 1; done";
    let home = dir.root();
    let mut runner = std::process::Command::new("setsid")
        .args(["/bin/sh", "-c", script, "kugetsu", "runner"])
        .arg(&home)
        .args(["--lock", "7"])
        .current_dir(&home)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (pid, child) = (dir.pid("runner").await, dir.pid("child").await);
    let marker = Marker::new("a-run-without-an-agent").unwrap();
    let other = ["runner".into(), home.join("other").into()];
    assert_eq!(kill_with_arguments(&other, &marker).await.unwrap().signaled, 0, "another run's runner is spared");
    assert!(exists(pid) && exists(child));
    let swept = kill_with_arguments(&["runner".into(), home.into()], &marker).await.unwrap();
    assert!(swept.signaled >= 2 && swept.survivors.is_empty(), "{swept:?}");
    assert!(!runner.wait().unwrap().success());
    until("the end of the child", || !is_running(child)).await;
}
