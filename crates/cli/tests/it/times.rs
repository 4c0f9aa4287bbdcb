//! Times in JSON: in UTC and with milliseconds, in every command and in every response of the daemon.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::world::{World, script};

/// Checks every time in a text with JSON, and returns how many there are.
#[track_caller]
fn check_times(source: &str, text: &str) -> usize {
    let mut times = 0;
    let mut parts = ["", "", ""];
    for part in text.split('"') {
        parts = [parts[1], parts[2], part];
        let [field, colon, value] = parts;
        let is_time_field = colon.trim() == ":" && (field == "at" || field.ends_with("_at"));
        if is_time_field || shape(value).starts_with("0000-00-00") {
            assert_eq!(shape(value), "0000-00-00T00:00:00.000Z", "{source}: {field}: {value}");
            times += 1;
        }
    }
    times
}

fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

fn get(world: &World, path: &str) -> String {
    let mut socket = UnixStream::connect(world.home.kugetsu().join("daemon.sock")).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: kugetsu\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{path}: {response}");
    response
}

#[test]
fn times_in_json_have_milliseconds_in_utc() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    world.start(&repository, &script(&["write left.txt left"]));
    world.run(["config", "set", "agents.max", "0"]);
    let reference = world.queue(&repository, &script(&["say later"]));
    let (mut checked, mut without) = (0, Vec::new());
    for command in [
        "list --all",
        "queue list --all",
        "queue show local/demo#1",
        "queue retry local/demo#2",
        "queue cancel local/demo#2",
        "status",
        "daemon status",
        "why local/demo#2",
        "logs local/demo#1",
        "diff local/demo#1",
        "rescue list",
        "rescue show local/demo#2",
        "repo list",
        "doctor",
        "db check",
        "config list",
        "env list",
        "server list",
        "version",
        "rescue restore local/demo#2 --to restored",
        "destroy local/demo#1 --yes",
        "queue clean --older-than 90d",
        "gc --dry-run",
    ] {
        let output = world.attempt(command.split(' ').chain(["--json"]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        // Records have milliseconds since 1970 as numbers.
        match check_times(command, &text) {
            0 => without.push(command),
            times => checked += times,
        }
    }
    let known = ["why local/demo#2", "logs local/demo#1", "diff local/demo#1", "repo list", "doctor", "db check"];
    assert!(without.starts_with(&known), "these commands print no time: {without:?}");
    assert!(checked > 30, "{checked}");
    let reference = reference.replace('/', "%2F").replace('#', "%23");
    for path in [
        "/v1/status",
        "/v1/tasks?all=true",
        "/v1/issues",
        "/v1/events?after=0",
        &format!("/v1/issue?cwd=%2F&reference={reference}"),
        &format!("/v1/issue/task?cwd=%2F&reference={reference}"),
        "/v1/rescues",
    ] {
        assert!(check_times(path, &get(&world, path)) > 0, "{path}");
    }
}

#[test]
fn times_on_the_screen_are_local() {
    let mut world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    // POSIX: nine hours east of Greenwich.
    let mut shown = ["UTC0", "KST-9"].map(|zone| {
        world.home.set("TZ", zone);
        let task = world.run(["queue", "show", "local/demo#1"]);
        let queued = task.lines().find_map(|line| line.trim().strip_prefix("queued")).unwrap();
        let logs = world.run(["logs", "local/demo#1"]);
        let (date, lines) = logs.split_once('\n').unwrap();
        let logged = format!("{date} {}", &lines[..8]);
        [queued.trim(), &logged].map(|time| time.parse::<jiff::civil::DateTime>().unwrap_or_else(|_| panic!("{time}")))
    });
    let [utc, east] = &mut shown;
    for (utc, east) in utc.iter().zip(east) {
        assert_eq!((*east - *utc).total(jiff::Unit::Hour).unwrap(), 9.0, "{utc} {east}");
    }
}
