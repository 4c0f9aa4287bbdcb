//! Everything that goes wrong in one file, `tests/data/messages.txt`: the command, its exit code, and every word that it
//! says. Read it as a whole when a message changes; `KUGETSU_UPDATE=1` writes it anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::world::{World, script};

/// What was said so far.
#[derive(Default)]
struct Book(String);

impl Book {
    fn chapter(&mut self, title: &str) {
        write!(self.0, "\n## {title}\n").unwrap();
    }

    /// Runs a command and writes down what it says.
    fn say(&mut self, world: &World, directory: &Path, words: &[&str]) {
        let output = world.try_in(directory, words);
        self.write(world, words, &output);
    }

    fn write(&mut self, world: &World, words: &[&str], output: &Output) {
        let quoted = |word: &&str| match word.is_empty() || word.contains([' ', '#', '"', '\n']) {
            true => format!("'{}'", word.replace('\n', "\\n")),
            false => (*word).to_owned(),
        };
        let typed: Vec<String> = words.iter().map(quoted).collect();
        let code = output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let said = format!("\n$ kugetsu {}   -> {code}\n", typed.join(" "));
        self.0.push_str(&plain(world, &said));
        for (mark, bytes) in [("", &output.stdout), ("! ", &output.stderr)] {
            for line in plain(world, &String::from_utf8_lossy(bytes)).lines() {
                self.0.push_str(format!("{mark}{line}").trim_end());
                self.0.push('\n');
            }
        }
    }
}

/// The text without what differs from run to run.
fn plain(world: &World, text: &str) -> String {
    let real = world.home.path().canonicalize().unwrap();
    let mut text = text.replace(real.to_str().unwrap(), "/t").replace(world.home.path().to_str().unwrap(), "/t");
    text = text.replace(kugetsu_testkit::scripted_agent().to_str().unwrap(), "/bin/scripted-agent");
    text = text.replace(concat!("kugetsu ", env!("CARGO_PKG_VERSION")), "kugetsu VERSION");
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let words: Vec<String> = line.split(' ').map(word).collect();
        let line = words.join(" ");
        // What git itself says differs between its versions.
        match line.split_once("fatal: ") {
            Some((own, _)) => out.push_str(&format!("{own}fatal: ...\n")),
            None => out.push_str(&line),
        }
    }
    out
}

