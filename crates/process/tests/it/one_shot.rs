//! One-shot children end, whatever they leave behind.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kugetsu_process::{OneShot, RunError, run, run_watched};
use tokio::time::{Instant, timeout};

use crate::test_dir::{DEADLINE, TestDir, exists, is_running, until};

fn sh(script: &str) -> OneShot {
    OneShot::new("sh").args(["-c", script])
}

async fn run_in_time(one_shot: OneShot) -> Result<kugetsu_process::Completed, RunError> {
    timeout(DEADLINE, run(one_shot)).await.expect("the child does not end")
}

/// Runs the child until it is ready, however long that takes, and then makes its time limit expire at once.
async fn run_out_of_time(one_shot: OneShot, ready: impl Future<Output = ()>) -> RunError {
    const LIMIT: Duration = Duration::from_secs(3600);
    let expire = async {
        ready.await;
        // The clock is paused for this step only. What happens after the limit takes real time.
        tokio::time::pause();
        tokio::time::advance(LIMIT).await;
        tokio::time::resume();
    };
    let both = async { tokio::join!(run(one_shot.time_limit(LIMIT)), expire) };
    let (ended, ()) = timeout(LIMIT + 2 * DEADLINE, both).await.expect("the child does not end");
    let error = ended.unwrap_err();
    assert!(matches!(&error, RunError::TimedOut { after, .. } if *after == LIMIT), "{error}");
    error
}

#[tokio::test]
async fn status_and_output_are_returned() {
    let one_shot = sh("echo out; echo err >&2; echo \"$ONE ${HOME-none}\"; pwd -P; exit 3");
    let dir = TestDir::new();
    let ended = run(one_shot.env("ONE", "1").without_env("HOME").cwd(dir.root())).await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(ended.stdout, format!("out\n1 none\n{}\n", dir.root().display()).as_bytes());
    assert_eq!(ended.stderr, b"err\n");
    assert!(!ended.stdout_truncated);
}

#[tokio::test]
async fn stdin_is_empty_unless_given() {
    assert_eq!(run_in_time(OneShot::new("cat")).await.unwrap().stdout, b"");
    assert_eq!(run_in_time(OneShot::new("cat").stdin("hello")).await.unwrap().stdout, b"hello");
}

#[tokio::test]
async fn large_input_and_output_do_not_block_each_other() {
    let bytes: Vec<u8> = (0_u32..4_000_000).flat_map(u32::to_le_bytes).collect();
    let ended = run_in_time(sh("tee /dev/stderr").stdin(bytes.clone())).await.unwrap();
    assert!(ended.stdout == bytes);
    assert!(ended.stderr == bytes[bytes.len() - 64 * 1024..]);
}

#[tokio::test]
async fn unread_stdin_is_not_an_error() {
    assert!(run_in_time(sh("exit 0").stdin(vec![0; 4_000_000])).await.unwrap().status.success());
}

#[tokio::test]
async fn output_is_truncated() {
    let flood = sh("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero | tr '\\0' y >&2");
    let ended = run_in_time(flood.stdout_max(1000)).await.unwrap();
    assert_eq!((ended.stdout.len(), ended.stdout_truncated, ended.stderr.len()), (1000, true, 64 * 1024));
}

