//! A sandboxed tree can neither change files outside nor get into other processes, whatever it tries.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use kugetsu_process::sandbox::Backend;
use kugetsu_process::{Tracking, Tree};
use tokio::io::AsyncReadExt;

use crate::fixture::{Fixture, each_backend};
use crate::own_process::own_process;
use crate::syscalls;
use crate::test_dir::is_running;

/// Each changes the file `$F`, the directory `$F.d`, or an entry beside them. `call` runs this test program.
const CHANGES: &[(&str, &str)] = &[
    ("overwrite", "echo x >$F"),
    ("append", "echo x >>$F"),
    ("create", "echo x >$F.new"),
    ("overwrite-in-it", "cd $F.d && echo x >inner"),
    ("sed", "sed -i s/one/two/ $F"),
    ("rm", "rm -f $F"),
    ("rm-tree", "rm -rf $F.d"),
    ("rmdir", "rm $F.d/inner; rmdir $F.d"),
    ("mv", "mv $F $F.moved"),
    ("mv-out", "mv $F $W/"),
    ("mv-directory", "mv $F.d $W/"),
    ("mv-over", "echo x >$W/mine && mv $W/mine $F"),
    ("mv-directory-over", "mkdir $W/empty && rm -rf $F.d && mv -T $W/empty $F.d"),
    ("cp-over", "echo x >$W/mine && cp $W/mine $F"),
    ("install", "echo x >$W/mine && install $W/mine $F"),
    ("mkdir", "mkdir $F.new"),
    ("fifo", "mkfifo $F.new"),
    ("link", "ln -s / $F.new"),
    ("hard-link-beside", "ln $F $F.new"),
    ("hard-link-out", "ln $F $W/same && echo x >$W/same"),
    ("hard-link-in", "echo x >$W/mine && ln $W/mine $F.new"),
    ("by-link", "ln -s $F $W/to-file && echo x >$W/to-file"),
    ("by-link-to-directory", "ln -s $P $W/to-directory && echo x >$W/to-directory/$N"),
    ("tee", "echo x | tee $F"),
    ("dd", "echo x | dd of=$F conv=notrunc"),
    ("truncate-program", "truncate -s 0 $F"),
    ("tar", "cd $W && mkdir t && echo x >t/$N && tar -C t -cf t.tar $N && tar -C $P -xf t.tar"),
    ("by-own-root", "echo x >/proc/self/root$F"),
    ("by-cwd", "cd $P && echo x >/proc/self/cwd/$N"),
    ("by-descriptor", "exec 3<$F && echo x >/proc/self/fd/3"),
    ("by-root-of-another", "echo x >/proc/$OUTSIDE/root$F"),
    ("in-a-session", "setsid -w sh -c 'echo x >\"$F\"'"),
    ("in-the-background", "nohup sh -c 'echo x >\"$F\"' >/dev/null & wait $!"),
    ("commit", "cd $P && echo $N >$N && git add $N && git -c user.name=a -c user.email=a@b commit -m $N"),
    ("git-branch", "git -C $P branch $N"),
    ("git-config", "git -C $P config user.x y"),
    ("git-hook", "printf '#!/bin/sh\\n' >$P/.git/hooks/pre-push"),
    (
        "git-by-git-dir",
        "cd $W && git --git-dir=$P/.git --work-tree=$W -c user.name=a -c user.email=a@b commit -m x --allow-empty",
    ),
    (
        "git-push",
        "git init -q $W/r && cd $W/r && git -c user.name=a -c user.email=a@b commit -qm x --allow-empty && git push -q $P HEAD:refs/heads/pushed",
    ),
    ("truncate", "call truncate $F"),
    ("utime", "call utime $F"),
    ("utime-fd", "call utime-fd $F"),
    ("chmod", "call chmod $F"),
    ("chmod-fd", "call chmod-fd $F"),
    ("chmod-at", "call chmod-at $F"),
    ("chmod-directory", "chmod 700 $F.d"),
    ("chown", "call chown $F"),
    ("chown-fd", "call chown-fd $F"),
    ("touch", "touch $F"),
    ("map", "call map $F"),
    ("reopen", "call reopen $F"),
];

