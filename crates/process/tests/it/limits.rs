//! Trees that use too much of the machine. Each attempt is repeated without the limit, where it succeeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_process::sandbox::Backend;
use kugetsu_process::{Controllers, Excess, Meter, Reading, Tracking, Tree, TreeLimits};
use tokio::time::{sleep, timeout};

use crate::fixture::Fixture;
use crate::own_process::own_process;
use crate::test_dir::{DEADLINE, TestDir, exists, until};
use crate::tree::spec;

const MIB: u64 = 1024 * 1024;
/// Holds 60 MiB of memory until it is ended.
const ALLOCATE: &str = "{ head -c 62914560 /dev/zero; echo; echo full >ready; sleep 1000; } | tail -n 1 >/dev/null";
/// Starts 40 processes.
const MULTIPLY: &str = "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo full >ready; wait";

/// Looks at the tree until it has reached a limit, or the kernel has killed a process.
async fn reached(meter: &mut Meter) -> Reading {
    let looking = async {
        loop {
            let reading = meter.look().await.unwrap();
            if reading.excess.is_some() || reading.killed > 0 {
                return reading;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, looking).await.expect("no limit was reached")
}

async fn start(dir: &TestDir, script: &str, tracking: Tracking, limits: TreeLimits) -> Tree {
    let mut spec = spec(dir, script, tracking);
    spec.limits = limits;
    Tree::spawn(spec).await.unwrap()
}

/// Ends the tree, of which nothing is left.
async fn end(tree: Tree) {
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.survivors.is_empty() && ended.problem.is_none(), "{ended:?}");
}

async fn memory_is_limited(tracking: Tracking) {
    let dir = TestDir::new();
    let limits = TreeLimits { memory: 30 * MIB, ..TreeLimits::default() };
    let tree = start(&dir, ALLOCATE, tracking, limits).await;
    let reading = reached(&mut tree.meter()).await;
    match reading.excess {
        Some(Excess::Memory { used, limit }) => assert!(used > limit && limit == limits.memory, "{reading:?}"),
        None => assert!(reading.killed > 0, "{reading:?}"),
        other => panic!("{other:?}"),
    }
    end(tree).await;

    let dir = TestDir::new();
    let tree = start(&dir, ALLOCATE, tracking, TreeLimits { memory: 500 * MIB, ..limits }).await;
    until("all memory to be allocated", || dir.path("ready").exists()).await;
    assert_eq!(tree.meter().look().await.unwrap().excess, None);
    end(tree).await;
}

async fn processes_are_limited(tracking: Tracking) {
    let dir = TestDir::new();
    let limits = TreeLimits { tasks: 20, ..TreeLimits::default() };
    let tree = start(&dir, MULTIPLY, tracking, limits).await;
    let reading = reached(&mut tree.meter()).await;
    assert!(matches!(reading.excess, Some(Excess::Tasks { used: 20.., limit: 20 })), "{reading:?}");
    end(tree).await;

    let dir = TestDir::new();
    let tree = start(&dir, MULTIPLY, tracking, TreeLimits { tasks: 4096, ..limits }).await;
    until("all processes to be started", || dir.path("ready").exists()).await;
    assert_eq!(tree.meter().look().await.unwrap().excess, None);
    end(tree).await;
}

own_process!(memory_is_limited_with_a_cgroup, async || memory_is_limited(Tracking::CgroupV2).await);
own_process!(memory_is_limited_by_measuring, async || memory_is_limited(Tracking::Subreaper).await);
own_process!(processes_are_limited_with_a_cgroup, async || processes_are_limited(Tracking::CgroupV2).await);
own_process!(processes_are_limited_by_measuring, async || processes_are_limited(Tracking::Subreaper).await);

own_process!(orphans_with_empty_environments_are_measured, async || {
    let dir = TestDir::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (setsid env -i sleep 1000 &); done; sleep 1000";
    let tree = start(&dir, script, Tracking::Subreaper, TreeLimits { tasks: 10, ..TreeLimits::default() }).await;
    let reading = reached(&mut tree.meter()).await;
    assert!(matches!(reading.excess, Some(Excess::Tasks { .. })), "{reading:?}");
    end(tree).await;
});

own_process!(shared_memory_of_many_processes_counts_once, async || {
    let dir = TestDir::new();
    // The shell allocates 20 MiB; its copies share them.
    let script = "x=$(head -c 20971520 /dev/zero | tr '\\0' x)\n\
                  i=0; while [ $i -lt 8 ]; do (echo $i >>started; sleep 1000) & i=$((i+1)); done; wait";
    let limits = TreeLimits { memory: 100 * MIB, ..TreeLimits::default() };
    let tree = start(&dir, script, Tracking::Subreaper, limits).await;
    let count = || fs::read_to_string(dir.path("started")).unwrap_or_default().lines().count();
    until("eight copies", || count() == 8).await;
    assert_eq!(tree.meter().look().await.unwrap().excess, None);
    end(tree).await;
});

own_process!(fork_bomb_is_ended, async || {
    let dir = TestDir::new();
    // Each process starts two, up to a number that this machine bears.
    let script = "bomb() { [ $1 -lt 9 ] || exec sleep 1000; bomb $(($1+1)) & bomb $(($1+1)) & wait; }\n\
                  echo $$ >first; bomb 0";
    let limits = TreeLimits { tasks: 100, ..TreeLimits::default() };
    let tree = start(&dir, script, Tracking::CgroupV2, limits).await;
    let first = dir.pid("first").await;
    let reading = reached(&mut tree.meter()).await;
    assert!(matches!(reading.excess, Some(Excess::Tasks { .. })), "{reading:?}");
    end(tree).await;
    assert!(!exists(first));
});

own_process!(no_core_is_left_unless_a_program_wants_one, async || {
    let dir = TestDir::new();
    let script = "ulimit -S -c >soft; ulimit -S -c $(ulimit -H -c) && echo raised >ready; sleep 1000";
    let tree = start(&dir, script, Tracking::CgroupV2, TreeLimits::default()).await;
    until("the limits", || dir.path("ready").exists()).await;
    assert_eq!(fs::read_to_string(dir.path("soft")).unwrap(), "0\n");
    end(tree).await;
});

own_process!(files_in_memory_of_a_sandbox_are_limited_and_measured, async || {
    let fixture = Fixture::new();
    let fill = "head -c 31457280 /dev/zero >/dev/shm/big && echo all >$W/ready; sleep 1000";
    let limits = |memory| TreeLimits { memory, ..TreeLimits::default() };
    let start = async |limits| {
        let mut spec = fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), fill, Tracking::Subreaper);
        spec.limits = limits;
        Tree::spawn(spec).await.unwrap()
    };
    let is_full = || fixture.dir.path("writable/ready").exists();

    let tree = start(limits(500 * MIB)).await;
    until("the file", is_full).await;
    assert_eq!(tree.meter().look().await.unwrap().excess, None);
    end(tree).await;
    fs::remove_file(fixture.dir.path("writable/ready")).unwrap();

    // One directory may have all of it, so that with what the programs use it is too much.
    let tree = start(limits(20 * MIB)).await;
    let reading = reached(&mut tree.meter()).await;
    assert!(matches!(reading.excess, Some(Excess::Memory { .. })), "{reading:?}");
    assert!(!is_full());
    end(tree).await;
});

