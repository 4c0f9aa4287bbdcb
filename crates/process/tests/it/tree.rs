//! A tree ends as a whole, with every kind of tracking.

use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use kugetsu_process::TreeExit;
use kugetsu_process::{Marker, OneShot, SpawnError, Tracking, Tree, TreeLimits, TreeSpec, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::own_process::{own_process, rerun};
use crate::stubborn;
use crate::test_dir::{DEADLINE, TestDir, exists, is_running, until};

/// A grace period for agents that exit on SIGTERM. Only a hang exceeds it.
const LONG_GRACE: Duration = Duration::from_secs(40);
/// A grace period for agents that do not.
const SHORT_GRACE: Duration = Duration::from_millis(100);

/// An agent that ignores SIGTERM, with three processes that would outlive it if it were killed alone.
const STUBBORN: &str = r#"
trap "" TERM
(setsid env -i /bin/sh -c 'trap "" TERM HUP; echo $$ >deaf; while :; do sleep 1; done' &)
(setsid /bin/sh -c 'echo $$ >tool; sleep 1000' &)
sleep 1000 & echo $! >plain
while :; do sleep 1; done
"#;

pub(crate) fn spec(dir: &TestDir, script: &str, tracking: Tracking) -> TreeSpec {
    let name = dir.root().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    TreeSpec {
        program: "/bin/sh".into(),
        args: ["-c".into(), script.into()].into(),
        cwd: dir.root(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        marker: Marker::new(format!("test-{name}")).unwrap(),
        stdout: None,
        stderr: File::create(dir.path("stderr")).unwrap(),
        stderr_max: 64 * 1024,
        stderr_filter: None,
        tracking,
        sandbox: None,
        limits: TreeLimits::default(),
    }
}

#[tokio::test]
async fn stdout_can_be_a_file() {
    let dir = TestDir::new();
    let mut spec = spec(&dir, "head -c 200000 /dev/zero", Tracking::CgroupV2);
    spec.stdout = Some(File::create(dir.path("stdout")).unwrap());
    let mut tree = Tree::spawn(spec).await.unwrap();
    assert!(tree.stdout.is_none());
    assert!(timeout(DEADLINE, tree.wait()).await.unwrap().unwrap().success());
    assert_clean(&tree.end(Duration::ZERO).await);
    assert_eq!(std::fs::metadata(dir.path("stdout")).unwrap().len(), 200_000);
}

async fn start(dir: &TestDir, script: &str) -> Tree {
    Tree::spawn(spec(dir, script, Tracking::CgroupV2)).await.unwrap()
}

/// Waits until no process holds the pipe any more, and returns the rest of its content.
pub(crate) async fn is_closed(mut stdout: ChildStdout) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(DEADLINE, stdout.read_to_end(&mut rest)).await.expect("a process still holds the pipe").unwrap();
    rest
}

fn assert_clean(ended: &TreeExit) {
    assert!(ended.survivors.is_empty(), "{ended:?}");
    assert!(ended.problem.is_none(), "{ended:?}");
    assert!(ended.status.is_some(), "{ended:?}");
}

pub(crate) fn cgroup_left(marker: &str) -> bool {
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("kugetsu-{marker}")])
        .output()
        .unwrap();
    !found.stdout.is_empty()
}

fn code(status: Option<ExitStatus>) -> Option<i32> {
    status.and_then(|status| status.code())
}

async fn ends_the_stubborn(tracking: Tracking) {
    let dir = TestDir::new();
    let spec = spec(&dir, STUBBORN, tracking);
    let marker = spec.marker.clone();
    let mut tree = Tree::spawn(spec).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let pids = [dir.pid("deaf").await, dir.pid("tool").await, dir.pid("plain").await, tree.pid().as_raw()];
    assert!(pids.iter().all(|pid| is_running(*pid)));

    let ended = tree.end(SHORT_GRACE).await;

    assert_clean(&ended);
    assert!(ended.signaled >= pids.len(), "{ended:?}");
    assert_eq!(ended.tracking, tracking.min(Tracking::detect()));
    assert_eq!(pids.map(exists), [false; 4], "{pids:?}");
    is_closed(stdout).await;
    assert!(!cgroup_left(marker.id()));
}

own_process!(stubborn_processes_end_with_a_cgroup, async || ends_the_stubborn(Tracking::CgroupV2).await);
own_process!(stubborn_processes_end_with_a_subreaper, async || ends_the_stubborn(Tracking::Subreaper).await);

async fn ends_while_forking(role: &str, tracking: Tracking) {
    let dir = TestDir::new();
    let mut spec = spec(&dir, "", tracking);
    let helper = rerun(stubborn::TEST);
    spec.program = helper.get_program().to_owned();
    spec.args = helper.get_args().map(Into::into).collect();
    spec.env = vec![(stubborn::ROLE.into(), role.into())];
    let mut tree = Tree::spawn(spec).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let pid = tree.pid().as_raw();
    until("processes to be forked", || descendants(pid) > 20).await;

    let ended = tree.end(SHORT_GRACE).await;

    assert_clean(&ended);
    is_closed(stdout).await;
    assert_eq!(children(std::process::id().cast_signed()), 0);
}

