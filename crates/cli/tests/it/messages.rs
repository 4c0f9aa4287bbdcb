//! The help and the messages of every command, one snapshot per command in `tests/snapshots`. CONTRIBUTING.md describes
//! how to review a change.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;

use kugetsu_testkit::eventually;

use crate::terminal::listed;
use crate::world::{World, script};

/// The snapshot of `kugetsu` without a command, or with one that does not exist.
const NO_COMMAND: &str = "kugetsu";
const UNKNOWN_COMMANDS: [&str; 2] = ["frobnicate", "lst"];

/// The recorded text of each command.
#[derive(Default)]
struct Recording(BTreeMap<String, String>);

/// Records what commands print. The output of one scenario stays together in each command's snapshot.
struct Recorder<'a> {
    recording: Recording,
    scenario: &'a str,
}

impl Recorder<'_> {
    /// Runs a command and records its output.
    fn run(&mut self, world: &World, directory: &Path, args: &[&str]) {
        let output = world.try_in(directory, args);
        self.record(world, args, &output);
    }

    fn record(&mut self, world: &World, args: &[&str], output: &Output) {
        let quoted = |arg: &&str| match arg.is_empty() || arg.contains([' ', '#', '"', '\n']) {
            true => format!("'{}'", arg.replace('\n', "\\n")),
            false => (*arg).to_owned(),
        };
        let typed: Vec<String> = ["kugetsu".to_owned()].into_iter().chain(args.iter().map(quoted)).collect();
        let code = output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let mut text = redact(world, &format!("$ {}  -> {code}\n", typed.join(" ")));
        for (mark, bytes) in [("", &output.stdout), ("! ", &output.stderr)] {
            // Printed only if something takes long: progress of git, and notices on stderr.
            let is_slow = |line: &str| {
                let step = line.trim_start_matches("TIME ").strip_prefix("· ");
                step.is_some_and(|step| step.starts_with("checking out ") || step.contains('%') || mark == "! ")
            };
            for line in redact(world, &String::from_utf8_lossy(bytes)).lines().filter(|line| !is_slow(line)) {
                text.push_str(format!("{mark}{line}").trim_end());
                text.push('\n');
            }
        }
        let command = args.first().copied().filter(|first| !UNKNOWN_COMMANDS.contains(first));
        self.recording.add(command.unwrap_or(NO_COMMAND), self.scenario, &text);
    }
}

impl Recording {
    fn add(&mut self, command: &str, scenario: &str, text: &str) {
        let recorded = self.0.entry(command.to_owned()).or_default();
        let head = format!("## {scenario}\n");
        if !recorded.contains(&head) {
            recorded.push_str(&format!("\n{head}"));
        }
        recorded.push_str(&format!("\n{text}"));
    }

    fn append(&mut self, other: Self) {
        for (command, text) in other.0 {
            self.0.entry(command).or_default().push_str(&text);
        }
    }
}

/// Replaces paths, identifiers, times and versions, which differ from run to run.
fn redact(world: &World, text: &str) -> String {
    let real = world.home.path().canonicalize().unwrap();
    let mut text = text.replace(real.to_str().unwrap(), "/t").replace(world.home.path().to_str().unwrap(), "/t");
    text = text.replace(kugetsu_testkit::scripted_agent().to_str().unwrap(), "/bin/scripted-agent");
    text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut out = String::new();
    // The size of the home is shown once it was measured.
    for line in text.split_inclusive('\n').filter(|line| !line.starts_with("the home has ")) {
        let words: Vec<String> = line.split(' ').map(|word| redact_line_number(&redact_word(word))).collect();
        let line = redact_ages_and_pids(&words.join(" "));
        // git's own messages differ between its versions, and the means of ending processes between machines.
        let cut =
            ["fatal: ", "; ends processes with "].into_iter().find_map(|mark| Some((line.split_once(mark)?.0, mark)));
        match cut {
            Some((own, mark)) => out.push_str(&format!("{own}{mark}...\n")),
            None => out.push_str(&line),
        }
    }
    out
}

