//! The network of a sandbox, and its unix sockets.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use kugetsu_process::sandbox::{Backend, Network, Sandbox, SandboxError};
use kugetsu_process::{MARKER, SpawnError, Tracking, Tree, leftover_processes};

use crate::fixture::{Fixture, each_namespaces};
use crate::own_process::own_process;
use crate::test_dir::{exists, until};

const PORT: u16 = 61_001;

fn own_network(fixture: &Fixture, backend: Backend) -> Sandbox {
    Sandbox { network: Network::Own { listeners: vec![PORT, PORT + 1] }, ..fixture.sandbox(backend) }
}

/// Connects with bash, which is on every machine where this is tested.
fn connect(port: u16, then: &str) -> String {
    format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && {{ {then}; }}'")
}

async fn reaches_nothing(backend: Backend) {
    let fixture = Fixture::new();
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let attempts = format!(
        "{}\nbash -c 'exec 3<>/dev/tcp/1.1.1.1/53' && echo internet\nbash -c 'exec 3<>/dev/tcp/169.254.169.254/80' && echo metadata\n\
         bash -c 'echo x >/dev/udp/127.0.0.1/{udp_port}'\ntail -n +2 /proc/net/route\n",
        connect(tcp_port, "echo loopback"),
    );
    let outcome = fixture.run(Some(own_network(&fixture, backend)), &attempts).await;
    assert_eq!(outcome.stdout, "", "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Connection refused"), "{}", outcome.stderr);
    udp.set_nonblocking(true).unwrap();
    udp.recv(&mut [0]).unwrap_err();
    let outcome = fixture.run(Some(fixture.sandbox(backend)), &connect(tcp_port, "echo loopback")).await;
    assert_eq!(outcome.stdout, "loopback\n", "it succeeds in the network of the machine: {}", outcome.stderr);
}

each_namespaces!(own_network_reaches_nothing, needs_bubblewrap_own_network_reaches_nothing, reaches_nothing);

async fn passes_listeners_out(backend: Backend) {
    let fixture = Fixture::new();
    let both = format!("{}; {}", connect(PORT, "read x <&3; echo $x"), connect(PORT + 1, "read x <&3; echo $x"));
    let spec = fixture.spec(Some(own_network(&fixture, backend)), &both, Tracking::CgroupV2);
    let mut tree = Tree::spawn(spec).await.unwrap();
    let listeners = std::mem::take(&mut tree.listeners);
    assert_eq!(listeners.len(), 2);
    let serving = std::thread::spawn(move || {
        for (listener, text) in listeners.iter().zip(["first\n", "second\n"]) {
            listener.accept().unwrap().0.write_all(text.as_bytes()).unwrap();
        }
    });
    let mut stdout = tree.stdout.take().unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text).await.unwrap();
    tree.end(Duration::from_secs(20)).await;
    assert_eq!(text, "first\nsecond\n");
    serving.join().unwrap();
}

each_namespaces!(listeners_are_passed_out, needs_bubblewrap_listeners_are_passed_out, passes_listeners_out);

/// A server and a client inside, over a path, an abstract name and loopback.
const LOCAL: &str = r#"
python3 - <<'P'
import socket, threading
def talk(family, address):
    server = socket.socket(family); server.bind(address); server.listen()
    client = socket.socket(family); client.connect(server.getsockname())
    peer, _ = server.accept(); peer.sendall(b'hi'); assert client.recv(2) == b'hi'
talk(socket.AF_UNIX, 'own.sock'); talk(socket.AF_UNIX, '\0own'); talk(socket.AF_INET, ('127.0.0.1', 0))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b'x'); assert b.recv(1) == b'x'
print('done')
P
"#;

async fn has_its_own_sockets(backend: Backend) {
    let fixture = Fixture::new();
    for sandbox in [fixture.sandbox(backend), own_network(&fixture, backend)] {
        let outcome = fixture.run(Some(sandbox), &format!("rm -f own.sock; {LOCAL}")).await;
        assert_eq!(outcome.stdout, "done\n", "{}", outcome.stderr);
    }
}

each_namespaces!(
    programs_inside_talk_to_each_other,
    needs_bubblewrap_programs_inside_talk_to_each_other,
    has_its_own_sockets
);