/// Counts the agent's children and the adopted ones.
fn descendants(agent: i32) -> usize {
    children(agent) + children(std::process::id().cast_signed())
}

fn children(of: i32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.map(|list| list.split_ascii_whitespace().count()).sum()
}

own_process!(fork_chains_end_with_a_cgroup, async || ends_while_forking("fork_chains", Tracking::CgroupV2).await);
own_process!(fork_chains_end_with_a_subreaper, async || {
    ends_while_forking("fork_chains", Tracking::Subreaper).await;
});
own_process!(fork_floods_end_with_a_cgroup, async || ends_while_forking("fork_flood", Tracking::CgroupV2).await);
own_process!(fork_floods_end_with_a_subreaper, async || ends_while_forking("fork_flood", Tracking::Subreaper).await);

own_process!(marker_finds_processes_that_left_the_group, async || {
    let dir = TestDir::new();
    let script = r#"(setsid /bin/sh -c 'trap "" TERM; echo $$ >tool; while :; do sleep 1; done' &); sleep 1000"#;
    let mut tree = Tree::spawn(spec(&dir, script, Tracking::Groups)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let tool = dir.pid("tool").await;
    let ended = tree.end(SHORT_GRACE).await;
    assert_clean(&ended);
    assert_eq!(ended.tracking, Tracking::Groups);
    assert!(!is_running(tool));
    is_closed(stdout).await;
});

own_process!(processes_left_behind_end_too, async || {
    let dir = TestDir::new();
    let mut tree = start(&dir, "(setsid sh -c 'echo $$ >left; sleep 1000' &); exit 5").await;
    let left = dir.pid("left").await;
    assert_eq!(tree.wait().await.unwrap().code(), Some(5));
    assert!(is_running(left));
    let ended = tree.end(LONG_GRACE).await;
    assert_clean(&ended);
    assert_eq!(code(ended.status), Some(5));
    assert!(ended.signaled >= 1);
    assert!(!exists(left));
});

own_process!(agent_gets_time_to_exit, async || {
    let dir = TestDir::new();
    let mut tree = start(&dir, "trap 'echo bye; exit 3' TERM; echo $$ >ready; while :; do sleep 0.05; done").await;
    let stdout = tree.stdout.take().unwrap();
    dir.pid("ready").await;
    let start = Instant::now();
    let ended = tree.end(LONG_GRACE).await;
    assert_clean(&ended);
    assert_eq!(code(ended.status), Some(3));
    assert!(start.elapsed() < LONG_GRACE);
    assert_eq!(is_closed(stdout).await, b"bye\n");
});

own_process!(stopped_process_receives_sigterm, async || {
    let dir = TestDir::new();
    let tree = start(&dir, "trap 'exit 4' TERM; echo $$ >ready; kill -STOP $$; while :; do sleep 0.05; done").await;
    let pid = dir.pid("ready").await;
    until("it to be stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.starts_with(" T")
    })
    .await;
    assert_eq!(code(tree.end(LONG_GRACE).await.status), Some(4));
});

own_process!(exited_agent_is_not_signaled, async || {
    let dir = TestDir::new();
    let mut tree = start(&dir, "read line; echo \"$line\"; exit 7").await;
    assert!(timeout(Duration::from_millis(1), tree.wait()).await.is_err());
    let mut stdin = tree.stdin.take().unwrap();
    stdin.write_all(b"hello\n").await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    assert_eq!(is_closed(stdout).await, b"hello\n");
    assert_eq!(tree.wait().await.unwrap().code(), Some(7));
    assert_eq!(tree.wait().await.unwrap().code(), Some(7));
    let ended = tree.end(LONG_GRACE).await;
    assert_clean(&ended);
    assert_eq!((code(ended.status), ended.signaled), (Some(7), 0));
});

own_process!(orphans_are_reaped_while_the_agent_works, async || {
    let dir = TestDir::new();
    let script = "i=0; while [ $i -lt 40 ]; do (sh -c 'echo $$ >>orphans' &); i=$((i+1)); done; sleep 1000";
    let tree = start(&dir, script).await;
    let orphans = dir.pids("orphans", 40).await;
    until("all orphans to be reaped", || !orphans.iter().any(|pid| exists(*pid))).await;
    assert!(is_running(tree.pid().as_raw()));
    assert_clean(&tree.end(SHORT_GRACE).await);
});

own_process!(one_shot_child_is_spared, async || {
    let dir = TestDir::new();
    let waits = "echo $$ >one_shot; while ! test -e go; do sleep 0.02; done; echo fine";
    let one_shot = run(OneShot::new("sh").args(["-c", waits]).cwd(dir.root()));
    let ending = async {
        let tree = start(&dir, "sleep 1000").await;
        let pid = dir.pid("one_shot").await;
        let ended = tree.end(SHORT_GRACE).await;
        assert!(is_running(pid));
        std::fs::write(dir.path("go"), "").unwrap();
        ended
    };
    let (one_shot, ended) = tokio::join!(one_shot, ending);
    let one_shot = one_shot.unwrap();
    assert!(one_shot.status.success());
    assert_eq!(one_shot.stdout, b"fine\n");
    assert_clean(&ended);
});

