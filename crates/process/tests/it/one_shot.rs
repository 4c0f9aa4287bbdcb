//! OneShot children end, whatever they leave behind.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kugetsu_process::{OneShot, RunError, run, run_watched};
use tokio::time::{Instant, timeout};

use crate::world::{DEADLINE, World, exists, runs, until};

fn sh(script: &str) -> OneShot {
    OneShot::new("sh").args(["-c", script])
}

async fn run_in_time(short: OneShot) -> Result<kugetsu_process::Completed, RunError> {
    timeout(DEADLINE, run(short)).await.expect("a short child that does not end")
}

/// Runs it until it is ready, however long that takes, and then lets its time limit pass at once. Its error says how long
/// that was.
async fn run_out_of_time(short: OneShot, ready: impl Future<Output = ()>) -> RunError {
    const LIMIT: Duration = Duration::from_secs(3600);
    let pass = async {
        ready.await;
        // The clock of this test stands still for this step only: what comes after the limit takes its real time.
        tokio::time::pause();
        tokio::time::advance(LIMIT).await;
        tokio::time::resume();
    };
    let both = async { tokio::join!(run(short.time_limit(LIMIT)), pass) };
    let (ended, ()) = timeout(LIMIT + 2 * DEADLINE, both).await.expect("a short child that does not end");
    let error = ended.unwrap_err();
    assert!(matches!(&error, RunError::TimedOut { after, .. } if *after == LIMIT), "{error}");
    error
}

#[tokio::test]
async fn status_output_and_environment() {
    let short = sh("echo out; echo err >&2; echo \"$ONE ${HOME-none}\"; pwd -P; exit 3");
    let world = World::new();
    let ended = run(short.env("ONE", "1").without_env("HOME").cwd(world.dir())).await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(ended.stdout, format!("out\n1 none\n{}\n", world.dir().display()).as_bytes());
    assert_eq!(ended.stderr, b"err\n");
    assert!(!ended.stdout_truncated);
}

#[tokio::test]
async fn stdin_is_empty_unless_given() {
    assert_eq!(run_in_time(OneShot::new("cat")).await.unwrap().stdout, b"");
    assert_eq!(run_in_time(OneShot::new("cat").stdin("hello")).await.unwrap().stdout, b"hello");
}

#[tokio::test]
async fn much_in_and_much_out_do_not_block_each_other() {
    let bytes: Vec<u8> = (0_u32..4_000_000).flat_map(u32::to_le_bytes).collect();
    let ended = run_in_time(sh("tee /dev/stderr").stdin(bytes.clone())).await.unwrap();
    assert!(ended.stdout == bytes);
    assert!(ended.stderr == bytes[bytes.len() - 64 * 1024..]);
}

#[tokio::test]
async fn a_child_that_does_not_read_is_no_error() {
    assert!(run_in_time(sh("exit 0").stdin(vec![0; 4_000_000])).await.unwrap().status.success());
}

#[tokio::test]
async fn output_is_bounded() {
    let flood = sh("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero | tr '\\0' y >&2");
    let ended = run_in_time(flood.stdout_max(1000)).await.unwrap();
    assert_eq!((ended.stdout.len(), ended.stdout_truncated, ended.stderr.len()), (1000, true, 64 * 1024));
}