async fn sees_no_socket(backend: Backend) {
    let fixture = Fixture::new();
    let path = fixture.dir.path("protected/socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let script = "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('$P/socket'); print('connected')\"";
    let inside = fixture.run(Some(fixture.sandbox(backend)), script).await;
    assert_eq!(inside.stdout, "", "{}", inside.stderr);
    assert!(inside.stderr.contains("ConnectionRefusedError"), "{}", inside.stderr);
    assert_eq!(fixture.run(None, script).await.stdout, "connected\n");
}

each_namespaces!(
    sockets_in_readable_directories_are_masked,
    needs_bubblewrap_sockets_in_readable_directories_are_masked,
    sees_no_socket
);

async fn makes_no_namespaces(backend: Backend) {
    let fixture = Fixture::new();
    let script = "unshare -U true && echo unshare\nunshare -Ur true && echo mapped\n\
                  python3 -c \"import ctypes; c = ctypes.CDLL(None, use_errno=True); \
                  r = c.syscall(56, 0x10000000 | 17, 0, 0, 0, 0); \
                  print('clone') if r > 0 else None if r < 0 else exit()\"\n";
    let inside = fixture.run(Some(fixture.sandbox(backend)), script).await;
    assert_eq!(inside.stdout, "", "{}", inside.stderr);
    let outside = fixture.run(None, script).await;
    assert_eq!(outside.stdout, "unshare\nmapped\nclone\n", "{}", outside.stderr);
}

each_namespaces!(no_namespaces_are_made_inside, needs_bubblewrap_no_namespaces_are_made_inside, makes_no_namespaces);

async fn keeps_private_directories(backend: Backend) {
    let fixture = Fixture::new();
    let mut sandbox = fixture.sandbox(backend);
    sandbox.files.hidden.clear();
    sandbox.files.private.push(fixture.dir.path("home"));
    let script =
        "cat $H/secret; echo x >$H/new && mkdir $H/a && cat $H/new $H/readable/text && echo y >$H/writable/kept";
    let outcome = fixture.run(Some(sandbox), script).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "x\nreadable"), "{}", outcome.stderr);
    assert!(!fixture.dir.path("home/new").exists() && !fixture.dir.path("home/a").exists());
    assert!(fixture.dir.path("home/writable/kept").exists());
}

each_namespaces!(
    private_directories_are_empty_and_vanish,
    needs_bubblewrap_private_directories_are_empty_and_vanish,
    keeps_private_directories
);

own_process!(copied_directories_change_inside_only, async || {
    let fixture = Fixture::new();
    let cache = fixture.dir.path("home/cache");
    std::fs::create_dir_all(cache.join("sub")).unwrap();
    std::fs::write(cache.join("sub/old"), "old").unwrap();
    std::fs::write(cache.join("gone"), "gone").unwrap();
    let mut sandbox = fixture.sandbox(Backend::Namespaces);
    sandbox.files.hidden.clear();
    sandbox.files.private.push(fixture.dir.path("home"));
    sandbox.files.copied.push(cache.clone());
    let script = "cat $H/cache/sub/old && echo new >>$H/cache/sub/old && echo x >$H/cache/sub/new && rm $H/cache/gone && \
                  mv $H/cache/sub $H/cache/moved && cat $H/cache/moved/old && ls $H/cache";
    let outcome = fixture.run(Some(sandbox), script).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "oldoldnew\nmoved\n"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(cache.join("sub/old")).unwrap(), "old");
    assert!(cache.join("gone").exists() && !cache.join("sub/new").exists() && !cache.join("moved").exists());
});

async fn makes_links(backend: Backend) {
    let fixture = Fixture::new();
    let mut sandbox = fixture.sandbox(backend);
    sandbox.files.hidden.clear();
    sandbox.files.private.push(fixture.dir.path("home"));
    sandbox.files.links.push((fixture.dir.path("home/a/link"), fixture.dir.path("home/readable")));
    let outcome = fixture.run(Some(sandbox), "cat $H/a/link/text && readlink $H/a/link").await;
    let target = fixture.dir.path("home/readable");
    assert_eq!(outcome.stdout, format!("readable{}\n", target.display()), "{}", outcome.stderr);
}

each_namespaces!(links_lead_to_what_is_shown, needs_bubblewrap_links_lead_to_what_is_shown, makes_links);

own_process!(landlock_alone_gives_no_network, async || {
    let fixture = Fixture::new();
    let spec = fixture.spec(Some(own_network(&fixture, Backend::Landlock)), ":", Tracking::Groups);
    match Tree::spawn(spec).await.err() {
        Some(SpawnError::Sandbox { source: SandboxError::NeedsNamespaces { .. }, .. }) => {}
        other => panic!("{other:?}"),
    }
});

