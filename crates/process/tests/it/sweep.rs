//! What a runner left that was killed itself.

use std::process::{Child, Stdio};

use kugetsu_process::{MARKER, Marker, Tracking, Tree, leftover_processes, sweep};

use crate::alone::again;
use crate::tree::{cgroup_left, spec};
use crate::world::{World, exists, runs, until};

const DIR: &str = "KUGETSU_TEST_DIR";
const MEANS: &str = "KUGETSU_TEST_MEANS";

/// A tool in a session of its own that does not obey, and one without environment below a living parent.
const AGENT: &str = r#"
setsid /bin/sh -c 'trap "" TERM; echo $$ >tool; while :; do sleep 1; done' &
setsid /bin/sh -c 'env -i /bin/sh -c "echo \$\$ >bare; sleep 1000"; :' &
echo $$ >agent
while :; do sleep 1; done
"#;

/// What only a cgroup finds: no parent, no group, no environment.
const LOST: &str = r#"(setsid env -i /bin/sh -c 'trap "" TERM; echo $$ >lost; while :; do sleep 1; done' &)"#;

/// The runner that is killed.
#[tokio::test]
#[ignore = "played by other tests"]
async fn runner() {
    let dir = std::path::PathBuf::from(std::env::var_os(DIR).unwrap());
    let world = World::new();
    let cgroup = std::env::var_os(MEANS).unwrap() == "cgroup";
    let tracking = if cgroup { Tracking::CgroupV2 } else { Tracking::Subreaper };
    kugetsu_process::adopt_orphans().unwrap();
    let mut spec = spec(&world, &if cgroup { format!("{LOST}\n{AGENT}") } else { AGENT.to_owned() }, tracking);
    spec.marker = Marker::new(dir.file_name().unwrap().to_string_lossy().trim_start_matches('.')).unwrap();
    spec.cwd = dir.clone();
    let mut tree = Tree::spawn(spec).await.unwrap();
    std::fs::write(dir.join("means"), tree.tracking().to_string()).unwrap();
    tree.wait().await.unwrap();
}

fn start_runner(world: &World, tracking: &str) -> Child {
    let mut command = again("it::sweep::runner");
    command.env(DIR, world.dir()).env(MEANS, tracking).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn sweeps_after(tracking: &str, files: &[&str]) {
    let world = World::new();
    let id = world.dir().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    let marker = Marker::new(id).unwrap();
    let mut runner = start_runner(&world, tracking);
    let mut pids = Vec::new();
    for file in files {
        pids.push(world.pid(file).await);
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(pids.iter().all(|pid| runs(*pid)), "they outlive their runner");

    let listed = leftover_processes(MARKER).await.unwrap();
    assert!(listed.iter().any(|(pid, value)| pid.as_raw() == pids[0] && *value == *marker.id()), "{listed:?}");
    let swept = sweep(&marker).await.unwrap();

    assert!(swept.survivors.is_empty(), "{swept:?}");
    assert!(swept.signalled >= pids.len(), "{swept:?}");
    assert!(!pids.iter().any(|pid| runs(*pid)), "{pids:?}");
    assert!(!cgroup_left(marker.id()));
    let again = sweep(&marker).await.unwrap();
    assert_eq!((again.signalled, again.survivors.len()), (0, 0));
}

#[tokio::test]
async fn sweep_after_a_killed_runner() {
    sweeps_after("subreaper", &["agent", "tool", "bare"]).await;
}

#[tokio::test]
async fn sweep_after_a_killed_runner_by_its_cgroup() {
    // Where no cgroup can be had, the lost one is really lost: nothing to test.
    if Tracking::detect() == Tracking::CgroupV2 {
        sweeps_after("cgroup", &["agent", "tool", "bare", "lost"]).await;
    }
}

/// A daemon started from within a run carries that run's marker itself.
#[tokio::test]
#[ignore = "played by other tests"]
async fn marked_sweeper() {
    let marker = Marker::new(std::env::var(MARKER).unwrap()).unwrap();
    assert!(sweep(&marker).await.unwrap().survivors.is_empty());
}

#[tokio::test]
async fn sweep_spares_itself() {
    let id = format!("spared-{}", std::process::id());
    let mut sleeper = std::process::Command::new("setsid").args(["sleep", "1000"]).env(MARKER, &id).spawn().unwrap();
    let pid = sleeper.id().cast_signed();
    // Before setsid the sleeper is in our group, which is spared as a whole.
    until("the sleeper to lead a group", || {
        nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid))).is_ok_and(|group| group.as_raw() == pid)
    })
    .await;
    let sweeper = again("it::sweep::marked_sweeper").env(MARKER, &id).stdout(Stdio::null()).status().unwrap();
    let ended = sleeper.try_wait().unwrap();
    let _ = sleeper.kill();
    assert!(sweeper.success());
    assert!(ended.is_some(), "the sleeper was swept");
    assert!(exists(std::process::id().cast_signed()));
}
