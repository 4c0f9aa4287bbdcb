//! A caged tree can do its work, ends like any other, and a cage that would not hold is refused.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use kugetsu_process::sandbox::{Backend, FileAccess, SandboxError, best_backend, check_backend};
use kugetsu_process::{MARKER, SpawnError, Tracking, Tree, leftover_processes};

use crate::alone::alone;
use crate::world::{exists, until};
use crate::yard::{Yard, both};

/// Each step of ordinary work; the programs that are not everywhere only if they are there.
const WORK: &str = r#"
set -e
echo one >file && test "$(cat file)" = one
echo two >>file && mv file other && mkdir sub && mv other sub/ && rm sub/other && rmdir sub
echo three >"$H/desk/kept" && test "$(cat "$H/desk/kept")" = three
test "$(cat "$H/open/text")" = open
echo nothing >/dev/null && head -c 3 /dev/urandom >/dev/null && head -c 3 /dev/zero >/dev/null
echo to-stderr >/dev/stderr
echo a | (cat; echo b) | cat >pipes && test "$(cat pipes)" = "$(printf 'a\nb')"
git init -q repo && cd repo && echo x >file && chmod +x file && git add .
git -c user.name=a -c user.email=a@b commit -qm first && git gc -q && git status --short && cd ..
git clone -q repo clone && git -C clone log --oneline >log
git -C "$V" log --oneline >log && git clone -q "$V" theirs
cp -p log copy && cp -a repo repo2 && tar -cf repo.tar repo && mkdir out && tar -C out -xf repo.tar
touch copy && chmod 600 copy && mktemp >/dev/null
if command -v python3 >/dev/null; then python3 - <<'P'
import os, sqlite3, subprocess, tempfile, shutil, threading
base = sqlite3.connect('base.db')
assert base.execute('pragma journal_mode=wal').fetchone() == ('wal',)
base.execute('create table t (a)'); base.execute('insert into t values (1)'); base.commit()
other = sqlite3.connect('base.db')
assert other.execute('select a from t').fetchall() == [(1,)]
with tempfile.NamedTemporaryFile() as f: f.write(b'x')
shutil.copy2('base.db', 'copy.db')
assert subprocess.check_output(['sh', '-c', 'echo hi']) == b'hi\n'
threads = [threading.Thread(target=lambda: open('t', 'a').write('x')) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
P
fi
if command -v node >/dev/null; then node -e '
const fs = require("fs"), { execFileSync } = require("child_process");
fs.writeFileSync("n", "x"); fs.chmodSync("n", 0o600); fs.copyFileSync("n", "m"); fs.utimesSync("n", 1, 1);
if (execFileSync("cat", ["n"]).toString() !== "x") process.exit(1);
new (require("worker_threads").Worker)("process.exit(0)", { eval: true }).on("exit", () => fs.renameSync("m", "k"));
'; test -e k; fi
echo done
"#;

async fn can_work(backend: Backend) {
    let yard = Yard::new();
    yard.fill(["a"].into_iter());
    let outcome = yard.run(Some(yard.caged(backend)), WORK).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "done\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("to-stderr"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(yard.world.path("home/desk/kept")).unwrap(), "three\n");
}

both!(needs_bubblewrap_ordinary_work_is_done, ordinary_work_is_done_with_landlock, can_work);

async fn hides(backend: Backend) {
    let yard = Yard::new();
    let outcome = yard.run(Some(yard.caged(backend)), "cat $H/secret; cat $H/open/text; echo x >$H/new").await;
    assert_eq!(outcome.stdout, "open");
    assert_ne!(outcome.code, Some(0));
    assert!(!yard.world.path("home/new").exists());
}

both!(needs_bubblewrap_what_is_hidden_is_not_read, what_is_hidden_is_not_read_with_landlock, hides);

async fn has_the_network(backend: Backend) {
    let yard = Yard::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello\n").unwrap();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).unwrap();
        heard
    });
    let talk = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read line <&3; echo $line; echo back >&3");
    let outcome = yard.run(Some(yard.caged(backend)), &format!("bash -c '{talk}'; getent hosts localhost >&2")).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "hello\n"), "{}", outcome.stderr);
    assert_eq!(serving.join().unwrap(), "back\n");
}

both!(needs_bubblewrap_the_network_is_there, the_network_is_there_with_landlock, has_the_network);

async fn passes_through(backend: Backend) {
    let yard = Yard::new();
    let input = vec![b'x'; 5_000_000];
    let script = "echo $PWD; pwd -P; echo $KUGETSU_RUN; cat | wc -c; head -c 3000000 /dev/zero | tr '\\0' y; exit 7";
    let outcome = yard.run_with(Some(yard.caged(backend)), script, &input).await;
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    let room = yard.world.path("room");
    let marker = yard.spec(None, "", Tracking::Groups).marker;
    let head = format!("{0}\n{0}\n{1}\n5000000\n", room.display(), marker.id());
    assert!(outcome.stdout.starts_with(&head), "{}", &outcome.stdout[..200]);
    assert_eq!(outcome.stdout.len(), head.len() + 3_000_000);
}

both!(needs_bubblewrap_status_and_pipes_pass_through, status_and_pipes_pass_through_with_landlock, passes_through);

const STUBBORN: &str = r#"
trap "" TERM
(setsid sh -c 'trap "" TERM HUP; echo x >deaf; while :; do sleep 0.1; done' &)
(nohup sh -c 'echo x >plain; sleep 1000' >/dev/null 2>&1 &)
(env -i "$(command -v setsid)" /bin/sh -c 'echo x >bare; /bin/sleep 1000' &)
while :; do sleep 0.1; done
"#;

