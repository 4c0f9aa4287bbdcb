//! A caged tree can neither change what is outside nor get into other processes, whatever it tries.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use kugetsu_process::sandbox::Backend;
use kugetsu_process::{Tracking, Tree};
use tokio::io::AsyncReadExt;

use crate::alone::alone;
use crate::moves;
use crate::world::runs;
use crate::yard::{Yard, both};

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

async fn changes_nothing(backend: Backend) {
    for yard in [Yard::new(), Yard::elsewhere()] {
        changes_nothing_in(&yard, backend).await;
    }
}

async fn changes_nothing_in(yard: &Yard, backend: Backend) {
    let all = [CHANGES, RARE_CHANGES].concat();
    yard.fill(names(&all).iter().map(String::as_str));
    let before = yard.victim();

    let outcome = yard.run(Some(yard.caged(backend)), &script(&all)).await;

    let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
    assert_eq!(yard.victim(), before, "{said}");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let silent: &[&str] = if backend == Backend::Landlock { SILENT } else { &[] };
    let succeeded: Vec<&str> = outcome.stdout.lines().filter(|name| !silent.contains(name)).collect();
    assert!(succeeded.is_empty(), "{succeeded:?}\n{said}");
    assert!(!yard.world.path("victim/room").exists());
}

both!(needs_bubblewrap_nothing_outside_is_changed, nothing_outside_is_changed_with_landlock, changes_nothing);

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
    ("root", "ls -L /proc/$SLEEPER/root"),
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

async fn has_no_way_out(backend: Backend) {
    let yard = Yard::new();
    let outside = Outside::new(&yard);
    let all = [WAYS_OUT, RARE_WAYS_OUT].concat();
    let outcome = yard.run(Some(yard.caged(backend)), &outside.script(&all)).await;
    let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
    assert_eq!(outcome.stdout, "", "{said}");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(runs(outside.sleeper.id().cast_signed()));
}

both!(needs_bubblewrap_no_way_leads_out, no_way_leads_out_with_landlock, has_no_way_out);

#[test]
fn without_a_cage_each_way_leads_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for one in WAYS_OUT {
            let yard = Yard::new();
            let outside = Outside::new(&yard);
            let spec = yard.spec(None, &outside.script(&[*one]), Tracking::Groups);
            let mut tree = Tree::spawn(spec).await.unwrap();
            let mut stdout = String::new();
            tree.stdout.take().unwrap().read_to_string(&mut stdout).await.unwrap();
            tree.end(Duration::from_secs(20)).await;
            let said = std::fs::read_to_string(yard.world.path("room/said")).unwrap();
            assert_eq!(stdout.trim_end(), one.0, "{said}");
        }
    });
}