#[tokio::test]
async fn lines_of_stderr_are_handed_on_as_they_come() {
    let world = World::new();
    let script = "printf '10%%\\r20%%\\r' >&2; while ! test -e go; do sleep 0.02; done; printf 'done\\nlast' >&2";
    let mut seen = Vec::new();
    let go = world.path("go");
    run_watched(sh(script).cwd(world.dir()).time_limit(DEADLINE), |line| {
        seen.push(String::from_utf8(line.to_vec()).unwrap());
        if line == b"20%" {
            std::fs::write(&go, "").unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(seen, ["10%", "20%", "done", "last"]);
}

#[tokio::test]
async fn a_time_limit_ends_grandchildren_too() {
    let world = World::new();
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >inner; while :; do sleep 1; done' & echo $$ >outer; wait; wait";
    let mut pids = Vec::new();
    run_out_of_time(sh(script).cwd(world.dir()), async {
        pids = vec![world.pid("inner").await, world.pid("outer").await];
    })
    .await;
    for pid in pids {
        until("its end", || !runs(pid)).await;
    }
}

#[tokio::test]
async fn who_is_out_of_time_may_tidy_up() {
    let world = World::new();
    let script = "trap 'rm lock; exit' TERM; echo waiting >&2; : >lock; while :; do sleep 0.05; done";
    let ready = until("its lock", || world.path("lock").exists());
    match run_out_of_time(sh(script).cwd(world.dir()), ready).await {
        RunError::TimedOut { stderr, .. } => assert!(stderr.starts_with(b"waiting\n")),
        other => panic!("{other:?}"),
    }
    assert!(!world.path("lock").exists());
}

#[tokio::test]
async fn a_dropped_future_ends_the_group() {
    let world = World::new();
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >inner; while :; do sleep 1; done' & echo $$ >outer; wait; wait";
    let (inner, outer) = tokio::select! {
        _ = run(sh(script).cwd(world.dir())) => panic!("it does not end by itself"),
        pids = async { (world.pid("inner").await, world.pid("outer").await) } => pids,
    };
    until("their end", || !runs(inner) && !runs(outer)).await;
    until("it to be reaped", || !exists(outer)).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_does_not_hang() {
    let world = World::new();
    let ended = run_in_time(sh("sleep 1000 & echo $! >pid; echo out").cwd(world.dir())).await.unwrap();
    assert_eq!(ended.stdout, b"out\n");
    let pid = world.pid("pid").await;
    until("its end", || !runs(pid)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_grandchild_that_left_the_group_does_not_hang_either() {
    let world = World::new();
    let ended =
        run_in_time(sh("setsid sh -c 'echo $$ >pid; exec sleep 1000' & echo out").cwd(world.dir())).await.unwrap();
    assert_eq!(ended.stdout, b"out\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(world.pid("pid").await), nix::sys::signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_quick_child_takes_no_time() {
    /// A missed end costs at least as much as the wait before the next look.
    const MISSED: Duration = Duration::from_millis(500);
    let end = Instant::now() + DEADLINE;
    let (mut quick, mut slow) = (0, 0);
    // On a busy machine some are slow whose end was not missed; where ends are missed, none is quick.
    while quick < 20 {
        let begun = Instant::now();
        // Its pipes close before it ends: they are not to be what tells of the end.
        run(sh("exec >&- 2>&-; sleep 0.05")).await.unwrap();
        if begun.elapsed() < MISSED {
            quick += 1
        } else {
            slow += 1
        }
        assert!(Instant::now() < end, "{quick} were quick and {slow} slow");
    }
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let world = World::new();
    let error = run(OneShot::new("kugetsu-no-such-program")).await.unwrap_err();
    assert!(matches!(error, RunError::NotFound { .. }));
    assert!(error.to_string().contains("`kugetsu-no-such-program` is not on PATH"), "{error}");

    let error = run(OneShot::new(world.path("missing"))).await.unwrap_err();
    assert!(error.to_string().contains("there is no program at /"), "{error}");

    std::fs::write(world.path("plain"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(world.path("plain"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(run(OneShot::new(world.path("plain"))).await, Err(RunError::NoPermission { .. })));

    let error = run(OneShot::new("true").cwd(world.path("missing"))).await.unwrap_err();
    assert!(matches!(&error, RunError::BadDirectory { directory, .. } if *directory == world.path("missing")));
    assert!(matches!(run(OneShot::new("true").cwd(world.path("plain"))).await, Err(RunError::BadDirectory { .. })));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", OneShot::new("git").env("TOKEN", "s3cret").stdin("s3cret too"));
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}