#[tokio::test]
async fn stderr_lines_are_passed_on_as_they_arrive() {
    let dir = TestDir::new();
    let script = "printf '10%%\\r20%%\\r' >&2; while ! test -e go; do sleep 0.02; done; printf 'done\\nlast' >&2";
    let mut seen = Vec::new();
    let go = dir.path("go");
    run_watched(sh(script).cwd(dir.root()).time_limit(DEADLINE), |line| {
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
async fn time_limit_ends_grandchildren_too() {
    let dir = TestDir::new();
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >inner; while :; do sleep 1; done' & echo $$ >outer; wait; wait";
    let mut pids = Vec::new();
    run_out_of_time(sh(script).cwd(dir.root()), async {
        pids = vec![dir.pid("inner").await, dir.pid("outer").await];
    })
    .await;
    for pid in pids {
        until("its end", || !is_running(pid)).await;
    }
}

#[tokio::test]
async fn child_can_clean_up_after_its_time_limit() {
    let dir = TestDir::new();
    let script = "trap 'rm lock; exit' TERM; echo waiting >&2; : >lock; while :; do sleep 0.05; done";
    let ready = until("its lock", || dir.path("lock").exists());
    match run_out_of_time(sh(script).cwd(dir.root()), ready).await {
        RunError::TimedOut { stderr, .. } => assert!(stderr.starts_with(b"waiting\n")),
        other => panic!("{other:?}"),
    }
    assert!(!dir.path("lock").exists());
}

#[tokio::test]
async fn dropped_future_ends_the_group() {
    let dir = TestDir::new();
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >inner; while :; do sleep 1; done' & echo $$ >outer; wait; wait";
    let (inner, outer) = tokio::select! {
        _ = run(sh(script).cwd(dir.root())) => panic!("it does not end by itself"),
        pids = async { (dir.pid("inner").await, dir.pid("outer").await) } => pids,
    };
    until("their end", || !is_running(inner) && !is_running(outer)).await;
    until("it to be reaped", || !exists(outer)).await;
}

#[tokio::test]
async fn grandchild_with_open_pipes_does_not_block() {
    let dir = TestDir::new();
    let ended = run_in_time(sh("sleep 1000 & echo $! >pid; echo out").cwd(dir.root())).await.unwrap();
    assert_eq!(ended.stdout, b"out\n");
    let pid = dir.pid("pid").await;
    until("its end", || !is_running(pid)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn grandchild_outside_of_the_group_does_not_block() {
    let dir = TestDir::new();
    let ended =
        run_in_time(sh("setsid sh -c 'echo $$ >pid; exec sleep 1000' & echo out").cwd(dir.root())).await.unwrap();
    assert_eq!(ended.stdout, b"out\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(dir.pid("pid").await), nix::sys::signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn exit_is_noticed_at_once() {
    /// A missed exit costs at least the interval until the next check.
    const MISSED: Duration = Duration::from_millis(500);
    let end = Instant::now() + DEADLINE;
    let (mut quick, mut slow) = (0, 0);
    // On a busy machine some are slow although nothing was missed. If exits are missed, none is quick.
    while quick < 20 {
        let start = Instant::now();
        // The pipes close before the exit, so that they do not reveal it.
        run(sh("exec >&- 2>&-; sleep 0.05")).await.unwrap();
        if start.elapsed() < MISSED {
            quick += 1
        } else {
            slow += 1
        }
        assert!(Instant::now() < end, "{quick} were quick and {slow} slow");
    }
}

#[tokio::test]
async fn run_errors_name_the_cause() {
    let dir = TestDir::new();
    let error = run(OneShot::new("kugetsu-no-such-program")).await.unwrap_err();
    assert!(matches!(error, RunError::NotFound { .. }) && error.hint().is_some());
    assert!(error.to_string().contains("`kugetsu-no-such-program` is not on PATH"), "{error}");

    let error = run(OneShot::new(dir.path("missing"))).await.unwrap_err();
    assert!(error.to_string().contains("there is no program at /"), "{error}");

    for (text, named) in [("#!/no/such/node --flag\n", "\"/no/such/node\""), ("#!/bin/sh\r\n", "\"/bin/sh\\r\"")] {
        std::fs::write(dir.path("script"), text).unwrap();
        std::fs::set_permissions(dir.path("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = run(OneShot::new(dir.path("script"))).await.unwrap_err();
        assert!(matches!(error, RunError::NoInterpreter { .. }) && error.hint().is_some(), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }

    std::fs::write(dir.path("plain"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(dir.path("plain"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(run(OneShot::new(dir.path("plain"))).await, Err(RunError::NoPermission { .. })));

    let error = run(OneShot::new("true").cwd(dir.path("missing"))).await.unwrap_err();
    assert!(matches!(&error, RunError::BadDirectory { directory, .. } if *directory == dir.path("missing")));
    assert!(matches!(run(OneShot::new("true").cwd(dir.path("plain"))).await, Err(RunError::BadDirectory { .. })));
}

#[test]
fn debug_output_hides_secrets() {
    let shown = format!("{:?}", OneShot::new("git").env("TOKEN", "s3cret").stdin("s3cret too"));
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}