// Nothing of it survives its first process, however many sessions it has.
own_process!(tree_ends_with_its_helper, async || {
    let fixture = Fixture::new();
    let script = "(setsid sh -c 'trap \"\" TERM HUP; echo $$ >pid; sleep 1000' &); sleep 1000";
    let spec = fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), script, Tracking::Groups);
    let marker = spec.marker.clone();
    let mut tree = Tree::spawn(spec).await.unwrap();
    until("the tool", || fixture.dir.path("writable/pid").exists()).await;
    let marked = leftover_processes(MARKER).await.unwrap();
    let inside: Vec<i32> =
        marked.iter().filter(|(_, value)| value == marker.id()).map(|(pid, _)| pid.as_raw()).collect();
    assert!(inside.len() >= 4, "{inside:?}");
    nix::sys::signal::kill(tree.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
    tree.wait().await.unwrap();
    until("the end of all", || inside.iter().all(|pid| !crate::test_dir::is_running(*pid))).await;
    assert!(!exists(tree.pid().as_raw()));
    let mut stdout = tree.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut Vec::new()).await.unwrap();
    let ended = tree.end(Duration::from_secs(1)).await;
    assert!(ended.survivors.is_empty(), "{ended:?}");
});

// The agent's program may be a wrapper that ends at once, while the one that works needs time to clean up.
own_process!(processes_inside_get_time_after_the_program_has_ended, async || {
    let fixture = Fixture::new();
    let script = "(setsid sh -c 'trap \"sleep 0.3; echo bye >parted; exit\" TERM; echo x >ready; while :; do sleep 0.05; done' &)\n\
                  while ! test -e ready; do sleep 0.01; done; exit 3";
    let mut tree = Tree::spawn(fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), script, Tracking::CgroupV2))
        .await
        .unwrap();
    assert_eq!(tree.wait().await.unwrap().code(), Some(3));
    let ended = tree.end(Duration::from_secs(40)).await;
    assert!(ended.survivors.is_empty() && ended.problem.is_none(), "{ended:?}");
    assert_eq!(std::fs::read_to_string(fixture.dir.path("writable/parted")).unwrap(), "bye\n");
});

/// Descriptors above the standard three, but that of the directory itself.
const DESCRIPTORS: &str = "for fd in /proc/self/fd/*; do case $fd in */[012]) ;; *) readlink $fd ;; esac; done";

async fn inherits_nothing(backend: Backend) {
    let fixture = Fixture::new();
    let outcome = fixture.run(Some(fixture.sandbox(backend)), &format!("sh -c '{DESCRIPTORS}'; true")).await;
    let others: Vec<&str> = outcome.stdout.lines().filter(|target| !target.starts_with("/proc/")).collect();
    assert_eq!(others, Vec::<&str>::new(), "{}", outcome.stderr);
}

each_namespaces!(no_descriptor_is_inherited, needs_bubblewrap_no_descriptor_is_inherited, inherits_nothing);

// Root could change the devices of the machine, and use those that are elsewhere than in /dev.
own_process!(devices_of_the_machine_do_not_change, async || {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let before = std::fs::metadata("/dev/zero").unwrap();
    let fixture = Fixture::new();
    let own = fixture.dir.path("writable/null");
    // Only root can create one. Others have none to use.
    let _ = std::process::Command::new("mknod")
        .arg(&own)
        .args(["c", "1", "3"])
        .stderr(std::process::Stdio::null())
        .status();
    let script = "chmod 777 /dev/zero && echo changed; chown 1 /dev/zero && echo changed\n\
                  echo x >/dev/null && head -c 1 /dev/zero | wc -c\n: >null && test -c null && echo used || true";
    let outcome = fixture.run(Some(fixture.sandbox(Backend::Namespaces)), script).await;
    assert_eq!(outcome.stdout.trim(), "1", "{}", outcome.stderr);
    let after = std::fs::metadata("/dev/zero").unwrap();
    assert_eq!((after.permissions().mode(), after.ctime_nsec()), (before.permissions().mode(), before.ctime_nsec()));
});

own_process!(failures_of_the_helper_are_reported, async || {
    let fixture = Fixture::new();
    let mut spec = fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), ":", Tracking::CgroupV2);
    let script = fixture.dir.path("writable/broken");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    spec.program = script.into();
    let error = Tree::spawn(spec).await.err().unwrap().to_string();
    assert!(error.contains("could not start") && error.contains("writable/broken"), "{error}");
    let mut spec = fixture.spec(Some(fixture.sandbox(Backend::Namespaces)), ":", Tracking::CgroupV2);
    spec.sandbox.as_mut().unwrap().helper.program = "/bin/false".into();
    let error = Tree::spawn(spec).await.err().unwrap().to_string();
    assert!(error.contains("could not build a sandbox by namespaces: the helper ended"), "{error}");
});