own_process!(kernel_limits_the_processes_of_a_sandbox, async || {
    if nix::unistd::geteuid().is_root() {
        eprintln!("root has no such limit");
        return;
    }
    let fixture = Fixture::new();
    let script = format!("trap 'echo refused >$W/refused' EXIT; cd $W; {MULTIPLY}");
    let start = async |tasks| {
        let mut spec = fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), &script, Tracking::Subreaper);
        spec.limits = TreeLimits { tasks, ..TreeLimits::default() };
        Tree::spawn(spec).await.unwrap()
    };
    let tree = start(4096).await;
    until("all processes to be started", || fixture.dir.path("writable/ready").exists()).await;
    end(tree).await;
    fs::remove_file(fixture.dir.path("writable/ready")).unwrap();
    let _ = fs::remove_file(fixture.dir.path("writable/refused"));

    // Without any measuring. The kernel allows twice as many.
    let mut tree = start(10).await;
    timeout(DEADLINE, tree.wait()).await.unwrap().unwrap();
    assert!(!fixture.dir.path("writable/ready").exists());
    end(tree).await;
});

/// A cgroup with controllers that this process is alone in, as a delegated unit of systemd is. `None` where the tests may not
/// create one.
struct Delegated(PathBuf);

impl Delegated {
    fn enter() -> Option<Self> {
        let mount = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(mount.join("cgroup.subtree_control")).ok()?;
        if !["memory", "pids"].iter().all(|name| controllers.split_ascii_whitespace().any(|other| other == *name)) {
            return None;
        }
        let dir = mount.join(format!("test-{}.scope", std::process::id()));
        fs::create_dir(&dir).ok()?;
        let delegated = Self(dir);
        fs::write(delegated.0.join("cgroup.procs"), "0").ok()?;
        Some(delegated)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::write("/sys/fs/cgroup/cgroup.procs", "0");
        let _ = fs::remove_dir(self.0.join("kugetsu-host"));
        let _ = fs::remove_dir(&self.0);
    }
}

