//! A caged tree can do its work and cannot touch anything else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use kugetsu_process::cage::{BadCage, Cage, Confinement, best, can_be_had};
use kugetsu_process::{MARKER, Means, SpawnError, Tree, is_descendant, means, stragglers};

use crate::alone::alone;
use crate::moves;
use crate::world::{exists, runs, until};
use crate::yard::Yard;

/// The same under each means.
macro_rules! both {
    ($bubblewrap:ident, $landlock:ident, $body:expr) => {
        alone!($bubblewrap, async || $body(Confinement::Bubblewrap).await);
        alone!($landlock, async || $body(Confinement::Landlock).await);
    };
}

/// Each changes the file `$F`, a directory `$F.d` or what is beside them. `call` is this test program.
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
    ("mv-room-over", "mkdir $W/empty && rm -rf $F.d && mv -T $W/empty $F.d"),
    ("cp-over", "echo x >$W/mine && cp $W/mine $F"),
    ("install", "echo x >$W/mine && install $W/mine $F"),
    ("mkdir", "mkdir $F.new"),
    ("fifo", "mkfifo $F.new"),
    ("link", "ln -s / $F.new"),
    ("hard-link-beside", "ln $F $F.new"),
    ("hard-link-out", "ln $F $W/same && echo x >$W/same"),
    ("hard-link-in", "echo x >$W/mine && ln $W/mine $F.new"),
    ("by-a-link", "ln -s $F $W/to-file && echo x >$W/to-file"),
    ("by-a-link-to-all", "ln -s $V $W/to-all && echo x >$W/to-all/$N"),
    ("tee", "echo x | tee $F"),
    ("dd", "echo x | dd of=$F conv=notrunc"),
    ("truncate-program", "truncate -s 0 $F"),
    ("tar", "cd $W && mkdir t && echo x >t/$N && tar -C t -cf t.tar $N && tar -C $V -xf t.tar"),
    ("by-own-root", "echo x >/proc/self/root$F"),
    ("by-cwd", "cd $V && echo x >/proc/self/cwd/$N"),
    ("by-descriptor", "exec 3<$F && echo x >/proc/self/fd/3"),
    ("by-another-root", "echo x >/proc/$OUT/root$F"),
    ("in-a-session", "setsid -w sh -c \"echo x >$F\""),
    ("in-the-background", "nohup sh -c \"echo x >$F\" >/dev/null & wait $!"),
    ("commit", "cd $V && echo $N >$N && git add $N && git -c user.name=a -c user.email=a@b commit -m $N"),
    ("git-branch", "git -C $V branch $N"),
    ("git-config", "git -C $V config user.x y"),
    ("git-hook", "printf '#!/bin/sh\\n' >$V/.git/hooks/pre-push"),
    (
        "git-from-the-room",
        "cd $W && git --git-dir=$V/.git --work-tree=$W -c user.name=a -c user.email=a@b commit -m x --allow-empty",
    ),
    (
        "git-push",
        "git init -q $W/r && cd $W/r && git -c user.name=a -c user.email=a@b commit -qm x --allow-empty && git push -q $V HEAD:refs/heads/pushed",
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

/// These change the file too, on systems that have them at all.
const RARE_CHANGES: &[(&str, &str)] = &[
    ("chmod-at-2", "call chmod-at-2 $F"),
    ("attribute", "call attribute $F"),
    ("attribute-fd", "call attribute-fd $F"),
    ("flags", "call flags $F"),
    ("python", "python3 -c \"open('$F', 'w')\""),
    ("node", "node -e \"fs.writeFileSync('$F', 'x')\""),
    ("mount", "unshare -Urm sh -c \"mount --bind $W/.. $V && echo x >$V/x\""),
    ("remount", "mount -o remount,rw / && echo x >$F"),
    ("remount-bound", "mount -o remount,bind,rw $V && echo x >$F"),
    ("other-mounts", "nsenter -t $OUT -m sh -c \"echo x >$F\""),
    ("x32", "call x32 $F"),
    ("mv-everything", "mv $W $V/room"),
];

/// What landlock leaves to a filter that lets them seem to succeed.
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

/// Runs each of these and says which succeeded.
fn script(moves: &[(&str, &str)]) -> String {
    let call = format!(
        "call() {{ {}=$1 {}=$2 $ME --exact {} --ignored --nocapture; }}\n",
        moves::MOVE,
        moves::WITH,
        moves::TEST.split_once("::").unwrap().1
    );
    let tries = moves
        .iter()
        .map(|(name, script)| format!("(N={name} F=$V/{name}; {script}) >/dev/null 2>>$W/said && echo {name}\n"));
    call + &tries.collect::<String>() + "true\n"
}

fn names(moves: &[(&str, &'static str)]) -> Vec<String> {
    moves.iter().map(|(name, _)| (*name).to_owned()).collect()
}

async fn changes_nothing(confinement: Confinement) {
    for yard in [Yard::new(), Yard::elsewhere()] {
        changes_nothing_in(&yard, confinement).await;
    }
}

async fn changes_nothing_in(yard: &Yard, confinement: Confinement) {
    let all = [CHANGES, RARE_CHANGES].concat();
    yard.fill(names(&all).iter().map(String::as_str));
    let before = yard.victim();

    let outcome = yard.run(Some(yard.caged(confinement)), &script(&all)).await;

    let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
    assert_eq!(yard.victim(), before, "{said}");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let silent: &[&str] = if confinement == Confinement::Landlock { SILENT } else { &[] };
    let succeeded: Vec<&str> = outcome.stdout.lines().filter(|name| !silent.contains(name)).collect();
    assert!(succeeded.is_empty(), "{succeeded:?}\n{said}");
    assert!(!yard.world.path("victim/room").exists());
}

both!(
    needs_bubblewrap_b03_r18_nothing_outside_is_changed,
    b03_r18_nothing_outside_is_changed_with_landlock,
    changes_nothing
);

alone!(the_same_without_a_cage_changes_all_of_it, async || {
    for one in CHANGES {
        let yard = Yard::new();
        yard.fill([one.0].into_iter());
        let before = yard.victim();
        let outcome = yard.run(None, &script(&[*one])).await;
        let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
        assert_eq!(outcome.stdout.trim_end(), one.0, "{said}");
        assert_ne!(yard.victim(), before, "{} changes nothing", one.0);
    }
});

/// Ways into other processes. Each succeeds without a cage.
const WAYS_OUT: &[(&str, &str)] = &[
    ("trace", "call trace $SLEEPER"),
    ("kill", "call kill $SLEEPER"),
    ("kill-program", "kill -9 $SLEEPER"),
    ("limit", "call limit $SLEEPER"),
    ("memory", "call memory $SLEEPER"),
    ("memory-file", "exec 3<>/proc/$SLEEPER/mem"),
    ("environment", "cat /proc/$SLEEPER/environ"),
    ("root", "ls /proc/$SLEEPER/root/"),
    ("socket", "call socket $V/socket"),
    ("abstract", "call abstract $ABSTRACT"),
    ("pair", "call pair $V/datagrams"),
    ("shared", "cat $SHARED"),
    ("type", "call type x"),
];
/// They may fail without one, too.
const RARE_WAYS_OUT: &[(&str, &str)] = &[
    ("ring", "call ring x"),
    ("unshare", "call unshare x"),
    ("remount", "call mount /"),
    ("capabilities", "call capabilities x"),
    ("init", "exec 3<>/proc/1/mem"),
    ("kernel", "exec 3<>/proc/sys/kernel/core_pattern"),
    ("disk", "head -c 1 /dev/vda || head -c 1 /dev/sda"),
    ("terminal", "exec 3<>/dev/pts/0"),
];

struct Outside {
    sleeper: std::process::Child,
    name: String,
    shared: tempfile::NamedTempFile,
    _listeners: (UnixListener, UnixListener, UnixDatagram),
}

impl Outside {
    fn new(yard: &Yard) -> Self {
        // Not our child and descendant, or it would be of the tree.
        let sleeper = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let name = format!("kugetsu-test-{}", std::process::id());
        let listeners = (
            UnixListener::bind(yard.world.path("victim/socket")).unwrap(),
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            UnixDatagram::bind(yard.world.path("victim/datagrams")).unwrap(),
        );
        let shared = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        Self { sleeper, name, shared, _listeners: listeners }
    }

    fn script(&self, moves: &[(&str, &str)]) -> String {
        let shared = self.shared.path().display();
        format!("SLEEPER={} ABSTRACT={} SHARED={shared}\n{}", self.sleeper.id(), self.name, script(moves))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

async fn has_no_way_out(confinement: Confinement) {
    let yard = Yard::new();
    let outside = Outside::new(&yard);
    let all = [WAYS_OUT, RARE_WAYS_OUT].concat();
    let outcome = yard.run(Some(yard.caged(confinement)), &outside.script(&all)).await;
    let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
    assert_eq!(outcome.stdout, "", "{said}");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(runs(outside.sleeper.id().cast_signed()));
}

both!(needs_bubblewrap_b03_r18_no_way_leads_out, b03_r18_no_way_leads_out_with_landlock, has_no_way_out);

#[test]
fn without_a_cage_each_way_leads_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for one in WAYS_OUT {
            let yard = Yard::new();
            let outside = Outside::new(&yard);
            let mut tree = yard.spec(None, &outside.script(&[*one]), Means::Groups);
            tree.cage = None;
            let mut tree = Tree::spawn(tree).await.unwrap();
            let mut stdout = String::new();
            tokio::io::AsyncReadExt::read_to_string(tree.stdout.as_mut().unwrap(), &mut stdout).await.unwrap();
            tree.end(Duration::from_secs(20)).await;
            let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
            assert_eq!(stdout.trim_end(), one.0, "{said}");
        }
    });
}

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

async fn can_work(confinement: Confinement) {
    let yard = Yard::new();
    yard.fill(["a"].into_iter());
    let outcome = yard.run(Some(yard.caged(confinement)), WORK).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "done\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("to-stderr"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(yard.world.path("home/desk/kept")).unwrap(), "three\n");
}

both!(needs_bubblewrap_b03_ordinary_work_is_done, b03_ordinary_work_is_done_with_landlock, can_work);

async fn hides(confinement: Confinement) {
    let yard = Yard::new();
    let outcome = yard.run(Some(yard.caged(confinement)), "cat $H/secret; cat $H/open/text; echo x >$H/new").await;
    assert_eq!(outcome.stdout, "open");
    assert_ne!(outcome.code, Some(0));
    assert!(!yard.world.path("home/new").exists());
}

both!(needs_bubblewrap_what_is_hidden_is_not_read, what_is_hidden_is_not_read_with_landlock, hides);

async fn has_the_network(confinement: Confinement) {
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
    let outcome =
        yard.run(Some(yard.caged(confinement)), &format!("bash -c '{talk}'; getent hosts localhost >&2")).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "hello\n"), "{}", outcome.stderr);
    assert_eq!(serving.join().unwrap(), "back\n");
}