/// These change the file too, where the system supports them.
const RARE_CHANGES: &[(&str, &str)] = &[
    ("chmod-at-2", "call chmod-at-2 $F"),
    ("attribute", "call attribute $F"),
    ("attribute-fd", "call attribute-fd $F"),
    ("flags", "call flags $F"),
    ("python", "python3 -c \"open('$F', 'w')\""),
    ("node", "node -e \"fs.writeFileSync('$F', 'x')\""),
    ("mount", "unshare -Urm sh -c 'mount --bind \"$W/..\" \"$P\" && echo x >\"$P/x\"'"),
    ("remount", "mount -o remount,rw / && echo x >$F"),
    ("remount-bound", "mount -o remount,bind,rw $P && echo x >$F"),
    ("other-mounts", "nsenter -t $OUTSIDE -m sh -c 'echo x >\"$F\"'"),
    ("x32", "call x32 $F"),
    ("mv-own-root", "mv $W $P/moved"),
];

/// Changes that the landlock backend lets succeed without effect.
const SILENT: &[&str] = &[
    "utime",
    "utime-fd",
    "chmod",
    "chmod-fd",
    "chmod-at",
    "chmod-at-2",
    "chmod-directory",
    "chown",
    "chown-fd",
    "touch",
];

/// A script that runs each attempt and prints the names of those that succeeded.
fn script(attempts: &[(&str, &str)]) -> String {
    let call = format!(
        "call() {{ {}=$1 {}=$2 $SELF --exact {} --ignored --nocapture; }}\n",
        syscalls::CALL,
        syscalls::ARGUMENT,
        syscalls::TEST.split_once("::").unwrap().1
    );
    let attempts = attempts.iter().map(|(name, script)| {
        format!("(export N={name} F=$P/{name}; {script}) >/dev/null 2>>$W/errors && echo {name}\n")
    });
    call + &attempts.collect::<String>() + "true\n"
}

