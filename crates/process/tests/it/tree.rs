//! A tree ends as a whole, by every means there is.

use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use kugetsu_process::TreeExit;
use kugetsu_process::{Marker, OneShot, SpawnError, Tracking, Tree, TreeSpec, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::alone::{again, alone};
use crate::bad;
use crate::world::{DEADLINE, World, exists, runs, until};

/// Long enough that only a hang meets it, as grace for those who obey.
const PATIENT: Duration = Duration::from_secs(40);
/// As grace for those who do not.
const BRIEF: Duration = Duration::from_millis(100);

/// Three processes that outlive a killed agent, and the agent ignores SIGTERM too.
const STUBBORN: &str = r#"
trap "" TERM
(setsid env -i /bin/sh -c 'trap "" TERM HUP; echo $$ >deaf; while :; do sleep 1; done' &)
(setsid /bin/sh -c 'echo $$ >tool; sleep 1000' &)
sleep 1000 & echo $! >plain
while :; do sleep 1; done
"#;

pub(crate) fn spec(world: &World, script: &str, tracking: Tracking) -> TreeSpec {
    let name = world.dir().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
    TreeSpec {
        program: "/bin/sh".into(),
        args: ["-c".into(), script.into()].into(),
        cwd: world.dir(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        marker: Marker::new(format!("test-{name}")).unwrap(),
        stderr: File::create(world.path("stderr")).unwrap(),
        stderr_max: 64 * 1024,
        stderr_filter: None,
        tracking,
        sandbox: None,
    }
}

async fn start(world: &World, script: &str) -> Tree {
    Tree::spawn(spec(world, script, Tracking::CgroupV2)).await.unwrap()
}

/// The pipe closes only when no process holds it any more: nobody is left, wherever he hid.
pub(crate) async fn is_closed(mut stdout: ChildStdout) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(DEADLINE, stdout.read_to_end(&mut rest)).await.expect("somebody still holds the pipe").unwrap();
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

async fn ends_the_stubborn(wanted: Tracking) {
    let world = World::new();
    let spec = spec(&world, STUBBORN, wanted);
    let marker = spec.marker.clone();
    let mut tree = Tree::spawn(spec).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let pids = [world.pid("deaf").await, world.pid("tool").await, world.pid("plain").await, tree.pid().as_raw()];
    assert!(pids.iter().all(|pid| runs(*pid)));

    let ended = tree.end(BRIEF).await;

    assert_clean(&ended);
    assert!(ended.signalled >= pids.len(), "{ended:?}");
    assert_eq!(ended.tracking, wanted.min(Tracking::detect()));
    assert_eq!(pids.map(exists), [false; 4], "{pids:?}");
    is_closed(stdout).await;
    assert!(!cgroup_left(marker.id()));
}

alone!(nothing_is_left_with_a_cgroup, async || ends_the_stubborn(Tracking::CgroupV2).await);
alone!(nothing_is_left_with_the_subreaper_alone, async || ends_the_stubborn(Tracking::Subreaper).await);

async fn ends_while_forking(part: &str, wanted: Tracking) {
    let world = World::new();
    let mut spec = spec(&world, "", wanted);
    let helper = again(bad::TEST);
    spec.program = helper.get_program().to_owned();
    spec.args = helper.get_args().map(Into::into).collect();
    spec.env = vec![(bad::PART.into(), part.into())];
    let mut tree = Tree::spawn(spec).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let pid = tree.pid().as_raw();
    until("the forking to go on", || descendants(pid) > 20).await;

    let ended = tree.end(BRIEF).await;

    assert_clean(&ended);
    is_closed(stdout).await;
    assert_eq!(children(std::process::id().cast_signed()), 0);
}

/// Those that came to us, and the agent's.
fn descendants(agent: i32) -> usize {
    children(agent) + children(std::process::id().cast_signed())
}

fn children(of: i32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.map(|list| list.split_ascii_whitespace().count()).sum()
}

alone!(chains_that_never_stand_still_with_a_cgroup, async || ends_while_forking("hop", Tracking::CgroupV2).await);
alone!(chains_that_never_stand_still_with_the_subreaper, async || {
    ends_while_forking("hop", Tracking::Subreaper).await;
});
alone!(a_crowd_with_a_cgroup, async || ends_while_forking("breed", Tracking::CgroupV2).await);
alone!(a_crowd_with_the_subreaper, async || ends_while_forking("breed", Tracking::Subreaper).await);

alone!(without_adopting_the_marker_finds_who_left, async || {
    let world = World::new();
    let script = r#"(setsid /bin/sh -c 'trap "" TERM; echo $$ >tool; while :; do sleep 1; done' &); sleep 1000"#;
    let mut tree = Tree::spawn(spec(&world, script, Tracking::Groups)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    let tool = world.pid("tool").await;
    let ended = tree.end(BRIEF).await;
    assert_clean(&ended);
    assert_eq!(ended.tracking, Tracking::Groups);
    assert!(!runs(tool));
    is_closed(stdout).await;
});

alone!(what_an_agent_left_behind_ends_too, async || {
    let world = World::new();
    let mut tree = start(&world, "(setsid sh -c 'echo $$ >left; sleep 1000' &); exit 5").await;
    let left = world.pid("left").await;
    assert_eq!(tree.wait().await.unwrap().code(), Some(5));
    assert!(runs(left));
    let ended = tree.end(PATIENT).await;
    assert_clean(&ended);
    assert_eq!(code(ended.status), Some(5));
    assert!(ended.signalled >= 1);
    assert!(!exists(left));
});

alone!(who_obeys_is_waited_for, async || {
    let world = World::new();
    let mut tree = start(&world, "trap 'echo bye; exit 3' TERM; echo $$ >ready; while :; do sleep 0.05; done").await;
    let stdout = tree.stdout.take().unwrap();
    world.pid("ready").await;
    let begun = Instant::now();
    let ended = tree.end(PATIENT).await;
    assert_clean(&ended);
    assert_eq!(code(ended.status), Some(3));
    assert!(begun.elapsed() < PATIENT);
    assert_eq!(is_closed(stdout).await, b"bye\n");
});

alone!(a_stopped_process_is_asked_as_well, async || {
    let world = World::new();
    let tree = start(&world, "trap 'exit 4' TERM; echo $$ >ready; kill -STOP $$; while :; do sleep 0.05; done").await;
    let pid = world.pid("ready").await;
    until("it to be stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.starts_with(" T")
    })
    .await;
    assert_eq!(code(tree.end(PATIENT).await.status), Some(4));
});

alone!(an_agent_that_ended_by_itself_is_not_signalled, async || {
    let world = World::new();
    let mut tree = start(&world, "read line; echo \"$line\"; exit 7").await;
    assert!(timeout(Duration::from_millis(1), tree.wait()).await.is_err());
    let mut stdin = tree.stdin.take().unwrap();
    stdin.write_all(b"hello\n").await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    assert_eq!(is_closed(stdout).await, b"hello\n");
    assert_eq!(tree.wait().await.unwrap().code(), Some(7));
    assert_eq!(tree.wait().await.unwrap().code(), Some(7));
    let ended = tree.end(PATIENT).await;
    assert_clean(&ended);
    assert_eq!((code(ended.status), ended.signalled), (Some(7), 0));
});

alone!(orphans_are_reaped_while_the_agent_works, async || {
    let world = World::new();
    let script = "i=0; while [ $i -lt 40 ]; do (sh -c 'echo $$ >>orphans' &); i=$((i+1)); done; sleep 1000";
    let tree = start(&world, script).await;
    let orphans = world.pids("orphans", 40).await;
    until("all orphans to be reaped", || !orphans.iter().any(|pid| exists(*pid))).await;
    assert!(runs(tree.pid().as_raw()));
    assert_clean(&tree.end(BRIEF).await);
});

alone!(a_short_child_of_ours_is_spared, async || {
    let world = World::new();
    let waits = "echo $$ >short; while ! test -e go; do sleep 0.02; done; echo fine";
    let short = run(OneShot::new("sh").args(["-c", waits]).cwd(world.dir()));
    let ending = async {
        let tree = start(&world, "sleep 1000").await;
        let short = world.pid("short").await;
        let ended = tree.end(BRIEF).await;
        assert!(runs(short));
        std::fs::write(world.path("go"), "").unwrap();
        ended
    };
    let (short, ended) = tokio::join!(short, ending);
    let short = short.unwrap();
    assert!(short.status.success());
    assert_eq!(short.stdout, b"fine\n");
    assert_clean(&ended);
});

alone!(a_dropped_tree_is_killed, async || {
    let world = World::new();
    let mut tree = start(&world, STUBBORN).await;
    let stdout = tree.stdout.take().unwrap();
    for file in ["deaf", "tool", "plain"] {
        world.pid(file).await;
    }
    drop(tree);
    is_closed(stdout).await;
});

alone!(a_runner_has_one_agent_at_a_time, async || {
    let world = World::new();
    let tree = start(&world, "sleep 1000").await;
    let other = World::new();
    let second = Tree::spawn(spec(&other, "sleep 1000", Tracking::CgroupV2)).await;
    assert!(matches!(second, Err(SpawnError::SecondTree { .. })));
    assert_clean(&tree.end(BRIEF).await);
    assert_clean(&start(&other, "sleep 1000").await.end(BRIEF).await);
});

alone!(a_flood_on_stderr_is_bounded_and_blocks_nobody, async || {
    let world = World::new();
    let flood =
        "echo first >&2; head -c 30000000 /dev/zero | tr '\\0' x >&2; echo; echo last >&2; echo $$ >done; read x";
    let tree = start(&world, flood).await;
    world.pid("done").await;
    until("the tail", || tree.stderr_tail().ends_with("xlast\n")).await;
    assert_eq!(tree.stderr_tail().len(), 4096);
    assert_clean(&tree.end(BRIEF).await);
    let kept = String::from_utf8(std::fs::read(world.path("stderr")).unwrap()).unwrap();
    assert!(kept.len() <= 64 * 1024, "{}", kept.len());
    assert!(kept.len() > 60 * 1024, "{}", kept.len());
    assert!(kept.starts_with("first\nxxx") && kept.ends_with("xlast\n"));
    let gap = kept.lines().find(|line| line.ends_with(" bytes left out]")).expect("a line that tells of the gap");
    let left_out: usize = gap[1..].split_once(' ').unwrap().0.parse().unwrap();
    assert_eq!(left_out + kept.len() - gap.len() - 2, "first\n".len() + 30_000_000 + "last\n".len());
});

alone!(a_little_stderr_is_kept_whole, async || {
    let world = World::new();
    let mut tree = start(&world, "echo one >&2; echo two >&2").await;
    tree.wait().await.unwrap();
    assert_clean(&tree.end(BRIEF).await);
    assert_eq!(std::fs::read(world.path("stderr")).unwrap(), b"one\ntwo\n");
});

alone!(a_stderr_file_that_cannot_be_written_is_told_and_blocks_nobody, async || {
    let world = World::new();
    let mut spec = spec(&world, "head -c 3000000 /dev/zero >&2; exit 0", Tracking::CgroupV2);
    spec.stderr = File::options().write(true).open("/dev/full").unwrap();
    let mut tree = Tree::spawn(spec).await.unwrap();
    assert_eq!(tree.wait().await.unwrap().code(), Some(0));
    let ended = tree.end(BRIEF).await;
    assert!(ended.survivors.is_empty());
    assert_eq!(ended.problem.unwrap().kind(), std::io::ErrorKind::StorageFull);
});

alone!(what_cannot_be_started_says_why, async || {
    let world = World::new();
    let mut missing = spec(&world, "", Tracking::CgroupV2);
    missing.program = "kugetsu-no-such-agent".into();
    let marker = missing.marker.clone();
    let error = Tree::spawn(missing).await.err().unwrap().to_string();
    assert!(error.contains("`kugetsu-no-such-agent` is not on PATH"), "{error}");
    assert!(!cgroup_left(marker.id()));
    let mut nowhere = spec(&world, "", Tracking::CgroupV2);
    nowhere.cwd = world.path("no/such/path");
    let error = Tree::spawn(nowhere).await.err().unwrap().to_string();
    assert!(error.contains("no/such/path"), "{error}");
    // The right to have a tree was given back.
    assert_clean(&start(&world, ":").await.end(BRIEF).await);
});

#[test]
fn secrets_do_not_show() {
    let world = World::new();
    let mut spec = spec(&world, "", Tracking::Groups);
    spec.env.push(("TOKEN".into(), "s3cret".into()));
    let shown = format!("{spec:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn the_means_found_are_the_means_in_force() {
    let found = Tracking::detect();
    assert!(found >= Tracking::Subreaper, "Linux has a subreaper: {found}");
    assert!(!Path::new(&format!("/sys/fs/cgroup/kugetsu-probe-{}", std::process::id())).exists());
}