/// A word without identifiers, times, ports and commits in it.
fn word(word: &str) -> String {
    let mut out = String::new();
    let mut part = String::new();
    for c in word.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || (c == '-' && part.len() >= 8) {
            part.push(c);
            continue;
        }
        out.push_str(&named(&part));
        part.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn named(part: &str) -> String {
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

fn wrong_words(book: &mut Book) {
    book.chapter("The command itself is wrong");
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
        &["daemon", "restart"],
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
    for words in cases {
        book.say(&world, &here, words);
    }
}

fn wrong_references(book: &mut Book) {
    book.chapter("The issue or the repository is wrong");
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
        &["start", ".", "x", "not-an-address"],
        &["start", ".", "x", "https://bot:secret@git.example.com/a/b/pulls/3"],
        &["start", ".", "x", "--agent", "nobody"],
        &["start", ".", "x", "--base", "-x"],
        &["start", ".", "x", "--after", "local/none#1"],
        &["continue", ".", "x"],
        &["continue", ".", ""],
        &["continue", "local/demo#1", "x"],
        &["continue", "ses_0123456789abcdef", "x"],
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
    for words in cases {
        book.say(&world, &here, words);
    }
    book.say(&world, &plain, &["start", ".", "x"]);
    book.say(&world, &plain, &["start", "#12", "x"]);
    book.say(&world, &plain, &["logs", "."]);
}

fn wrong_moments(book: &mut Book) {
    book.chapter("It cannot be done now");
    let world = World::new();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    world.start(&repository, &script(&["say hello"]));
    for words in [
        &["start", "local/demo#1", "x", "--after", "local/demo#1"][..],
        &["queue", "cancel", "local/demo#1"],
        &["why", "local/demo#1"],
        &["set-pr", "local/demo#1", "not-an-address"],
        &["set-pr", "local/demo#1", "https://bot:secret@git.example.com/a/b/pulls/3"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3", "--remove"],
        &["set-pr", "local/demo#1", "--remove"],
        &["set-pr", "local/demo#1", "--remove"],
        &["set-pr", "local/demo#1", "https://git.example.com/acme/api/pulls/3"],
        &["destroy", "local/demo#1", "-y"],
        &["delegate", "go on with local/demo#1"],
        &["config", "set", "destroy.check_change", "false"],
        &["attach", "local/demo#1"],
        &["destroy", "local/demo#1"],
        &["rescue", "show", "local/demo#1"],
        &["rescue", "restore", "local/demo#1"],
        &["destroy", "local/demo#1", "-y"],
        &["destroy", "local/demo#1", "-y"],
        &["continue", "local/demo#1", "x"],
        &["attach", "local/demo#1"],
    ] {
        book.say(&world, &here, words);
    }

    book.chapter("There is work that nobody else has");
    world.start(&repository, &script(&["write notes.txt x", "say done"]));
    for words in [
        &["destroy", "local/demo#2"][..],
        &["destroy", "local/demo#2", "--yes"],
        &["destroy", "local/demo#2", "--discard"],
        &["rescue", "show", "local/demo#2", "--rescue", "nothing"],
        &["rescue", "restore", "local/demo#2", "--to", here.to_str().unwrap()],
    ] {
        book.say(&world, &here, words);
    }

    book.chapter("A run goes on");
    world.run(["config", "set", "agents.max", "1"]);
    let running = world.queue(&repository, &script(&["wait go", "say done"]));
    world.await_state(&running, "running");
    for words in [
        &["start", "local/demo#3", "x"][..],
        &["start", ".", "x", "--no-queue"],
        &["start", ".", "y"],
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
        book.say(&world, &here, words);
    }
    world.open_gate();
    world.await_state(&running, "done");
    book.say(&world, &here, &["queue", "retry", "local/demo#3"]);
}

fn runs_that_fail(book: &mut Book) {
    book.chapter("Runs that do not end well");
    let world = World::new();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    // What is told meanwhile depends on who is quicker.
    let mut end = |words: &[&str]| {
        let output = world.try_in(&here, words);
        book.write(&world, words, &Output { stderr: Vec::new(), ..output });
    };
    for steps in [&["refuse"][..], &["say only talk", "crash"], &["error something broke"]] {
        end(&["start", ".", &script(steps), "--wait"]);
    }
    end(&["start", ".", "x", "--base", "nowhere", "--wait"]);
    world.run(["config", "set", "run.silence", "1s"]);
    end(&["start", ".", &script(&["hang"]), "--wait"]);
}

fn wrong_settings(book: &mut Book) {
    book.chapter("Settings");
    let world = World::bare();
    let here = world.home.user();
    for words in [
        &["config", "get", "agent.max"][..],
        &["config", "set", "agent.max", "3"],
        &["config", "set", "agents.max", "many"],
        &["config", "set", "agent.permissions", "yes"],
        &["config", "set", "agent.default", ""],
        &["config", "set", "run.timeout", "60"],
        &["config", "set", "run.timeout", "0s"],
        &["config", "set", "run.timeout", "900d"],
        &["config", "set", "run.temp_dir", "tmp"],
        &["config", "set", "destroy.check_change", "maybe"],
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
        &["env", "show", "nobody"],
        &["env", "list"],
        &["destroy", "--base"],
        &["destroy", "--pm-agent"],
    ] {
        book.say(&world, &here, words);
    }
    world.run(["config", "set", "agents.max", "3"]);
    let file = world.home.kugetsu().join("config.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let mistakes = "[run]\nsilence = \"soon\"\ntimout = \"1h\"\n[agents]\nmax = \"3\"\n[agents.mine]\nargs = []\n\
                    [servers.work]\nurl = 3\n[sever]\ndefault = \"x\"\n";
    std::fs::write(&file, mistakes).unwrap();
    for words in [&["config", "list"][..], &["status"], &["config", "set", "agents.max", "3"]] {
        book.say(&world, &here, words);
    }
    std::fs::write(&file, "[run]\nsilence = \n").unwrap();
    for words in [&["config", "list"][..], &["status"], &["config", "set", "agents.max", "3"]] {
        book.say(&world, &here, words);
    }
    std::fs::write(&file, good).unwrap();
    std::fs::write(world.home.kugetsu().join("repos.json"), "[]").unwrap();
    book.say(&world, &here, &["config", "list"]);
    std::fs::remove_file(world.home.kugetsu().join("repos.json")).unwrap();
    let old =
        "MAX_CONCURRENT_AGENTS=many\nQUEUE_DAEMON_INTERVAL_MINUTES=5\nOTHER=1\nif x; then\nKUGETSU_TEMP_DIR=tmp\n";
    std::fs::write(world.home.kugetsu().join("config"), old).unwrap();
    book.say(&world, &here, &["config", "get", "agents.max"]);
    let listed = world.attempt(["config", "list"]);
    book.write(&world, &["config", "list"], &Output { stdout: Vec::new(), ..listed });
    let mut command = world.command(&here, ["config", "list"]);
    let output = world.home.run(command.env("KUGETSU_AGENTS_MAX", "lots"));
    book.write(&world, &["config", "list"], &output);
}

fn wrong_machines(book: &mut Book) {
    book.chapter("The machine is not as it should be");
    let mut world = World::bare();
    let repository = world.repository("demo");
    let here = repository.path().to_owned();
    // A machine with git and without any agent.
    let programs = world.home.folder("programs");
    let search_path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&search_path).map(|path| path.join("git")).find(|git| git.is_file()).unwrap();
    std::os::unix::fs::symlink(git, programs.join("git")).unwrap();
    world.home.set("PATH", &programs);
    book.say(&world, &here, &["start", ".", "x"]);
    book.say(&world, &here, &["daemon", "stop"]);
    book.say(&world, &here, &["daemon", "stop"]);
    book.say(&world, &here, &["daemon", "status"]);
    world.home.set("PATH", "/nowhere");
    book.say(&world, &here, &["daemon", "start"]);
    world.home.set("PATH", &programs);
    let home = world.home.kugetsu();
    std::fs::remove_dir_all(home.join("state")).unwrap();
    std::fs::create_dir(home.join("state")).unwrap();
    std::fs::write(home.join("state/kugetsu.db"), "this is no database, and long enough to be one".repeat(50)).unwrap();
    book.say(&world, &here, &["status"]);
    std::fs::remove_file(home.join("state/kugetsu.db")).unwrap();
    std::fs::write(home.join("daemon.sock"), "").unwrap();
    book.say(&world, &here, &["status"]);
    let file = world.home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    world.home.set("KUGETSU_HOME", file.join("home"));
    book.say(&world, &here, &["status"]);
    book.say(&world, &here, &["config", "set", "agents.max", "3"]);
    world.home.unset("KUGETSU_HOME");
    world.home.unset("HOME");
    book.say(&world, &here, &["list"]);

    let world = World::new();
    let repository = world.repository("demo");
    let mut command = world.command(repository.path(), ["start", ".", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"caf\xe9").unwrap();
    book.write(&world, &["start", ".", "-"], &child.wait_with_output().unwrap());
    let gone = world.home.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let mut shell = world.home.command("sh");
    let typed = format!(
        "cd '{}' && rmdir '{}' && exec '{}' start . x",
        gone.display(),
        gone.display(),
        env!("CARGO_BIN_EXE_kugetsu")
    );
    book.write(&world, &["start", ".", "x"], &world.home.run(shell.args(["-c", &typed])));
}

#[test]
fn every_message_is_in_the_book() {
    let mut book = Book("# What kugetsu says when it cannot do what was typed\n".to_owned());
    book.0.push_str(
        "\nMade by `KUGETSU_UPDATE=1 cargo test -p kugetsu messages`. The number is the exit code, `!` is stderr.\n",
    );
    wrong_words(&mut book);
    wrong_references(&mut book);
    wrong_moments(&mut book);
    runs_that_fail(&mut book);
    wrong_settings(&mut book);
    wrong_machines(&mut book);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages.txt");
    if std::env::var_os("KUGETSU_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &book.0).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(book.0.lines()).enumerate().find(|(_, (known, now))| known != now);
    if let Some((line, (known, now))) = differs {
        panic!(
            "{}:{}: a message changed (KUGETSU_UPDATE=1 takes it)\n  was: {known}\n  is:  {now}",
            path.display(),
            line + 1
        );
    }
    assert!(known == book.0, "{}: there are more or fewer messages (KUGETSU_UPDATE=1 takes them)", path.display());
}