both!(needs_bubblewrap_b03_the_network_is_there, b03_the_network_is_there_with_landlock, has_the_network);

async fn passes_through(confinement: Confinement) {
    let yard = Yard::new();
    let input = vec![b'x'; 5_000_000];
    let script = "echo $PWD; pwd -P; echo $KUGETSU_RUN; cat | wc -c; head -c 3000000 /dev/zero | tr '\\0' y; exit 7";
    let outcome = yard.run_with(Some(yard.caged(confinement)), script, &input).await;
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    let room = yard.world.path("room");
    let marker = yard.spec(None, "", Means::Groups).marker;
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

async fn ends(confinement: Confinement, wanted: Means) {
    let yard = Yard::new();
    let mut tree = Tree::spawn(yard.spec(Some(yard.caged(confinement)), STUBBORN, wanted)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    for file in ["room/deaf", "room/plain", "room/bare"] {
        until(file, || yard.world.path(file).exists()).await;
    }
    let pid = tree.pid();
    assert_eq!(is_descendant(nix::unistd::Pid::this(), pid), Some(true));
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.left.is_empty() && ended.trouble.is_none() && ended.status.is_some(), "{ended:?}");
    assert_eq!(ended.means, wanted.min(means()));
    assert!(!exists(pid.as_raw()));
    crate::tree::is_closed(stdout).await;
}

both!(needs_bubblewrap_b11_a_caged_tree_ends_with_a_cgroup, b11_a_caged_tree_ends_with_a_cgroup, async |means| {
    ends(means, Means::CgroupV2).await;
});
both!(
    needs_bubblewrap_b11_a_caged_tree_ends_with_the_subreaper,
    b11_a_caged_tree_ends_with_the_subreaper,
    async |means| {
        ends(means, Means::Subreaper).await;
    }
);

async fn asks_first(confinement: Confinement) {
    let yard = Yard::new();
    let script = "trap 'echo bye >parted; exit 3' TERM; echo x >ready; while :; do sleep 0.05; done";
    let tree = Tree::spawn(yard.spec(Some(yard.caged(confinement)), script, Means::CgroupV2)).await.unwrap();
    until("it to be ready", || yard.world.path("room/ready").exists()).await;
    let ended = tree.end(Duration::from_secs(40)).await;
    assert!(ended.left.is_empty(), "{ended:?}");
    assert_eq!(std::fs::read_to_string(yard.world.path("room/parted")).unwrap(), "bye\n");
}

both!(needs_bubblewrap_who_obeys_in_a_cage_is_waited_for, who_obeys_in_a_cage_is_waited_for_with_landlock, asks_first);

async fn finds_the_marked(confinement: Confinement) {
    let yard = Yard::new();
    let script = "(setsid sh -c 'echo x >tool; sleep 1000' &); sleep 1000";
    let mut tree = Tree::spawn(yard.spec(Some(yard.caged(confinement)), script, Means::Groups)).await.unwrap();
    let stdout = tree.stdout.take().unwrap();
    until("the tool", || yard.world.path("room/tool").exists()).await;
    let marker = yard.spec(None, "", Means::Groups).marker;
    drop(tree.stdin.take());
    let seen = stragglers(MARKER).await.unwrap();
    let seen = seen.iter().filter(|(_, value)| value == marker.id()).count();
    assert!(seen >= 3, "{seen}");
    let ended = tree.end(Duration::from_millis(100)).await;
    assert!(ended.left.is_empty(), "{ended:?}");
    crate::tree::is_closed(stdout).await;
}

both!(needs_bubblewrap_b11_the_marker_is_seen_from_outside, b11_the_marker_is_seen_with_landlock, finds_the_marked);

async fn refusal(yard: &Yard, change: impl FnOnce(&mut Cage)) -> BadCage {
    let mut caged = yard.caged(Confinement::Landlock);
    change(&mut caged.cage);
    match Tree::spawn(yard.spec(Some(caged), ":", Means::Groups)).await {
        Err(SpawnError::Cage { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was started"),
    }
}

alone!(r18_a_cage_that_would_open_something_else_is_refused, async || {
    let yard = Yard::new();
    let path = |name: &str| yard.world.path(name);
    let missing = refusal(&yard, |cage| cage.writable.push(path("nothing"))).await;
    assert!(matches!(missing, BadCage::Unusable { .. }) && missing.to_string().contains("nothing"), "{missing}");
    std::os::unix::fs::symlink(path("victim"), path("room/link")).unwrap();
    let link = refusal(&yard, |cage| cage.writable.push(path("room/link"))).await;
    assert!(matches!(link, BadCage::Link { .. }), "{link}");
    let astray = refusal(&yard, |cage| {
        std::fs::create_dir(path("victim/inner")).unwrap();
        cage.writable.push(path("room").join("link/inner"));
    })
    .await;
    assert!(matches!(astray, BadCage::Astray { .. }), "{astray}");
    let within = refusal(&yard, |cage| {
        std::fs::create_dir(path("room/hidden")).unwrap();
        cage.hidden.push(path("room/hidden"));
    })
    .await;
    assert!(matches!(within, BadCage::Within { .. }), "{within}");
    let whole = refusal(&yard, |cage| cage.writable.push("/".into())).await;
    assert!(matches!(whole, BadCage::Whole), "{whole}");
});

alone!(needs_bubblewrap_what_cannot_be_started_in_a_cage_says_why, async || {
    let yard = Yard::new();
    for confinement in Confinement::ALL {
        let mut spec = yard.spec(Some(yard.caged(confinement)), "", Means::CgroupV2);
        spec.program = "kugetsu-no-such-agent".into();
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("`kugetsu-no-such-agent` is not on PATH"), "{error}");
        let mut spec = yard.spec(Some(yard.caged(confinement)), "", Means::CgroupV2);
        spec.cwd = yard.world.path("no/such/place");
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("no/such/place"), "{error}");
        let mut spec = yard.spec(Some(yard.caged(confinement)), "", Means::CgroupV2);
        spec.cwd = yard.world.path("home");
        let error = Tree::spawn(spec).await.err().unwrap().to_string();
        assert!(error.contains("make it readable or writable"), "{error}");
    }
});

alone!(needs_bubblewrap_the_strongest_cage_is_found_by_trying, async || {
    assert_eq!(best(), Ok(Confinement::Bubblewrap));
    // SAFETY: this process is this test's alone, and no other thread runs.
    unsafe { std::env::set_var("PATH", "/nowhere") };
    assert!(can_be_had(Confinement::Bubblewrap).unwrap_err().contains("`bwrap` is not on PATH"));
    assert_eq!(best(), Ok(Confinement::Landlock));
});