/// Replaces ages such as `3 s` and process identifiers such as `(pid 42)`. Their width differs, so a table with ages is not
/// aligned in a snapshot.
fn redact_ages_and_pids(line: &str) -> String {
    let mut words: Vec<&str> = line.trim_end().split(' ').collect();
    for at in 1..words.len() {
        if words[at - 1] == "(pid" {
            words[at] = "PID)";
        }
        if matches!(words[at], "s" | "min") && words[at - 1].parse::<u32>().is_ok() {
            words[at - 1] = "AGE";
            words[at] = "";
        }
    }
    if !line.starts_with("ISSUE ") && !words.contains(&"AGE") && !words.contains(&"(pid") {
        return line.to_owned();
    }
    let cells = words.join(" ");
    let cells: Vec<&str> = cells.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    format!("{}\n", cells.join("  "))
}

/// Replaces a line number of two digits: it moves with every setting that the commented file gains.
fn redact_line_number(word: &str) -> String {
    let Some((path, rest)) = word.split_once("config.toml:") else { return word.to_owned() };
    let end = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() - end.len() < 2 { word.to_owned() } else { format!("{path}config.toml:LINE{end}") }
}

fn redact_word(word: &str) -> String {
    let bare = word.trim_end().trim_end_matches([';', ')', ',']);
    if bare.parse::<jiff::Timestamp>().is_ok() {
        return word.replace(bare, "TIME");
    }
    // Local times of transcripts and details.
    if bare.len() == 10 && bare.parse::<jiff::civil::Date>().is_ok() {
        return word.replace(bare, "DATE");
    }
    if bare.len() == 8 && bare.parse::<jiff::civil::Time>().is_ok() && bare.contains(':') {
        return word.replace(bare, "TIME");
    }
    let mut out = String::new();
    let mut part = String::new();
    for c in word.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || (c == '-' && part.len() >= 8) {
            part.push(c);
            continue;
        }
        out.push_str(&redact_token(&part));
        part.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn redact_token(part: &str) -> String {
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if part.len() == 36 && part.matches('-').count() == 4 && hex(&part.replace('-', "")) {
        return "ID".to_owned();
    }
    if part.len() == 32 && hex(part) {
        return "ID".to_owned();
    }
    if part.len() == 16 && part.ends_with('Z') && part.contains('T') {
        return "TIME".to_owned();
    }
    if (part.len() == 40 || part.len() == 12) && hex(part) && !digits(part) {
        return "COMMIT".to_owned();
    }
    part.to_owned()
}

fn wrong_arguments(recorder: &mut Recorder<'_>) {
    let world = World::bare();
    let here = world.home.user();
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["lst"],
        &["start"],
        &["start", ".", "x", "--agnet", "y"],
        &["start", ".", "x", "--priority", "many"],
        &["start", ".", "a", "b", "c"],
        &["continue"],
        &["continue", "."],
        &["destroy"],
        &["destroy", ".", "--base"],
        &["delegate"],
        &["delegate", "x", "--anyway", "--worktree", "#1"],
        &["set-pr", "."],
        &["why"],
        &["tools"],
        &["logs"],
        &["logs", ".", "--folow"],
        &["attach"],
        &["list", "x"],
        &["queue"],
        &["queue", "cancle", "."],
        &["queue", "cancel"],
        &["queue", "clean", "--older-than", "soon"],
        &["rescue"],
        &["rescue", "show"],
        &["config", "get"],
        &["config", "set", "agents.max"],
        &["env", "set", "A"],
        &["env", "rm"],
        &["daemon"],
        &["daemon", "reload"],
        &["daemon", "run", "--ready-fd", "77"],
        &["completions"],
        &["completions", "tcsh"],
        &["man", "--dir", "/dev/null/x"],
        &["help", "exitcodes"],
        &["help", "queue", "cancle"],
        &["help", "start", "x"],
        &["version", "x"],
        &["runner", "/t/none", "--lock", "99"],
    ];
    for args in cases {
        recorder.run(&world, &here, args);
    }
}