fn names(attempts: &[(&str, &'static str)]) -> Vec<String> {
    attempts.iter().map(|(name, _)| (*name).to_owned()).collect()
}

async fn changes_nothing(backend: Backend) {
    changes_nothing_in(&Fixture::new(), backend).await;
    match Fixture::outside_tmp() {
        Some(fixture) => changes_nothing_in(&fixture, backend).await,
        None => {
            let missing = "the checkout and the home are in /tmp, /var/tmp or /run, which the sandbox makes private";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("skipped a part: {missing}");
        }
    }
}

async fn changes_nothing_in(fixture: &Fixture, backend: Backend) {
    let all = [CHANGES, RARE_CHANGES].concat();
    fixture.fill(names(&all).iter().map(String::as_str));
    let before = fixture.snapshot();

    let outcome = fixture.run(Some(fixture.sandbox(backend)), &script(&all)).await;

    let errors = fixture.errors();
    assert_eq!(fixture.snapshot(), before, "{errors}");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let silent: &[&str] = if backend == Backend::Landlock { SILENT } else { &[] };
    let succeeded: Vec<&str> = outcome.stdout.lines().filter(|name| !silent.contains(name)).collect();
    assert!(succeeded.is_empty(), "{succeeded:?}\n{errors}");
    assert!(!fixture.dir.path("protected/moved").exists());
}

each_backend!(
    files_outside_do_not_change_with_namespaces,
    needs_bubblewrap_files_outside_do_not_change,
    files_outside_do_not_change_with_landlock,
    changes_nothing
);

own_process!(each_change_succeeds_without_a_sandbox, async || {
    for attempt in CHANGES {
        let fixture = Fixture::new();
        fixture.fill([attempt.0].into_iter());
        let before = fixture.snapshot();
        let outcome = fixture.run(None, &script(&[*attempt])).await;
        assert_eq!(outcome.stdout.trim_end(), attempt.0, "{}", fixture.errors());
        assert_ne!(fixture.snapshot(), before, "{} changes nothing", attempt.0);
    }
});

/// Ways into other processes. Each succeeds without a sandbox.
const ESCAPES: &[(&str, &str)] = &[
    ("trace", "call trace $SLEEPER"),
    ("kill", "call kill $SLEEPER"),
    ("kill-program", "kill -9 $SLEEPER"),
    ("limit", "call limit $SLEEPER"),
    ("memory", "call memory $SLEEPER"),
    ("memory-file", "exec 3<>/proc/$SLEEPER/mem"),
    ("environment", "cat /proc/$SLEEPER/environ"),
    ("root", "ls -L /proc/$SLEEPER/root"),
    ("socket", "call socket $P/socket"),
    ("abstract", "call abstract $ABSTRACT"),
    ("pair", "call pair $P/datagrams"),
    ("shared", "cat $SHARED"),
    ("type", "call type x"),
];
/// These may fail without a sandbox too.
const RARE_ESCAPES: &[(&str, &str)] = &[
    ("ring", "call ring x"),
    ("unshare", "call unshare x"),
    ("remount", "call mount /"),
    ("capabilities", "call capabilities x"),
    ("init", "exec 3<>/proc/1/mem"),
    ("kernel", "exec 3<>/proc/sys/kernel/core_pattern"),
    ("disk", "head -c 1 /dev/vda || head -c 1 /dev/sda"),
    ("terminal", "exec 3<>/dev/pts/0"),
];

/// Things outside of the sandbox that the escapes aim at.
struct Targets {
    sleeper: std::process::Child,
    name: String,
    shared: tempfile::NamedTempFile,
    _listeners: (UnixListener, UnixListener, UnixDatagram),
}

impl Targets {
    fn new(fixture: &Fixture) -> Self {
        let sleeper = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let name = format!("kugetsu-test-{}", std::process::id());
        let listeners = (
            UnixListener::bind(fixture.dir.path("protected/socket")).unwrap(),
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            UnixDatagram::bind(fixture.dir.path("protected/datagrams")).unwrap(),
        );
        let shared = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        Self { sleeper, name, shared, _listeners: listeners }
    }

    fn script(&self, attempts: &[(&str, &str)]) -> String {
        let shared = self.shared.path().display();
        format!("SLEEPER={} ABSTRACT={} SHARED={shared}\n{}", self.sleeper.id(), self.name, script(attempts))
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

async fn cannot_escape(backend: Backend) {
    if backend == Backend::Landlock {
        require_signal_scope();
    }
    let fixture = Fixture::new();
    let targets = Targets::new(&fixture);
    let all = [ESCAPES, RARE_ESCAPES].concat();
    let outcome = fixture.run(Some(fixture.sandbox(backend)), &targets.script(&all)).await;
    assert_eq!(outcome.stdout, "", "{}", fixture.errors());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(is_running(targets.sleeper.id().cast_signed()));
}

/// Landlock keeps signals inside a sandbox since Linux 6.12. On an older kernel the test would fail without this reason.
fn require_signal_scope() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    assert!(version >= (6, 12), "this test needs Linux 6.12 or newer; this is {release}");
}

each_backend!(
    other_processes_are_out_of_reach_with_namespaces,
    needs_bubblewrap_other_processes_are_out_of_reach,
    other_processes_are_out_of_reach_with_landlock,
    cannot_escape
);

// Not with adopted orphans: the targets are children of this process and would be taken for a part of the tree.
#[test]
fn each_escape_succeeds_without_a_sandbox() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for attempt in ESCAPES {
            let fixture = Fixture::new();
            let targets = Targets::new(&fixture);
            let spec = fixture.spec(None, &targets.script(&[*attempt]), Tracking::Groups);
            let mut tree = Tree::spawn(spec).await.unwrap();
            let mut stdout = String::new();
            tree.stdout.take().unwrap().read_to_string(&mut stdout).await.unwrap();
            tree.end(Duration::from_secs(20)).await;
            assert_eq!(stdout.trim_end(), attempt.0, "{}", fixture.errors());
        }
    });
}