own_process!(kernel_holds_the_limits_in_a_delegated_cgroup, async || {
    let Some(delegated) = Delegated::enter() else {
        eprintln!("the kernel delegates no controllers to the tests");
        return;
    };
    let enabled = kugetsu_process::enable_controllers().unwrap();
    assert!(enabled.memory && enabled.tasks, "{enabled:?}");
    assert_eq!(Controllers::of(std::process::id()), enabled);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(own.trim_end().ends_with(".scope/kugetsu-host"), "{own}");

    // A program that is killed does not end the tree.
    let dir = TestDir::new();
    let script =
        "{ head -c 62914560 /dev/zero; echo; sleep 1000; } | tail -n 1 >/dev/null; echo $? >status; sleep 1000";
    let limits = TreeLimits { memory: 30 * MIB, tasks: 50, weight: 50 };
    let tree = start(&dir, script, Tracking::CgroupV2, limits).await;
    let cgroup = delegated.0.join(format!("kugetsu-{}", spec(&dir, "", Tracking::CgroupV2).marker.id()));
    let file = |name: &str| fs::read_to_string(cgroup.join(name)).unwrap().trim_end().to_owned();
    assert_eq!((file("memory.max"), file("pids.max")), ((30 * MIB).to_string(), "50".to_owned()));
    assert!(!enabled.cpu || file("cpu.weight") == "50");
    let reading = reached(&mut tree.meter()).await;
    assert!(reading.excess.is_none() && reading.killed == 1, "{reading:?}");
    until("the shell to continue", || dir.path("status").exists()).await;
    end(tree).await;

    let dir = TestDir::new();
    let tree = start(&dir, ALLOCATE, Tracking::CgroupV2, TreeLimits { memory: 500 * MIB, ..limits }).await;
    until("all memory to be allocated", || dir.path("ready").exists()).await;
    assert_eq!(tree.meter().look().await.unwrap(), Reading::default());
    end(tree).await;

    let dir = TestDir::new();
    let tree = start(&dir, MULTIPLY, Tracking::CgroupV2, TreeLimits { tasks: 20, ..limits }).await;
    let reading = reached(&mut tree.meter()).await;
    assert_eq!(reading.excess, Some(Excess::Tasks { used: 20, limit: 20 }));
    end(tree).await;
});
