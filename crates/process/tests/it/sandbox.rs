//! A sandboxed tree can do ordinary work and ends like any other. A sandbox that would not hold is refused.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use kugetsu_process::sandbox::{Backend, FileAccess, Helper, SandboxError, best_backend, check_backend};
use kugetsu_process::{MARKER, SpawnError, Tracking, Tree, leftover_processes};

use crate::fixture::{Fixture, each_backend, helper};
use crate::own_process::own_process;
use crate::test_dir::{exists, until};

/// Ordinary work of many kinds. Programs that are not on every machine are used if they are there.
const WORK: &str = r#"
set -e
echo one >file && test "$(cat file)" = one
echo two >>file && mv file other && mkdir sub && mv other sub/ && rm sub/other && rmdir sub
echo three >"$H/writable/kept" && test "$(cat "$H/writable/kept")" = three
test "$(cat "$H/readable/text")" = readable
echo nothing >/dev/null && head -c 3 /dev/urandom >/dev/null && head -c 3 /dev/zero >/dev/null
echo to-stderr >/dev/stderr
echo a | (cat; echo b) | cat >pipes && test "$(cat pipes)" = "$(printf 'a\nb')"
git init -q repo && cd repo && echo x >file && chmod +x file && git add .
git -c user.name=a -c user.email=a@b commit -qm first && git gc -q && git status --short && cd ..
git clone -q repo clone && git -C clone log --oneline >log
git -C "$P" log --oneline >log && git clone -q "$P" theirs
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

async fn works(backend: Backend) {
    let fixture = Fixture::new();
    fixture.fill(["a"].into_iter());
    let outcome = fixture.run(Some(fixture.sandbox(backend)), WORK).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "done\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("to-stderr"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(fixture.dir.path("home/writable/kept")).unwrap(), "three\n");
}

each_backend!(
    ordinary_work_succeeds_with_namespaces,
    needs_bubblewrap_ordinary_work_succeeds,
    ordinary_work_succeeds_with_landlock,
    works
);

async fn hides(backend: Backend) {
    let fixture = Fixture::new();
    let outcome =
        fixture.run(Some(fixture.sandbox(backend)), "cat $H/secret; cat $H/readable/text; echo x >$H/new").await;
    assert_eq!(outcome.stdout, "readable");
    assert_ne!(outcome.code, Some(0));
    assert!(!fixture.dir.path("home/new").exists());
}

each_backend!(
    hidden_files_cannot_be_read_with_namespaces,
    needs_bubblewrap_hidden_files_cannot_be_read,
    hidden_files_cannot_be_read_with_landlock,
    hides
);

async fn hides_inside_a_readable_directory(backend: Backend) {
    let fixture = Fixture::new();
    let readable = fixture.dir.path("home/readable");
    for (directory, file) in [("private", "key"), ("beside", "text")] {
        std::fs::create_dir(readable.join(directory)).unwrap();
        std::fs::write(readable.join(directory).join(file), directory).unwrap();
    }
    let mut sandbox = fixture.sandbox(backend);
    sandbox.files.hidden.push(readable.join("private"));
    let script = "cat $H/readable/text $H/readable/beside/text; cat $H/readable/private/key $H/secret";
    let outcome = fixture.run(Some(sandbox), script).await;
    assert_eq!(outcome.stdout, "readablebeside", "{}", outcome.stderr);
    assert_ne!(outcome.code, Some(0));
}

each_backend!(
    directories_inside_readable_ones_can_be_hidden_with_namespaces,
    needs_bubblewrap_directories_inside_readable_ones_can_be_hidden,
    directories_inside_readable_ones_can_be_hidden_with_landlock,
    hides_inside_a_readable_directory
);

async fn has_network(backend: Backend) {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello\n").unwrap();
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        received
    });
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read line <&3; echo $line; echo back >&3");
    let outcome =
        fixture.run(Some(fixture.sandbox(backend)), &format!("bash -c '{script}'; getent hosts localhost >&2")).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "hello\n"), "{}", outcome.stderr);
    assert_eq!(serving.join().unwrap(), "back\n");
}

