//! The network of an agent that may connect to certain hosts only.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;

use kugetsu_testkit::Repository;
use serde_json::Value;

use crate::world::{World, script};

/// Sends a request to the proxy of the sandbox, and prints the first line of the answer.
const PROXY: &str = "proxy() { exec 4<>/dev/tcp/127.0.0.1/61001 && printf \"$1\" >&4 && timeout 20 head -1 <&4; }";

/// A program on this machine that greets everyone. Returns its port.
fn greeter(address: &str) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(|mut stream| drop(stream.write_all(b"hello\n"))));
    port
}

/// An address of this machine that is not a loopback one, if it has a network.
fn own_address() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok()
}

fn world(network: &str, allow_hosts: &[String]) -> (World, Repository) {
    let mut world = World::new();
    world.home.unset("KUGETSU_RUN_SANDBOX");
    world.run(["config", "set", "run.sandbox", "required"]);
    world.run(["config", "set", "run.network", network]);
    world.run(["config", "set", "run.allow_hosts", &format!("{allow_hosts:?}")]);
    let repository = world.repository("demo");
    (world, repository)
}

/// Runs these commands of bash in a run of the agent, and returns their output.
fn output(world: &World, repository: &Repository, commands: &[String]) -> (Value, String) {
    let steps: Vec<String> =
        commands.iter().map(|command| format!("run bash -c '{PROXY}; {command}' 2>&1; true")).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (run, _) = world.start(repository, &script(&steps));
    let reference = run["issue"].as_str().unwrap();
    let tools = world.records(reference, "tool_ended");
    (run.clone(), tools.iter().filter_map(|tool| tool["output"].as_str()).collect())
}

fn direct(address: &str, port: u16) -> String {
    format!("exec 3<>/dev/tcp/{address}/{port} && read -t 20 line <&3 && echo reached-{address} $line")
}

#[test]
fn agent_reaches_the_allowed_hosts_only() {
    let (allowed, other, everywhere) = (greeter("127.0.0.1:0"), greeter("127.0.0.1:0"), greeter("0.0.0.0:0"));
    let lan = own_address().map_or_else(|| "127.0.0.2".to_owned(), |address| address.ip().to_string());
    let (world, repository) = world("allow-list", &[format!("localhost:{allowed}"), "models".to_owned()]);
    let attempts = [direct("127.0.0.1", allowed), direct("127.0.0.1", other), direct(&lan, everywhere)];
    let through = |target: &str| format!("proxy \"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n\"");
    let refused = [
        through(&format!("127.0.0.1:{other}")),
        through(&format!("[::1]:{other}")),
        through(&format!("{lan}:{everywhere}")),
        "proxy \"GET http://169.254.169.254/latest HTTP/1.1\\r\\nHost: 169.254.169.254\\r\\n\\r\\n\"".to_owned(),
        through("evil.example:443"),
        through("api.openai.com:22"),
    ];
    let bad = [
        "proxy \"CONNECT evil.example%%00.api.openai.com:443 HTTP/1.1\\r\\n\\r\\n\"".to_owned(),
        "proxy \"CONNECT api.openai.com:443 HTTP/1.1\\r\\nHost: evil.example:443\\r\\n\\r\\n\"".to_owned(),
        "proxy \"GET http://api.openai.com/ HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n\"".to_owned(),
    ];
    let name = "getent hosts localhost.localdomain.example || echo no name; ip route 2>/dev/null | grep -c . || true";
    let all = [&attempts[..], &refused, &bad, &[name.to_owned()]].concat();
    let (run, text) = output(&world, &repository, &all);
    assert_eq!(text.matches("reached-").count(), 1, "{text}\n{run}");
    assert!(text.contains("reached-127.0.0.1 hello"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 403").count(), refused.len(), "{text}");
    assert_eq!(text.matches("HTTP/1.1 400").count(), bad.len(), "{text}");
    let transcript = world.run(["logs", "local/demo#1"]);
    for part in [
        "it can connect to the hosts of run.allow_hosts only".to_owned(),
        "the sandbox allows no connection to evil.example:443".to_owned(),
        format!("kugetsu config set run.allow_hosts '[\"localhost:{allowed}\", \"models\", \"evil.example\"]'"),
    ] {
        assert!(transcript.contains(&part), "{part}: {transcript}");
    }

    world.run(["config", "set", "run.network", "full"]);
    let (_, text) = output(&world, &repository, &attempts);
    assert_eq!(text.matches("reached-").count(), attempts.len(), "each succeeds in the machine's network: {text}");
}

#[test]
fn without_a_network_only_models_are_reached() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in upstream.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            sender.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
    });
    let (world, repository) = world("none", &["models".to_owned(), "packages".to_owned(), "example.com".to_owned()]);
    // The proxy of this machine, behind which kugetsu's is.
    world.run(["env", "set", "HTTPS_PROXY", &format!("http://{address}")]);
    let connect = |host: &str| format!("proxy \"CONNECT {host}:443 HTTP/1.1\\r\\nHost: {host}:443\\r\\n\\r\\n\"");
    let commands =
        [connect("api.openai.com"), connect("pypi.org"), connect("example.com"), "echo $https_proxy".to_owned()];
    let (run, text) = output(&world, &repository, &commands);
    assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "{text}\n{run}");
    assert_eq!(text.matches("HTTP/1.1 403").count(), 2, "{text}");
    assert!(text.contains("http://127.0.0.1:61001"), "{text}");
    assert!(requests.recv().unwrap().starts_with("CONNECT api.openai.com:443 HTTP/1.1\r\n"));
    let transcript = world.run(["logs", "local/demo#1"]);
    assert!(transcript.contains("with `allow-list` instead of `none` in run.network"), "{transcript}");
    requests.try_recv().unwrap_err();
}

