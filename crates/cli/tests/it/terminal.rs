//! Help, manual pages, completions, tables, and progress messages.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::world::{World, hold, script, shown};

/// The directory of the program.
fn bin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kugetsu")).parent().unwrap()
}

/// Runs a program that may be missing. Prints a line and returns `None` if it is.
fn run_if_installed(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {:?}: {error}", command.get_program());
            None
        }
    }
}

/// The candidates of bash for an unfinished command line.
fn candidates(world: &World, args: &[&str]) -> Vec<String> {
    let typed = args.iter().map(|arg| format!("'{arg}'")).collect::<Vec<_>>().join(" ");
    let (last, index) = (args[args.len() - 1], args.len() - 1);
    let script = format!(
        "source <(kugetsu completions bash) || exit 1
         complete -p kugetsu >/dev/null || exit 1
         COMP_WORDS=({typed}); COMP_CWORD={index}; COMP_TYPE=9
         _clap_complete_kugetsu kugetsu '{last}' ''
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = world.home.command("bash");
    bash.args(["--norc", "-c", &script]).env("PATH", format!("{}:/usr/bin:/bin", bin().display()));
    let output = world.home.run(&mut bash);
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_settings_and_issues() {
    let world = World::new();
    assert_eq!(candidates(&world, &["kugetsu", "sta"]), ["start", "status"]);
    assert!(candidates(&world, &["kugetsu", "config", "get", "agents."]).contains(&"agents.max".to_owned()));
    assert!(candidates(&world, &["kugetsu", "start", ".", "x", "--agent", ""]).contains(&"scripted".to_owned()));
    assert_eq!(candidates(&world, &["kugetsu", "help", "exi"]), ["exit-codes"]);
    world.run(["env", "set", "MY_MODE", "quiet"]);
    assert_eq!(candidates(&world, &["kugetsu", "env", "get", "M"]), ["MY_MODE"]);
    assert!(!candidates(&world, &["kugetsu", "logs", ""]).iter().any(|one| one.contains('#')));
    assert!(!world.home.kugetsu().join("daemon.sock").exists(), "completion starts no daemon");
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    assert_eq!(candidates(&world, &["kugetsu", "logs", "local/"]), ["local/demo#1"]);
    // Completion does not wait for a daemon that does not answer.
    let daemon = nix::unistd::Pid::from_raw(world.daemon());
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let found = candidates(&world, &["kugetsu", "logs", "local/"]);
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert!(!found.iter().any(|one| one.contains('#')), "{found:?}");
}

#[test]
fn zsh_and_fish_accept_their_completion_scripts() {
    let world = World::bare();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let path = world.home.path().join(format!("completions.{shell}"));
        std::fs::write(&path, world.run(["completions", shell])).unwrap();
        let Some(checked) = run_if_installed(Command::new(shell).arg(check).arg(&path)) else { continue };
        assert!(checked.status.success() && checked.stderr.is_empty(), "{shell}: {}", shown(&checked));
    }
    let fish = "kugetsu completions fish | source; complete -C 'kugetsu daemon sta'";
    let path = format!("{}:/usr/bin:/bin", bin().display());
    if let Some(output) =
        run_if_installed(world.home.command("fish").args(["--no-config", "-c", fish]).env("PATH", &path))
    {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("start") && text.contains("status"), "{}", shown(&output));
    }
    let zsh = "autoload -U compinit; compinit -u -D; source <(kugetsu completions zsh); print -r -- $_comps[kugetsu]";
    if let Some(known) = run_if_installed(world.home.command("zsh").args(["-f", "-c", zsh]).env("PATH", &path)) {
        let text = String::from_utf8_lossy(&known.stdout).into_owned();
        assert!(text.contains("kugetsu") && known.stderr.is_empty(), "{}", shown(&known));
    }
    let refused = world.attempt(["completions", "tcsh"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
}

/// The subcommands that `kugetsu help` lists.
pub(crate) fn listed(world: &World, args: &[&str]) -> Vec<String> {
    let help = world.run([&["help"], args].concat());
    let headings = ["Commands:", "Work on issues:", "See what happens:", "Control the queue:", "Set up:", "Help:"];
    let sections = help.split("\n\n").filter(|section| section.lines().next().is_some_and(|at| headings.contains(&at)));
    let names = sections.flat_map(str::lines).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_valid_manual_page() {
    let world = World::bare();
    let pages = world.home.path().join("man1");
    world.run(["man", "--dir", pages.to_str().unwrap()]);
    let mut expected = vec!["kugetsu.1".to_owned()];
    for command in listed(&world, &[]) {
        expected.extend(listed(&world, &[&command]).iter().map(|inner| format!("kugetsu-{command}-{inner}.1")));
        expected.push(format!("kugetsu-{command}.1"));
    }
    assert!(expected.len() > 30, "{expected:?}");
    let mut found: Vec<String> =
        std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(world.run(["man"]), std::fs::read_to_string(pages.join("kugetsu.1")).unwrap());
    for page in &found {
        let path = pages.join(page);
        if let Some(read) = run_if_installed(Command::new("groff").args(["-man", "-ww", "-z"]).arg(&path)) {
            assert!(read.status.success() && read.stderr.is_empty(), "{page}: {}", shown(&read));
        }
        if let Some(read) = run_if_installed(Command::new("mandoc").args(["-Tlint", "-Werror"]).arg(&path)) {
            assert!(read.status.success(), "{page}: {}", shown(&read));
        }
    }
    let main = std::fs::read_to_string(pages.join("kugetsu.1")).unwrap();
    assert!(main.contains(".SH \"EXIT CODES\"") && main.contains("all slots are in use"), "{main}");
    if let Some(read) =
        run_if_installed(Command::new("man").env("MANWIDTH", "80").arg("-l").arg(pages.join("kugetsu-start.1")))
    {
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(text.lines().any(|line| line.trim() == "kugetsu start . \"fix the flaky test\""), "{}", shown(&read));
    }
}

#[test]
fn help_prints_commands_and_topics_and_suggests_names() {
    let world = World::bare();
    let help = world.run(["help"]);
    for name in ["start", "refs", "config", "env", "agents", "exit-codes"] {
        assert!(help.contains(name), "{name}: {help}");
    }
    assert!(world.run(["help", "exit-codes"]).contains("75  all slots are in use"));
    let both = world.run(["help", "config"]);
    assert!(
        both.contains("Usage: kugetsu config [OPTIONS] <COMMAND>")
            && both.contains("from the highest to the lowest precedence"),
        "{both}"
    );
    assert!(world.run(["help", "queue", "cancel"]).contains("Usage: kugetsu queue cancel"));
    let refused = world.attempt(["help", "exitcodes"]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("did you mean `exit-codes`?") && stderr.contains("kugetsu help`"), "{stderr}");
    let refused = world.attempt(["help", "queue", "cancle"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean `cancel`?"), "{}", shown(&refused));
    assert!(!world.home.kugetsu().join("config.toml").exists(), "help creates no home");
}

#[test]
fn list_hides_destroyed_issues_by_default() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    world.start(&repository, &script(&["say hello"]));
    world.run(["destroy", "local/demo#1", "--yes"]);
    let listed = world.attempt(["list"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&listed.stdout), String::from_utf8_lossy(&listed.stderr));
    assert!(stdout.contains("local/demo#2") && !stdout.contains("local/demo#1"), "{}", shown(&listed));
    assert!(stderr.contains("1 destroyed issue hidden") && stderr.contains("kugetsu list --all"), "{}", shown(&listed));
    let all = world.run(["list", "--all"]);
    let line = all.lines().find(|line| line.starts_with("local/demo#1 ")).unwrap();
    assert!(line.contains("destroyed"), "{all}");
    let objects = world.json(["list", "--json"]);
    assert_eq!(objects.as_array().unwrap().len(), 2, "--json lists all");
    assert!(!world.run(["status"]).contains("local/demo#1"));
}

#[test]
fn lists_are_truncated_only_on_a_terminal() {
    let world = World::new();
    let repository = world.repository("demo");
    let long = "a file whose name is long ".repeat(8);
    world.start(&repository, &script(&[&format!("say {long}"), "write notes.txt x", "commit notes"]));
    let reason = world.latest("local/demo#1")["reason"].as_str().unwrap().to_owned();
    let queue = world.run(["queue", "list", "--all"]);
    assert!(queue.contains(long.trim()), "{queue}");
    assert!(!world.run(["list"]).contains('\u{1b}') && world.run(["list"]).contains(&reason));
    for columns in [80, 120] {
        let Some(text) = on_terminal(&world, columns, true, "queue list --all") else { return };
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let line = text.lines().find(|line| line.starts_with("local/demo#1")).unwrap().trim_end();
        assert!(line.ends_with('…') && line.chars().count() <= columns, "{columns}: {text}");
        assert!(line.chars().count() > columns - 12, "the width is used: {columns}: {text}");
        let text = on_terminal(&world, columns, true, "list").unwrap();
        assert!(text.lines().all(|line| line.trim_end().chars().count() <= columns), "{columns}: {text}");
        assert_eq!(text.contains("BRANCH"), columns > 80, "{columns}: {text}");
    }
    let colored = on_terminal(&world, 80, false, "queue list --all").unwrap();
    assert!(colored.contains("\u{1b}[32mdone"), "states have colors");
}

/// The output of a command on a terminal with 24 lines, which script(1) makes. `None` if that is not installed.
fn on_terminal(world: &World, columns: usize, plain: bool, arguments: &str) -> Option<String> {
    let typed = format!("stty rows 24 cols {columns}; '{}' {arguments}", env!("CARGO_BIN_EXE_kugetsu"));
    let mut command = world.home.command("script");
    command.args(["-qec", &typed, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    if plain {
        command.env("NO_COLOR", "1");
    }
    run_if_installed(&mut command).map(|output| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn status_fits_the_terminal() {
    let world = World::new();
    world.run(["config", "set", "agents.max", "0"]);
    let repository = world.repository("demo");
    for _ in 0..25 {
        world.queue(&repository, "later");
    }
    let Some(text) = on_terminal(&world, 80, true, "status") else { return };
    assert!(text.lines().count() < 24, "{text}");
    assert!(text.contains("local/demo#25") && text.contains(" more; list all with "), "{text}");
    assert!(world.run(["status"]).contains("local/demo#1 "), "without a terminal there is no such limit");
}

#[test]
fn verbose_commands_log_to_stderr_without_secrets() {
    let world = World::new();
    world.run(["env", "set", "GITEA_TOKEN", "topsecret-123456"]);
    let quiet = world.attempt(["list"]);
    assert!(quiet.stderr.is_empty(), "{}", shown(&quiet));
    let verbose = world.attempt(["list", "-v"]);
    assert_eq!(verbose.stdout, quiet.stdout);
    assert!(String::from_utf8_lossy(&verbose.stderr).contains("INFO requested /"), "{}", shown(&verbose));
    let detailed = world.attempt(["-vv", "logs", "https://bot:topsecret-123456@git.example.com/acme/api/issues/1"]);
    assert!(String::from_utf8_lossy(&detailed.stderr).contains("DEBUG connecting to "), "{}", shown(&detailed));
    assert!(!shown(&detailed).contains("topsecret"), "{}", shown(&detailed));
}

#[test]
fn slow_commands_print_what_they_wait_for() {
    let world = World::new();
    // A server that never responds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issue = format!("http://{}/acme/api/issues/1", silent.local_addr().unwrap());
    assert_notice(&world, &["start", &issue, "fix it"], "looking up the repository of");
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let held = hold(&world.home.kugetsu().join("state/kugetsu.db"));
    assert_notice(&world, &["destroy", "local/demo#1", "--yes"], "removing the session and the worktree");
    drop(held);
}

/// Runs a command until it prints this notice, and kills it.
fn assert_notice(world: &World, args: &[&str], notice: &str) {
    let mut command = world.command(&world.home.user(), args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("· ") && line.contains(notice)), "{args:?} did not print {notice:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