each_backend!(
    network_is_available_with_namespaces,
    needs_bubblewrap_network_is_available,
    network_is_available_with_landlock,
    has_network
);

async fn passes_through(backend: Backend) {
    let fixture = Fixture::new();
    let input = vec![b'x'; 5_000_000];
    let script = "echo $PWD; pwd -P; echo $KUGETSU_RUN; cat | wc -c; head -c 3000000 /dev/zero | tr '\\0' y; exit 7";
    let outcome = fixture.run_with(Some(fixture.sandbox(backend)), script, &input).await;
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    let writable = fixture.dir.path("writable");
    let marker = fixture.spec(None, "", Tracking::Groups).marker;
    let head = format!("{0}\n{0}\n{1}\n5000000\n", writable.display(), marker.id());
    assert!(outcome.stdout.starts_with(&head), "{}", &outcome.stdout[..200]);
    assert_eq!(outcome.stdout.len(), head.len() + 3_000_000);
}

each_backend!(
    status_and_pipes_pass_through_with_namespaces,
    needs_bubblewrap_status_and_pipes_pass_through,
    status_and_pipes_pass_through_with_landlock,
    passes_through
);

const STUBBORN: &str = r#"
trap "" TERM
(setsid sh -c 'trap "" TERM HUP; echo x >deaf; while :; do sleep 0.1; done' &)
(nohup sh -c 'echo x >plain; sleep 1000' >/dev/null 2>&1 &)
(env -i "$(command -v setsid)" /bin/sh -c 'echo x >bare; /bin/sleep 1000' &)
while :; do sleep 0.1; done
"#;

async fn ends(backend: Backend, tracking: Tracking) {
    let fixture = Fixture::new();
    let mut tree = Tree::spawn(fixture.spec(Some(fixture.sandbox(backend)), STUBBORN, tracking)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    for file in ["writable/deaf", "writable/plain", "writable/bare"] {
        until(file, || fixture.dir.path(file).exists()).await;
    }
    let pid = tree.pid();
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.survivors.is_empty() && ended.problem.is_none() && ended.status.is_some(), "{ended:?}");
    assert_eq!(ended.tracking, tracking.min(Tracking::detect()));
    assert!(!exists(pid.as_raw()));
    crate::tree::is_closed(stdout).await;
}

each_backend!(
    sandboxed_tree_ends_with_a_cgroup_with_namespaces,
    needs_bubblewrap_sandboxed_tree_ends_with_a_cgroup,
    sandboxed_tree_ends_with_a_cgroup,
    async |backend| {
        ends(backend, Tracking::CgroupV2).await;
    }
);
each_backend!(
    sandboxed_tree_ends_with_a_subreaper_with_namespaces,
    needs_bubblewrap_sandboxed_tree_ends_with_a_subreaper,
    sandboxed_tree_ends_with_a_subreaper,
    async |backend| {
        ends(backend, Tracking::Subreaper).await;
    }
);

async fn gets_time_to_exit(backend: Backend) {
    let fixture = Fixture::new();
    let script = "trap 'echo bye >parted; exit 3' TERM; echo x >ready; while :; do sleep 0.05; done";
    let tree = Tree::spawn(fixture.spec(Some(fixture.sandbox(backend)), script, Tracking::CgroupV2)).await.unwrap();
    until("it to be ready", || fixture.dir.path("writable/ready").exists()).await;
    let ended = tree.end(Duration::from_secs(40)).await;
    assert!(ended.survivors.is_empty(), "{ended:?}");
    assert_eq!(std::fs::read_to_string(fixture.dir.path("writable/parted")).unwrap(), "bye\n");
}

each_backend!(
    agent_gets_time_to_exit_with_namespaces,
    needs_bubblewrap_agent_gets_time_to_exit,
    agent_gets_time_to_exit_with_landlock,
    gets_time_to_exit
);