#[test]
fn a_run_without_a_sandbox_says_that_its_network_is_not_restricted() {
    let world = World::new();
    world.run(["config", "set", "run.network", "allow-list"]);
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a"]));
    let transcript = world.run(["logs", "local/demo#1"]);
    let notice = "the network of the agent is not restricted, although run.network demands it: it has no sandbox";
    assert!(transcript.contains(notice), "{transcript}");
}

#[test]
fn wrong_hosts_are_refused_with_an_example() {
    let world = World::new();
    for value in ["example", "localhost", "http://example.com", "*", "a b.example"] {
        let refused = world.attempt(["config", "set", "run.allow_hosts", &format!("{:?}", [value])]);
        let error = String::from_utf8(refused.stderr).unwrap();
        let is_explained = error.contains("`*.example.com`") && error.contains("`localhost:<port>`");
        assert!(refused.status.code() == Some(2) && is_explained, "{value}: {error}");
    }
}

#[test]
fn open_connections_do_not_keep_a_run_from_its_end() {
    // It takes connections and never closes them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().take(1000).collect::<Vec<_>>());
    let (world, repository) = world("allow-list", &[format!("localhost:{port}")]);
    // Two descriptors for each of the connections would be too many for the runner.
    let limited = format!("ulimit -n 320; exec '{}' daemon start", env!("CARGO_BIN_EXE_kugetsu"));
    assert!(world.home.run_within(world.limit, world.home.command("sh").args(["-c", &limited])).status.success());
    let program = format!(
        "for i in $(seq 140); do exec {{fd}}<>/dev/tcp/127.0.0.1/{port} || exit; done\ntouch opened\nsleep 1000\n"
    );
    repository.commit_files("open connections", &[("open.sh", &program)]);
    let hold = "run bash open.sh > log 2>&1 & for i in $(seq 600); do test -e opened && break; sleep 0.1; done; cat log; \
                rm log opened && echo all are open";
    let (run, _) = world.start(&repository, &script(&[hold, "write a.txt a", "commit one"]));
    let tools = world.records("local/demo#1", "tool_ended");
    assert!(
        tools.iter().any(|tool| tool["output"].as_str().is_some_and(|text| text.contains("all are open"))),
        "{tools:?}"
    );
    assert_eq!((run["state"].as_str(), &run["pushed"]), (Some("done"), &true.into()), "{run}");
}
