//! Agents without a sandbox, which can open the daemon's socket and write kugetsu's files: what they claim is not
//! believed, and what they order is not done.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::world::{World, script};

/// Sends a request over a unix socket: `request.py SOCKET METHOD TARGET BODY [KEY]`. Prints the status and the body.
const REQUEST: &str = r#"
import socket, sys
path, method, target, body = sys.argv[1:5]
key = "".join("kugetsu-run-key: %s\r\n" % key for key in sys.argv[5:])
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
head = "%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n"
connection.sendall((head % (method, target, key, len(body)) + body).encode())
response = connection.makefile(encoding="utf-8", newline="").read()
print("status", response.split()[1], response.split("\r\n\r\n", 1)[1])
"#;

struct Stage {
    world: World,
    program: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let program = world.home.user().join("request.py");
        fs::write(&program, REQUEST).unwrap();
        Self { world, program }
    }

    /// The command for a shell that sends a request.
    fn request(&self, method: &str, target: &str, body: &str) -> String {
        let socket = self.world.home.kugetsu().join("daemon.sock");
        format!("python3 '{}' '{}' {method} \"{target}\" '{body}'", self.program.display(), socket.display())
    }

    /// Sends a request as a process of no run.
    fn send(&self, method: &str, target: &str, body: &str) -> String {
        let output = self.world.home.command("sh").args(["-c", &self.request(method, target, body)]).output().unwrap();
        assert!(output.status.success(), "{}", crate::world::shown(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The report of a runner whose work is done and pushed.
fn forged_report() -> String {
    let ended = json!({
        "end": 1_000_000, "type": "ended", "state": "done", "reason": "all is well", "head_sha": "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "commits": 3, "pushed": true, "usage": {"cost_usd": null, "input_tokens": null, "output_tokens": null},
    });
    json!({"facts": [ended], "length": 1_000_000}).to_string()
}

/// The outputs of an agent's commands.
fn outputs(world: &World, reference: &str) -> Vec<String> {
    let tools = world.records(reference, "tool_ended");
    tools.iter().filter_map(|tool| Some(tool["output"].as_str()?.trim().to_owned())).collect()
}

fn is_honest(run: &Value) {
    assert_eq!((&run["state"], &run["commits"]), (&"done".into(), &1.into()), "{run}");
}

#[test]
fn report_of_an_agent_is_refused() {
    let stage = Stage::new();
    let world = &stage.world;
    let repository = world.repository("demo");
    let other = world.queue(&repository, &script(&["say ready", "wait go", "write b.txt b", "commit two"]));
    crate::crashes::await_ready(world, &other);
    let other_run = world.latest(&other)["run"].as_str().unwrap().to_owned();
    let own = "/v1/runs/${KUGETSU_RUN%%.*}";
    let reports = [
        stage.request("POST", &format!("{own}/facts"), &forged_report()),
        stage.request("POST", &format!("{own}/facts"), &forged_report()) + &format!(" {}", "0".repeat(64)),
        stage.request("POST", &format!("/v1/runs/{other_run}/facts"), &forged_report()),
        stage.request("POST", &format!("{own}/report?offset=1000000"), &forged_report()),
        stage.request("GET", &format!("{own}/orders"), ""),
        stage.request("GET", &format!("{own}/issue"), ""),
    ];
    let mut steps: Vec<String> = reports.iter().map(|report| format!("run {report}")).collect();
    steps.extend(["write a.txt a", "commit one"].map(str::to_owned));
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (run, _) = world.start(&repository, &script(&steps));
    is_honest(&run);
    let outputs = outputs(world, "local/demo#2");
    for output in &outputs[..reports.len()] {
        assert!(output.starts_with("status 403") && output.contains("only the runner of run"), "{output}");
    }
    // Nor of another process that has no key.
    let refused = stage.send("POST", &format!("/v1/runs/{other_run}/facts"), &forged_report());
    assert!(refused.starts_with("status 403"), "{refused}");
    assert_eq!(world.latest(&other)["state"], "running");
    world.release_agents();
    is_honest(&world.await_state(&other, "done"));
    let log = fs::read_to_string(world.home.kugetsu().join("logs/daemon.log")).unwrap();
    assert_eq!(log.matches("refused a request that only the runner").count(), 2, "once per run: {log}");
}

#[test]
fn end_that_an_agent_has_written_into_its_records_is_not_believed() {
    let stage = Stage::new();
    let world = &stage.world;
    let repository = world.repository("demo");
    let report: Value = serde_json::from_str(&forged_report()).unwrap();
    let mut ended = report["facts"][0].clone();
    ended["at"] = 0.into();
    let (once, records) = (world.home.user().join("once"), world.home.kugetsu().join("runs"));
    // The shell's parent is the agent, whose parent is the runner.
    let forge = format!(
        "run if mkdir '{}'; then echo '{ended}' >> '{}'/${{KUGETSU_RUN%%.*}}/records.jsonl; \
         kill -9 $(ps -o ppid= -p $PPID); sleep 600; fi",
        once.display(),
        records.display()
    );
    let (run, _) = world.start(&repository, &script(&[&forge, "write a.txt a", "commit one"]));
    assert!(once.is_dir());
    is_honest(&run);
    assert_eq!(fs::read_dir(&records).unwrap().count(), 2, "the first attempt is lost");
}

#[test]
fn orders_of_an_agent_are_refused() {
    let stage = Stage::new();
    let world = &stage.world;
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let kugetsu = env!("CARGO_BIN_EXE_kugetsu");
    let daemon = world.daemon();
    let home = world.home.kugetsu();
    let settings = fs::read_to_string(home.join("config.toml")).unwrap();
    let destroy =
        stage.request("POST", "/v1/issue/destroy", r#"{"reference":"local/demo#1","cwd":"/","discard":true}"#);
    let refused = [
        format!("'{kugetsu}' destroy local/demo#1 --discard 2>&1; echo exit $?"),
        format!("'{kugetsu}' config set agents.max 9 2>&1; echo exit $?"),
        format!("'{kugetsu}' stop --all 2>&1; echo exit $?"),
        format!("'{kugetsu}' list 2>&1; echo exit $?"),
        destroy.clone(),
        stage.request("POST", "/v1/runs/stop", r#"{"all":true,"cwd":"/"}"#),
        stage.request("POST", "/v1/stop", "{}"),
        stage.request("GET", "/v1/issues", ""),
        stage.request("GET", "/v1/transcript?reference=local/demo%231&cwd=/", ""),
        // The runner adopts the orphan.
        format!(
            "(env -i PATH=\"$PATH\" setsid {destroy} > orphan 2>&1 &); while ! grep -qs status orphan; do sleep 0.05; done; cat orphan; rm orphan"
        ),
    ];
    let mut steps: Vec<String> = refused.iter().map(|command| format!("run {command}")).collect();
    // What is no order is answered.
    steps.push(format!("run '{kugetsu}' help exit-codes; {}", stage.request("GET", "/v1/health", "")));
    steps.extend(["write b.txt b", "commit two"].map(str::to_owned));
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (run, _) = world.start(&repository, &script(&steps));
    is_honest(&run);
    let outputs = outputs(world, "local/demo#2");
    for (command, output) in refused.iter().zip(&outputs) {
        assert!(output.contains("an agent of local/demo#2 may not use kugetsu"), "{command}: {output}");
        assert!(output.contains("exit 1") || output.starts_with("status 403"), "{command}: {output}");
    }
    let answered = &outputs[refused.len()];
    assert!(answered.contains("Exit codes") && answered.contains("status 200"), "{answered}");
    assert_eq!(world.daemon(), daemon);
    assert_eq!(fs::read_to_string(home.join("config.toml")).unwrap(), settings);
    assert!(PathBuf::from(first["worktree"].as_str().unwrap()).join("a.txt").exists());

    // A person gives the same orders.
    assert!(stage.send("GET", "/v1/issues", "").starts_with("status 200"));
    world.run(["config", "set", "agents.max", "9"]);
    assert_ne!(fs::read_to_string(home.join("config.toml")).unwrap(), settings);
    let destroyed = stage.send("POST", "/v1/issue/destroy", r#"{"reference":"local/demo#1","cwd":"/","discard":true}"#);
    assert!(destroyed.starts_with("status 200"), "{destroyed}");
    assert!(!PathBuf::from(first["worktree"].as_str().unwrap()).exists());
}