own_process!(dropped_tree_is_killed, async || {
    let dir = TestDir::new();
    let mut tree = start(&dir, STUBBORN).await;
    let stdout = tree.stdout.take().unwrap();
    for file in ["deaf", "tool", "plain"] {
        dir.pid(file).await;
    }
    drop(tree);
    is_closed(stdout).await;
});

own_process!(second_tree_is_refused, async || {
    let dir = TestDir::new();
    let tree = start(&dir, "sleep 1000").await;
    let other = TestDir::new();
    let second = Tree::spawn(spec(&other, "sleep 1000", Tracking::CgroupV2)).await;
    assert!(matches!(second, Err(SpawnError::SecondTree { .. })));
    assert_clean(&tree.end(SHORT_GRACE).await);
    assert_clean(&start(&other, "sleep 1000").await.end(SHORT_GRACE).await);
});

own_process!(stderr_flood_is_truncated_and_does_not_block, async || {
    let dir = TestDir::new();
    let flood =
        "echo first >&2; head -c 30000000 /dev/zero | tr '\\0' x >&2; echo; echo last >&2; echo $$ >done; read x";
    let tree = start(&dir, flood).await;
    dir.pid("done").await;
    until("the tail", || tree.stderr_tail().ends_with("xlast\n")).await;
    assert_eq!(tree.stderr_tail().len(), 16 * 1024);
    assert_clean(&tree.end(SHORT_GRACE).await);
    let kept = String::from_utf8(std::fs::read(dir.path("stderr")).unwrap()).unwrap();
    assert!(kept.len() <= 64 * 1024, "{}", kept.len());
    assert!(kept.len() > 60 * 1024, "{}", kept.len());
    assert!(kept.starts_with("first\nxxx") && kept.ends_with("xlast\n"));
    let note = kept.lines().find(|line| line.ends_with(" bytes omitted]")).expect("a note of the omission");
    let omitted: usize = note[1..].split_once(' ').unwrap().0.parse().unwrap();
    assert_eq!(omitted + kept.len() - note.len() - 2, "first\n".len() + 30_000_000 + "last\n".len());
});

own_process!(short_stderr_is_kept_whole, async || {
    let dir = TestDir::new();
    let mut tree = start(&dir, "echo one >&2; echo two >&2").await;
    tree.wait().await.unwrap();
    assert_clean(&tree.end(SHORT_GRACE).await);
    assert_eq!(std::fs::read(dir.path("stderr")).unwrap(), b"one\ntwo\n");
});

own_process!(stderr_write_error_is_reported_and_does_not_block, async || {
    let dir = TestDir::new();
    let mut spec = spec(&dir, "head -c 3000000 /dev/zero >&2; exit 0", Tracking::CgroupV2);
    spec.stderr = File::options().write(true).open("/dev/full").unwrap();
    let mut tree = Tree::spawn(spec).await.unwrap();
    assert_eq!(tree.wait().await.unwrap().code(), Some(0));
    let ended = tree.end(SHORT_GRACE).await;
    assert!(ended.survivors.is_empty());
    assert_eq!(ended.problem.unwrap().kind(), std::io::ErrorKind::StorageFull);
});

own_process!(start_errors_name_the_cause, async || {
    let dir = TestDir::new();
    let mut missing = spec(&dir, "", Tracking::CgroupV2);
    missing.program = "kugetsu-no-such-agent".into();
    let marker = missing.marker.clone();
    let error = Tree::spawn(missing).await.err().unwrap().to_string();
    assert!(error.contains("`kugetsu-no-such-agent` is not on PATH"), "{error}");
    assert!(!cgroup_left(marker.id()));
    let mut no_directory = spec(&dir, "", Tracking::CgroupV2);
    no_directory.cwd = dir.path("no/such/directory");
    let error = Tree::spawn(no_directory).await.err().unwrap().to_string();
    assert!(error.contains("no/such/directory"), "{error}");
    // A failed start does not count as a tree.
    assert_clean(&start(&dir, ":").await.end(SHORT_GRACE).await);
});

#[test]
fn debug_output_hides_values_of_variables() {
    let dir = TestDir::new();
    let mut spec = spec(&dir, "", Tracking::Groups);
    spec.env.push(("TOKEN".into(), "s3cret".into()));
    let shown = format!("{spec:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn detection_finds_the_subreaper_at_least_and_removes_its_cgroup() {
    let tracking = Tracking::detect();
    assert!(tracking >= Tracking::Subreaper, "{tracking}");
    assert!(!Path::new(&format!("/sys/fs/cgroup/kugetsu-probe-{}", std::process::id())).exists());
}