fn wrong_references(recorder: &mut Recorder<'_>) {
    let world = World::new();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    let folder = |name: &str| {
        let path = world.home.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let plain = folder("plain");
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let cases: &[&[&str]] = &[
        &["start", &text(&plain), "x"],
        &["start", "/no/such/place", "x"],
        &["start", "not a reference", "x"],
        &["start", "ext::sh -c true", "x"],
        &["start", "acme", "x"],
        &["start", "acme/api#", "x"],
        &["start", "acme/api#0", "x"],
        &["start", "https://github.com/acme/api", "x"],
        &["start", "https://github.com/acme/api/pull/7", "x"],
        &["start", "#12", "x"],
        &["start", "local/demo#9", "x"],
        &["start", "local/none#1", "x"],
        &["start", "http://127.0.0.1:1/a/b/issues/1", "x"],
        &["start", ".", ""],
        &["start", "."],
        &["start", ".", "do it", "not-an-address"],
        &["start", ".", "x", "https://bot:secret@git.example.com/a/b/pulls/3"],
        &["start", ".", "x", "--agent", "missing"],
        &["start", ".", "x", "--base", "-x"],
        &["start", ".", "x", "--after", "local/none#1"],
        &["continue", ".", "x"],
        &["continue", ".", ""],
        &["continue", "local/demo#1", "x"],
        &["continue", "ses_0123456789abcdef", "x"],
        &["push", "local/demo#1"],
        &["logs", "."],
        &["logs", "local/demo#9"],
        &["logs", "nonsense"],
        &["attach", "local/demo#9"],
        &["destroy", "local/demo#9", "-y"],
        &["destroy", ".", "-y"],
        &["queue", "show", "local/demo#9"],
        &["queue", "show", "0190b0b0-0000-7000-8000-000000000000"],
        &["queue", "cancel", "0190b0b0-0000-7000-8000-000000000000"],
        &["queue", "retry", "local/demo#9"],
        &["queue", "list"],
        &["queue", "list", "--all"],
        &["why", "local/demo#9"],
        &["why", "pm"],
        &["logs", "pm"],
        &["start", "pm", "x"],
        &["continue", "pm", "x"],
        &["push", "pm"],
        &["destroy", "pm", "-y"],
        &["delegate", ""],
        &["delegate", "x", "--worktree", "local/demo#9"],
        &["set-pr", "local/demo#9", "https://git.example.com/acme/api/pulls/3"],
        &["rescue", "list"],
        &["rescue", "list", "local/demo#9"],
        &["rescue", "show", "local/demo#9"],
        &["rescue", "restore", "local/demo#9"],
        &["list"],
    ];
    for args in cases {
        recorder.run(&world, &here, args);
    }
    recorder.run(&world, &plain, &["start", ".", "x"]);
    recorder.run(&world, &plain, &["start", "#12", "x"]);
    recorder.run(&world, &plain, &["logs", "."]);
}

fn issue_states(recorder: &mut Recorder<'_>) {
    let world = World::new();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    world.start(&repository, &script(&["say hello"]));
    for args in [
        &["start", "local/demo#1", "x", "--after", "local/demo#1"][..],
        &["queue", "cancel", "local/demo#1"],
        &["queue", "list", "--all"],
        &["queue", "show", "local/demo#1"],
        &["logs", "local/demo#1"],
        &["list"],
        &["status"],
        &["why", "local/demo#1"],
        &["set-pr", "local/demo#1", "not-an-address"],
        &["set-pr", "local/demo#1", "https://bot:secret@git.example.com/a/b/pulls/3"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3", "--remove"],
        &["set-pr", "local/demo#1", "--remove"],
        &["set-pr", "local/demo#1", "--remove"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3"],
        &["destroy", "local/demo#1", "-y"],
        &["delegate", "continue local/demo#1"],
        &["config", "set", "destroy.check_pr", "false"],
        &["attach", "local/demo#1"],
        &["destroy", "local/demo#1"],
        &["rescue", "show", "local/demo#1"],
        &["rescue", "restore", "local/demo#1"],
        &["destroy", "local/demo#1", "-y"],
        &["destroy", "local/demo#1", "-y"],
        &["continue", "local/demo#1", "x"],
        &["attach", "local/demo#1"],
        &["list"],
        &["list", "--all"],
    ] {
        recorder.run(&world, &here, args);
    }

    recorder.scenario = "Unpushed work";
    world.start(&repository, &script(&["write notes.txt x", "say done"]));
    for args in [
        &["destroy", "local/demo#2"][..],
        &["destroy", "local/demo#2", "--yes"],
        &["destroy", "local/demo#2", "--discard"],
        &["rescue", "list"],
        &["rescue", "show", "local/demo#2"],
        &["rescue", "show", "local/demo#2", "--rescue", "nothing"],
        &["rescue", "restore", "local/demo#2"],
        &["rescue", "restore", "local/demo#2", "--to", here.to_str().unwrap()],
    ] {
        recorder.run(&world, &here, args);
    }

    recorder.scenario = "Running issue";
    world.run(["config", "set", "agents.max", "1"]);
    let running = world.queue(&repository, &script(&["wait go", "say done"]));
    // The lists show its branch from then on.
    eventually("the session to open", || world.latest(&running)["session_id"].is_string());
    for args in [
        &["start", "local/demo#3", "x"][..],
        &["start", ".", "x", "--no-queue"],
        &["start", ".", "y"],
        &["list"],
        &["status"],
        &["queue", "list"],
        &["queue", "show", "local/demo#4"],
        &["queue", "retry", "local/demo#3"],
        &["attach", "local/demo#3"],
        &["attach", "local/demo#4"],
        &["destroy", "local/demo#3", "--discard"],
        &["destroy", "local/demo#4", "-y"],
        &["why", "local/demo#4"],
        &["start", "local/demo#4", "x", "--after", "local/demo#4"],
        &["destroy", "."],
        &["queue", "cancel", "local/demo#4"],
        &["queue", "cancel", "local/demo#4"],
    ] {
        recorder.run(&world, &here, args);
    }

    recorder.scenario = "Paused";
    for args in [
        &["pause"][..],
        &["pause"],
        &["start", ".", "y"],
        &["start", ".", "y", "--no-queue"],
        &["pause", "demo"],
        &["pause", "nowhere"],
        &["status"],
        &["queue", "list"],
        &["list"],
        &["why", "local/demo#5"],
        &["queue", "cancel", "local/demo#5"],
        &["resume", "local/demo#3"],
        &["resume"],
        &["resume"],
        &["resume", "local/demo"],
        &["resume", "local/demo"],
        &["resume", "--agent", "claude"],
        &["resume", "--agent", "nothing"],
        &["stop"],
        &["stop", "local/demo#5", "local/demo#9"],
    ] {
        recorder.run(&world, &here, args);
    }
    world.release_agents();
    world.await_state(&running, "done");
    recorder.scenario = "Running issue";
    recorder.run(&world, &here, &["queue", "retry", "local/demo#3"]);
}

fn runs_that_fail(recorder: &mut Recorder<'_>) {
    let world = World::new();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    // The order of the progress lines on stderr varies.
    let mut record_stdout = |args: &[&str]| {
        let output = world.try_in(&here, args);
        recorder.record(&world, args, &Output { stderr: Vec::new(), ..output });
    };
    for steps in [&["refuse"][..], &["say only talk", "crash"], &["error something broke"]] {
        record_stdout(&["start", ".", &script(steps), "--wait"]);
    }
    record_stdout(&["start", ".", "x", "--base", "nowhere", "--wait"]);
    world.run(["config", "set", "run.silence", "1s"]);
    record_stdout(&["start", ".", &script(&["hang"]), "--wait"]);
}

fn wrong_settings(recorder: &mut Recorder<'_>) {
    let world = World::bare();
    let here = world.home.user();
    for args in [
        &["config", "get", "agent.max"][..],
        &["config", "set", "agent.max", "3"],
        &["config", "set", "agents.max", "many"],
        &["config", "set", "agent.permissions", "yes"],
        &["config", "set", "agent.default", ""],
        &["config", "set", "agent.default", "opencoed"],
        &["config", "unset", "agent.default"],
        &["config", "set", "run.timeout", "60"],
        &["config", "set", "run.timeout", "0s"],
        &["config", "set", "run.timeout", "900d"],
        &["config", "set", "run.temp_dir", "tmp"],
        &["config", "set", "destroy.check_pr", "maybe"],
        &["config", "set", "pm.cage", "on"],
        &["config", "set", "server.default", "gone"],
        &["config", "set", "servers.work.kind", "gitea"],
        &["config", "set", "servers.work.url", "https://bot:secret@git.example.com"],
        &["config", "set", "agents.mine.args", "acp"],
        &["config", "set", "agents.mine.program", "./agent"],
        &["env", "set", "1X", "v"],
        &["env", "set", "A B", "v"],
        &["env", "set", "A", "v", "../x"],
        &["env", "get", "MISSING"],
        &["env", "rm", "MISSING"],
        &["env", "show", "../x"],
        &["env", "show", "missing"],
        &["env", "list"],
        &["destroy", "--base"],
        &["destroy", "--pm-agent"],
    ] {
        recorder.run(&world, &here, args);
    }
    world.run(["config", "set", "agents.max", "3"]);
    let file = world.home.kugetsu().join("config.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let mistakes = "[run]\nsilence = \"soon\"\ntimout = \"1h\"\n[agents]\nmax = \"3\"\n[agents.mine]\nargs = []\n\
                    [servers.work]\nurl = 3\n[sever]\ndefault = \"x\"\n";
    std::fs::write(&file, mistakes).unwrap();
    for args in [&["config", "list"][..], &["status"], &["config", "set", "agents.max", "3"]] {
        recorder.run(&world, &here, args);
    }
    std::fs::write(&file, "[run]\nsilence = \n").unwrap();
    for args in [&["config", "list"][..], &["status"], &["config", "set", "agents.max", "3"]] {
        recorder.run(&world, &here, args);
    }
    std::fs::write(&file, good).unwrap();
    std::fs::write(world.home.kugetsu().join("repos.json"), "[]").unwrap();
    recorder.run(&world, &here, &["config", "list"]);
    std::fs::remove_file(world.home.kugetsu().join("repos.json")).unwrap();
    let old =
        "MAX_CONCURRENT_AGENTS=many\nQUEUE_DAEMON_INTERVAL_MINUTES=5\nOTHER=1\nif x; then\nKUGETSU_TEMP_DIR=tmp\n";
    std::fs::write(world.home.kugetsu().join("config"), old).unwrap();
    recorder.run(&world, &here, &["config", "get", "agents.max"]);
    let listed = world.attempt(["config", "list"]);
    recorder.record(&world, &["config", "list"], &Output { stdout: Vec::new(), ..listed });
    let mut command = world.command(&here, ["config", "list"]);
    let output = world.home.run(command.env("KUGETSU_AGENTS_MAX", "lots"));
    recorder.record(&world, &["config", "list"], &output);
}

fn servers(recorder: &mut Recorder<'_>) {
    let world = World::bare();
    let here = world.home.user();
    std::fs::set_permissions(world.home.kugetsu(), Permissions::from_mode(0o700)).unwrap();
    for args in [
        &["init"][..],
        &["init"],
        &["init", "--force"],
        &["server", "add", "local", "https://git.example.com"],
        &["server", "add", "work", "https://"],
        &["server", "add", "work", "https://bot:secret@git.example.com"],
        &["server", "add", "work", "https://git.example.com", "--kind", "svn"],
        &["server", "add", "work", "https://git.example.com", "--kind", "gitea", "--token-env", "1X"],
        &["server", "add", "work", "http://127.0.0.1:1"],
        &["server", "add", "work", "https://git.example.com", "--kind", "gitea"],
        &["server", "add", "work", "https://other.example.com", "--kind", "gitea"],
        &["server", "list"],
        &["server", "get", "wrok"],
        &["server", "get", "work"],
        &["server", "default"],
        &["server", "default", "work"],
        &["server", "remove", "work"],
        &["server", "default", "github.com"],
        &["server", "remove", "work"],
        &["server", "remove", "github.com"],
        &["env", "set", "MY_MODE", "quiet"],
        &["env", "set", "MY_TOKEN", "0123456789"],
        &["env", "show"],
        &["env", "get", "MY_MODE"],
        &["env", "rm", "MY_MODE"],
        &["config", "get", "agents.max"],
        &["version"],
    ] {
        recorder.run(&world, &here, args);
    }
}

fn watches(recorder: &mut Recorder<'_>) {
    let world = World::new();
    let here = world.home.user();
    world.run(["server", "add", "work", "https://git.example.com", "--kind", "gitea"]);
    for args in [
        &["watch", "list"][..],
        &["watch", "run-once"],
        &["watch", "run-once", "--dry-run"],
        &["watch", "run-once", "api"],
        &["watch", "run-once", "api", "--dry-run"],
        &["watch", "rm", "api"],
        &["watch", "pause", "api"],
        &["watch", "add", "https://git.example.com/acme/api"],
        &["watch", "add", "https://git.example.com/acme/api", "--trust", "all the others"],
        &["watch", "add", "https://git.example.com/acme/api", "--name", "a.b"],
        &["watch", "add", "https://git.example.com/acme/api", "--agent", "scriptd"],
        &["watch", "add", "https://git.example.com/acme/api/issues/1"],
        &["watch", "add", "https://unknown.example.com/acme/api"],
        &["watch", "add", "local/shop"],
        &["watch", "add", "."],
        &["why", "https://git.example.com/acme/api/issues/1"],
    ] {
        recorder.run(&world, &here, args);
    }
}

fn unusable_machine(recorder: &mut Recorder<'_>) {
    let mut world = World::bare();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    // A machine with git and without any agent.
    let programs = world.home.folder("programs");
    let search_path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&search_path).map(|path| path.join("git")).find(|git| git.is_file()).unwrap();
    std::os::unix::fs::symlink(git, programs.join("git")).unwrap();
    world.home.set("PATH", &programs);
    recorder.run(&world, &here, &["start", ".", "x"]);
    recorder.run(&world, &here, &["daemon", "stop"]);
    recorder.run(&world, &here, &["daemon", "stop"]);
    recorder.run(&world, &here, &["daemon", "status"]);
    world.home.set("PATH", "/nowhere");
    recorder.run(&world, &here, &["daemon", "start"]);
    world.home.set("PATH", &programs);
    let home = world.home.kugetsu();
    std::fs::remove_dir_all(home.join("state")).unwrap();
    std::fs::create_dir(home.join("state")).unwrap();
    std::fs::write(home.join("state/kugetsu.db"), "this is no database, and long enough to be one".repeat(50)).unwrap();
    recorder.run(&world, &here, &["status"]);
    std::fs::remove_file(home.join("state/kugetsu.db")).unwrap();
    std::fs::write(home.join("daemon.sock"), "").unwrap();
    recorder.run(&world, &here, &["status"]);
    let file = world.home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    world.home.set("KUGETSU_HOME", file.join("home"));
    recorder.run(&world, &here, &["status"]);
    recorder.run(&world, &here, &["config", "set", "agents.max", "3"]);
    world.home.unset("KUGETSU_HOME");
    world.home.unset("HOME");
    recorder.run(&world, &here, &["list"]);

    let world = World::new();
    let repository = world.repository("demo");
    let mut command = world.command(repository.path(), ["start", ".", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"caf\xe9").unwrap();
    recorder.record(&world, &["start", ".", "-"], &child.wait_with_output().unwrap());
    let gone = world.home.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let mut shell = world.home.command("sh");
    let typed = format!(
        "cd '{}' && rmdir '{}' && exec '{}' start . x",
        gone.display(),
        gone.display(),
        env!("CARGO_BIN_EXE_kugetsu")
    );
    recorder.record(&world, &["start", ".", "x"], &world.home.run(shell.args(["-c", &typed])));
}

/// Every visible command with its visible subcommands, as `kugetsu help` lists them.
fn help(recorder: &mut Recorder<'_>) {
    let world = World::bare();
    let here = world.home.user();
    for command in listed(&world, &[]) {
        recorder.run(&world, &here, &[&command, "--help"]);
        for subcommand in listed(&world, &[&command]) {
            recorder.run(&world, &here, &[&command, &subcommand, "--help"]);
        }
    }
}

type Scenario = fn(&mut Recorder<'_>);

#[test]
fn help_and_messages_match_their_snapshots() {
    let scenarios: [(&str, Scenario); 9] = [
        ("Help", help),
        ("Wrong arguments", wrong_arguments),
        ("Wrong references", wrong_references),
        ("Finished issue", issue_states),
        ("Runs that fail", runs_that_fail),
        ("Wrong settings", wrong_settings),
        ("Servers and variables", servers),
        ("Watches", watches),
        ("Unusable machine", unusable_machine),
    ];
    let recordings: Vec<Recording> = thread::scope(|scope| {
        let threads = scenarios.map(|(scenario, record)| {
            scope.spawn(move || {
                let mut recorder = Recorder { recording: Recording::default(), scenario };
                record(&mut recorder);
                recorder.recording
            })
        });
        threads.map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    let mut all = Recording::default();
    recordings.into_iter().for_each(|recording| all.append(recording));

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description("The number is the exit code; `!` marks stderr.");
    let _bound = settings.bind_to_scope();
    // Every changed snapshot is shown, not only the first.
    let changed = |(command, text): &(&String, &String)| {
        catch_unwind(|| insta::assert_snapshot!(command.as_str(), text.trim_start())).is_err()
    };
    let changed: Vec<&String> = all.0.iter().filter(changed).map(|(command, _)| command).collect();
    assert!(changed.is_empty(), "changed snapshots: {changed:?}");
    let stale: Vec<String> = snapshots().into_iter().filter(|command| !all.0.contains_key(command)).collect();
    assert!(stale.is_empty(), "snapshots of commands that are gone: {stale:?}");
}

/// The commands that have a snapshot.
fn snapshots() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".snap").map(str::to_owned)).collect()
}