async fn ends(backend: Backend, wanted: Tracking) {
    let yard = Yard::new();
    let mut tree = Tree::spawn(yard.spec(Some(yard.caged(backend)), STUBBORN, wanted)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    for file in ["room/deaf", "room/plain", "room/bare"] {
        until(file, || yard.world.path(file).exists()).await;
    }
    let pid = tree.pid();
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.survivors.is_empty() && ended.problem.is_none() && ended.status.is_some(), "{ended:?}");
    assert_eq!(ended.tracking, wanted.min(Tracking::detect()));
    assert!(!exists(pid.as_raw()));
    crate::tree::is_closed(stdout).await;
}

both!(needs_bubblewrap_a_caged_tree_ends_with_a_cgroup, a_caged_tree_ends_with_a_cgroup, async |backend| {
    ends(backend, Tracking::CgroupV2).await;
});
both!(needs_bubblewrap_a_caged_tree_ends_with_the_subreaper, a_caged_tree_ends_with_the_subreaper, async |backend| {
    ends(backend, Tracking::Subreaper).await;
});

async fn asks_first(backend: Backend) {
    let yard = Yard::new();
    let script = "trap 'echo bye >parted; exit 3' TERM; echo x >ready; while :; do sleep 0.05; done";
    let tree = Tree::spawn(yard.spec(Some(yard.caged(backend)), script, Tracking::CgroupV2)).await.unwrap();
    until("it to be ready", || yard.world.path("room/ready").exists()).await;
    let ended = tree.end(Duration::from_secs(40)).await;
    assert!(ended.survivors.is_empty(), "{ended:?}");
    assert_eq!(std::fs::read_to_string(yard.world.path("room/parted")).unwrap(), "bye\n");
}

both!(needs_bubblewrap_who_obeys_in_a_cage_is_waited_for, who_obeys_in_a_cage_is_waited_for_with_landlock, asks_first);

async fn finds_the_marked(backend: Backend) {
    let yard = Yard::new();
    let script = "(setsid sh -c 'echo x >tool; sleep 1000' &); sleep 1000";
    let mut tree = Tree::spawn(yard.spec(Some(yard.caged(backend)), script, Tracking::Groups)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    until("the tool", || yard.world.path("room/tool").exists()).await;
    let marker = yard.spec(None, "", Tracking::Groups).marker;
    drop(tree.stdin.take());
    let seen = leftover_processes(MARKER).await.unwrap();
    let seen = seen.iter().filter(|(_, value)| value == marker.id()).count();
    assert!(seen >= 3, "{seen}");
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.survivors.is_empty(), "{ended:?}");
    crate::tree::is_closed(stdout).await;
}

both!(needs_bubblewrap_the_marker_is_seen_from_outside, the_marker_is_seen_with_landlock, finds_the_marked);

async fn refusal(yard: &Yard, change: impl FnOnce(&mut FileAccess)) -> SandboxError {
    let mut caged = yard.caged(Backend::Landlock);
    change(&mut caged.files);
    match Tree::spawn(yard.spec(Some(caged), ":", Tracking::Groups)).await {
        Err(SpawnError::Sandbox { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was started"),
    }
}

alone!(a_cage_that_would_open_something_else_is_refused, async || {
    let yard = Yard::new();
    let path = |name: &str| yard.world.path(name);
    let missing = refusal(&yard, |cage| cage.writable.push(path("nothing"))).await;
    assert!(matches!(missing, SandboxError::Unusable { .. }) && missing.to_string().contains("nothing"), "{missing}");
    std::os::unix::fs::symlink(path("victim"), path("room/link")).unwrap();
    let link = refusal(&yard, |cage| cage.writable.push(path("room/link"))).await;
    assert!(matches!(link, SandboxError::Link { .. }), "{link}");
    let astray = refusal(&yard, |cage| {
        std::fs::create_dir(path("victim/inner")).unwrap();
        cage.writable.push(path("room").join("link/inner"));
    })
    .await;
    assert!(matches!(astray, SandboxError::Astray { .. }), "{astray}");
    let within = refusal(&yard, |cage| {
        std::fs::create_dir(path("room/hidden")).unwrap();
        cage.hidden.push(path("room/hidden"));
    })
    .await;
    assert!(matches!(within, SandboxError::Within { .. }), "{within}");
    let whole = refusal(&yard, |cage| cage.writable.push("/".into())).await;
    assert!(matches!(whole, SandboxError::Whole), "{whole}");
});

alone!(needs_bubblewrap_what_cannot_be_started_in_a_cage_says_why, async || {
    let yard = Yard::new();
    for backend in Backend::ALL {
        let mut spec = yard.spec(Some(yard.caged(backend)), "", Tracking::CgroupV2);
        spec.program = "kugetsu-no-such-agent".into();
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("`kugetsu-no-such-agent` is not on PATH"), "{error}");
        let mut spec = yard.spec(Some(yard.caged(backend)), "", Tracking::CgroupV2);
        spec.cwd = yard.world.path("no/such/path");
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("no/such/path"), "{error}");
        let mut spec = yard.spec(Some(yard.caged(backend)), "", Tracking::CgroupV2);
        spec.cwd = yard.world.path("home");
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("make it readable or writable"), "{error}");
        assert!(!crate::tree::cgroup_left(yard.spec(None, "", Tracking::Groups).marker.id()));
    }
});

alone!(needs_bubblewrap_the_strongest_cage_is_found_by_trying, async || {
    assert_eq!(best_backend(), Ok(Backend::Bubblewrap));
    // SAFETY: this process is this test's alone, and no other thread runs.
    unsafe { std::env::set_var("PATH", "/nowhere") };
    assert!(check_backend(Backend::Bubblewrap).unwrap_err().contains("`bwrap` is not on PATH"));
    assert_eq!(best_backend(), Ok(Backend::Landlock));
});