async fn shows_the_marker(backend: Backend) {
    let fixture = Fixture::new();
    let script = "(setsid sh -c 'echo x >tool; sleep 1000' &); sleep 1000";
    let mut tree = Tree::spawn(fixture.spec(Some(fixture.sandbox(backend)), script, Tracking::Groups)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    until("the tool", || fixture.dir.path("writable/tool").exists()).await;
    let marker = fixture.spec(None, "", Tracking::Groups).marker;
    drop(tree.stdin.take());
    let marked = leftover_processes(MARKER).await.unwrap();
    let marked = marked.iter().filter(|(_, value)| value == marker.id()).count();
    assert!(marked >= 3, "{marked}");
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.survivors.is_empty(), "{ended:?}");
    crate::tree::is_closed(stdout).await;
}

each_backend!(
    marker_is_visible_from_outside_with_namespaces,
    needs_bubblewrap_marker_is_visible_from_outside,
    marker_is_visible_from_outside_with_landlock,
    shows_the_marker
);

async fn refusal(fixture: &Fixture, change: impl FnOnce(&mut FileAccess)) -> SandboxError {
    let mut sandbox = fixture.sandbox(Backend::Landlock);
    change(&mut sandbox.files);
    match Tree::spawn(fixture.spec(Some(sandbox), ":", Tracking::Groups)).await {
        Err(SpawnError::Sandbox { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was started"),
    }
}

own_process!(sandbox_that_would_not_hold_is_refused, async || {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.dir.path(name);
    let missing = refusal(&fixture, |files| files.writable.push(path("nothing"))).await;
    assert!(matches!(missing, SandboxError::Unusable { .. }) && missing.to_string().contains("nothing"), "{missing}");
    std::os::unix::fs::symlink(path("protected"), path("writable/link")).unwrap();
    let link = refusal(&fixture, |files| files.writable.push(path("writable/link"))).await;
    assert!(matches!(link, SandboxError::Link { .. }), "{link}");
    let escapes = refusal(&fixture, |files| {
        std::fs::create_dir(path("protected/inner")).unwrap();
        files.writable.push(path("writable").join("link/inner"));
    })
    .await;
    assert!(matches!(escapes, SandboxError::Escapes { .. }), "{escapes}");
    let within = refusal(&fixture, |files| {
        std::fs::create_dir(path("writable/hidden")).unwrap();
        files.hidden.push(path("writable/hidden"));
    })
    .await;
    assert!(matches!(within, SandboxError::InWritable { .. }), "{within}");
    let whole = refusal(&fixture, |files| files.writable.push("/".into())).await;
    assert!(matches!(whole, SandboxError::WholeFileSystem), "{whole}");
});

own_process!(needs_bubblewrap_start_errors_name_the_cause, async || {
    let fixture = Fixture::new();
    for backend in Backend::ALL {
        let mut spec = fixture.spec(Some(fixture.sandbox(backend)), "", Tracking::CgroupV2);
        spec.program = "kugetsu-no-such-agent".into();
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("`kugetsu-no-such-agent` is not on PATH"), "{error}");
        let mut spec = fixture.spec(Some(fixture.sandbox(backend)), "", Tracking::CgroupV2);
        spec.cwd = fixture.dir.path("no/such/directory");
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("no/such/directory"), "{error}");
        let mut spec = fixture.spec(Some(fixture.sandbox(backend)), "", Tracking::CgroupV2);
        spec.cwd = fixture.dir.path("home");
        let error = Tree::spawn(spec).await.err().unwrap();
        assert!(error.to_string().contains("in a sandbox that hides"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("make it readable or writable"));
        assert!(!crate::tree::cgroup_left(fixture.spec(None, "", Tracking::Groups).marker.id()));
    }
});

own_process!(needs_bubblewrap_best_backend_is_found_by_trying, async || {
    assert_eq!(best_backend(&helper()), Ok(Backend::Namespaces));
    let missing = Helper { program: "/nonexistent".into(), args: Vec::new() };
    assert!(check_backend(Backend::Namespaces, &missing).unwrap_err().contains("No such file"));
    // SAFETY: no other thread runs in this test's own process.
    unsafe { std::env::set_var("PATH", "/nonexistent") };
    assert!(check_backend(Backend::Bubblewrap, &helper()).unwrap_err().contains("`bwrap` is not on PATH"));
    assert_eq!(best_backend(&missing), Ok(Backend::Landlock));
});
