//! What a child finds when it starts: its environment, signals, descriptors and session, and nothing of ours.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use kugetsu_process::{MARKER, OneShot, Tracking, Tree, run};
use tokio::io::AsyncReadExt;

use crate::alone::alone;
use crate::tree::spec;
use crate::world::World;

/// What the program prints on stdout, as an agent.
async fn printed(world: &World, program: &str, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut spec = spec(world, "", Tracking::CgroupV2);
    spec.program = program.into();
    spec.args = args.iter().map(Into::into).collect();
    spec.env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut tree = Tree::spawn(spec).await.unwrap();
    let mut text = String::new();
    tree.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    tree.end(Duration::from_secs(30)).await;
    text
}

alone!(an_agent_sees_the_variables_given_and_no_others, async || {
    let world = World::new();
    // A relative name is looked up on the PATH given, not on ours.
    let env = [("PATH", "/usr/bin:/bin"), ("GIVEN", "a b=c"), ("PWD", "/wrong"), (MARKER, "wrong")];
    let text = printed(&world, "env", &[], &env).await;
    let mut seen: Vec<&str> = text.lines().collect();
    seen.sort_unstable();
    let marker = spec(&world, "", Tracking::Groups).marker.to_string();
    let pwd = format!("PWD={}", world.dir().display());
    assert_eq!(seen, ["GIVEN=a b=c", &marker, "PATH=/usr/bin:/bin", &pwd]);
});

alone!(pwd_is_the_directory_as_given_even_through_a_link, async || {
    let world = World::new();
    std::fs::create_dir(world.path("real")).unwrap();
    std::os::unix::fs::symlink(world.path("real"), world.path("link")).unwrap();
    let mut spec = spec(&world, "echo $PWD; pwd -P", Tracking::CgroupV2);
    spec.cwd = world.path("link");
    let mut tree = Tree::spawn(spec).await.unwrap();
    let mut text = String::new();
    tree.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    tree.end(Duration::from_secs(30)).await;
    assert_eq!(text, format!("{}\n{}\n", world.path("link").display(), world.path("real").display()));
});

/// Signals that are ignored, blocked or caught, as the kernel sees them.
fn signals(status: &str) -> Vec<&str> {
    status.lines().filter(|line| ["SigBlk:", "SigIgn:", "SigCgt:"].iter().any(|key| line.starts_with(key))).collect()
}

const NONE: [&str; 3] = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000"];

alone!(a_child_starts_with_default_signals, async || {
    let world = World::new();
    // SAFETY: plain calls; this process is this test's alone.
    unsafe {
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    let own = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_ne!(signals(&own), NONE);
    let agent = printed(&world, "/bin/cat", &["/proc/self/status"], &[]).await;
    assert_eq!(signals(&agent), NONE);
    let short = run(OneShot::new("cat").arg("/proc/self/status")).await.unwrap();
    assert_eq!(signals(&String::from_utf8(short.stdout).unwrap()), NONE);
});

alone!(a_child_does_not_inherit_a_lock, async || {
    let world = World::new();
    let lock = File::create(world.path("lock")).unwrap();
    // A library that forgot to close on exec.
    // SAFETY: a number of ours.
    unsafe { libc::fcntl(lock.as_raw_fd(), libc::F_SETFD, 0) };
    let list = ["-c", "ls -l /proc/$$/fd"];
    let bare = std::process::Command::new("sh").args(list).output().unwrap();
    assert!(String::from_utf8(bare.stdout).unwrap().contains("/lock"), "the test itself works");
    let agent = printed(&world, "/bin/sh", &list, &[("PATH", "/usr/bin:/bin")]).await;
    let short = String::from_utf8(run(OneShot::new("sh").args(list)).await.unwrap().stdout).unwrap();
    for seen in [agent, short] {
        assert!(!seen.contains("/lock"), "{seen}");
        assert_eq!(seen.lines().filter(|line| line.contains("->")).count(), 3, "{seen}");
    }
});

alone!(a_child_leads_a_session_of_its_own, async || {
    let world = World::new();
    for stat in [
        printed(&world, "/bin/cat", &["/proc/self/stat"], &[]).await,
        String::from_utf8(run(OneShot::new("cat").arg("/proc/self/stat")).await.unwrap().stdout).unwrap(),
    ] {
        let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
        // pid, group, session; no controlling terminal.
        assert_eq!((fields[4], fields[5], fields[6]), (fields[0], fields[0], "0"), "{stat}");
    }
});
