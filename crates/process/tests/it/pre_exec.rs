//! Environment, signals, descriptors and session that a child starts with.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use kugetsu_process::{MARKER, OneShot, Tracking, Tree, run};
use tokio::io::AsyncReadExt;

use crate::own_process::own_process;
use crate::test_dir::TestDir;
use crate::tree::spec;

/// Runs a program as an agent and returns its stdout.
async fn output(dir: &TestDir, program: &str, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut spec = spec(dir, "", Tracking::CgroupV2);
    spec.program = program.into();
    spec.args = args.iter().map(Into::into).collect();
    spec.env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut tree = Tree::spawn(spec).await.unwrap();
    let mut text = String::new();
    tree.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    tree.end(Duration::from_secs(30)).await;
    text
}

own_process!(agent_gets_only_the_given_variables, async || {
    let dir = TestDir::new();
    // The program is looked up on this PATH, not on the test's.
    let env = [("PATH", "/usr/bin:/bin"), ("GIVEN", "a b=c"), ("PWD", "/wrong"), (MARKER, "wrong")];
    let text = output(&dir, "env", &[], &env).await;
    let mut variables: Vec<&str> = text.lines().collect();
    variables.sort_unstable();
    let marker = spec(&dir, "", Tracking::Groups).marker.to_string();
    let pwd = format!("PWD={}", dir.root().display());
    assert_eq!(variables, ["GIVEN=a b=c", &marker, "PATH=/usr/bin:/bin", &pwd]);
});

own_process!(pwd_is_the_given_path_even_through_a_link, async || {
    let dir = TestDir::new();
    std::fs::create_dir(dir.path("real")).unwrap();
    std::os::unix::fs::symlink(dir.path("real"), dir.path("link")).unwrap();
    let mut spec = spec(&dir, "echo $PWD; pwd -P", Tracking::CgroupV2);
    spec.cwd = dir.path("link");
    let mut tree = Tree::spawn(spec).await.unwrap();
    let mut text = String::new();
    tree.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    tree.end(Duration::from_secs(30)).await;
    assert_eq!(text, format!("{}\n{}\n", dir.path("link").display(), dir.path("real").display()));
});

/// The lines of `/proc/<pid>/status` for blocked, ignored and caught signals.
fn signals(status: &str) -> Vec<&str> {
    status.lines().filter(|line| ["SigBlk:", "SigIgn:", "SigCgt:"].iter().any(|key| line.starts_with(key))).collect()
}

const NONE: [&str; 3] = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000"];

own_process!(child_starts_with_default_signals, async || {
    let dir = TestDir::new();
    // SAFETY: plain calls in this test's own process.
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
    let agent = output(&dir, "/bin/cat", &["/proc/self/status"], &[]).await;
    assert_eq!(signals(&agent), NONE);
    let one_shot = run(OneShot::new("cat").arg("/proc/self/status")).await.unwrap();
    assert_eq!(signals(&String::from_utf8(one_shot.stdout).unwrap()), NONE);
});

own_process!(child_does_not_inherit_descriptors, async || {
    let dir = TestDir::new();
    let lock = File::create(dir.path("lock")).unwrap();
    // As a library does that forgets the close-on-exec flag.
    // SAFETY: the descriptor is open.
    unsafe { libc::fcntl(lock.as_raw_fd(), libc::F_SETFD, 0) };
    let list = ["-c", "ls -l /proc/$$/fd"];
    let bare = std::process::Command::new("sh").args(list).output().unwrap();
    assert!(String::from_utf8(bare.stdout).unwrap().contains("/lock"), "the descriptor is inheritable");
    let agent = output(&dir, "/bin/sh", &list, &[("PATH", "/usr/bin:/bin")]).await;
    let one_shot = String::from_utf8(run(OneShot::new("sh").args(list)).await.unwrap().stdout).unwrap();
    for listing in [agent, one_shot] {
        assert!(!listing.contains("/lock"), "{listing}");
        assert_eq!(listing.lines().filter(|line| line.contains("->")).count(), 3, "{listing}");
    }
});

own_process!(child_leads_its_own_session, async || {
    let dir = TestDir::new();
    for stat in [
        output(&dir, "/bin/cat", &["/proc/self/stat"], &[]).await,
        String::from_utf8(run(OneShot::new("cat").arg("/proc/self/stat")).await.unwrap().stdout).unwrap(),
    ] {
        let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
        // pid, group, session; no controlling terminal.
        assert_eq!((fields[4], fields[5], fields[6]), (fields[0], fields[0], "0"), "{stat}");
    }
});
