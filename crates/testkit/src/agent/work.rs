//! The agent's tools: files, commits, programs.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal as Kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::signal::{Cancelled, Signal};

/// Limit for a program's output, in bytes; the rest is dropped.
const OUTPUT_MAX: u64 = 1024 * 1024;

/// The text result or the error message of a tool.
pub(super) type ToolResult = Result<String, String>;

/// Writes a file and creates its directories.
pub(super) fn write(path: &Path, content: &str) -> ToolResult {
    make_parent(path)?;
    fs::write(path, content).map_err(|error| with_path(path, &error))?;
    Ok(format!("Wrote {}.", path.display()))
}

pub(super) fn append(path: &Path, content: &str) -> ToolResult {
    make_parent(path)?;
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| with_path(path, &error))?;
    Ok(format!("Appended to {}.", path.display()))
}

/// Replaces text that occurs exactly once in a file.
pub(super) fn edit(path: &Path, old: &str, new: &str) -> ToolResult {
    let text = fs::read_to_string(path).map_err(|error| with_path(path, &error))?;
    match text.matches(old).count() {
        1 => write(path, &text.replacen(old, new, 1)),
        count => Err(format!("{} contains the text {count} times instead of once", path.display())),
    }
}

fn make_parent(path: &Path) -> Result<(), String> {
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| with_path(path, &error))
}

fn with_path(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Commits everything in `directory`. A scripted identity is used if git has none.
pub(super) fn commit(directory: &Path, message: &str) -> ToolResult {
    git(directory, &["add", "--all"])?;
    let has_identity =
        git(directory, &["var", "GIT_COMMITTER_IDENT"]).is_ok() && git(directory, &["config", "user.email"]).is_ok();
    let identity: &[&str] =
        if has_identity { &[] } else { &["-c", "user.name=Scripted Agent", "-c", "user.email=agent@example.invalid"] };
    let args: Vec<&str> = identity.iter().copied().chain(["commit", "--quiet", "-m", message]).collect();
    git(directory, &args)?;
    Ok(format!("Committed {}", git(directory, &["log", "-1", "--format=%h %s"])?))
}

fn git(directory: &Path, args: &[&str]) -> ToolResult {
    let output = Command::new("git")
        .args(args)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not run git: {error}"))?;
    let Output { status, stdout, stderr } = output;
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let text = text.trim_end().to_owned();
    if status.success() { Ok(text) } else { Err(format!("git {} failed ({status}): {text}", args.join(" "))) }
}

/// A program that is running as a tool.
#[derive(Debug)]
pub(super) struct Running {
    group: Pid,
    output: File,
}

/// Starts a program in its own session, as opencode starts its tools. Its exit status is delivered to `signal` as the
/// answer `id`.
pub(super) fn start(argv: &[String], directory: &Path, signal: &Arc<Signal>, id: u64) -> Result<Running, String> {
    let (program, args) = argv.split_first().ok_or("the command is empty")?;
    // A file instead of a pipe: leftover processes may keep the output open forever.
    let output = tempfile::tempfile().map_err(|error| format!("could not create a file for the output: {error}"))?;
    let copy = || output.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(directory)
        .env("PWD", directory)
        .stdin(Stdio::null())
        .stdout(copy()?)
        .stderr(copy()?);
    let mut child =
        in_own_session(&mut command).spawn().map_err(|error| format!("could not run {program}: {error}"))?;
    let group = pid(&child);
    let signal = Arc::clone(signal);
    std::thread::spawn(move || {
        let exit = child.wait().ok().and_then(|status| status.code());
        signal.answer(id, json!(exit));
    });
    Ok(Running { group, output })
}

impl Running {
    /// Waits for the program and returns its output and its exit status, which is `null` after a signal. A cancel kills
    /// the program.
    pub(super) fn finish(mut self, signal: &Signal, id: u64) -> Result<(String, Value), Cancelled> {
        let exit = signal.await_answer(id).inspect_err(|Cancelled| {
            // Fails only if it has just ended.
            let _gone = killpg(self.group, Kill::SIGKILL);
        })?;
        let mut bytes = Vec::new();
        let read =
            self.output.seek(SeekFrom::Start(0)).and_then(|_| self.output.take(OUTPUT_MAX).read_to_end(&mut bytes));
        let text = match read {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("could not read the output: {error}"),
        };
        Ok((text, exit))
    }
}

/// Leaves a process that cannot be found by process group, environment or open pipe. Returns its id.
pub(super) fn orphan(directory: &Path) -> Result<i32, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["orphan", "3600"]).env_clear().current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = in_own_session(&mut command).spawn().map_err(|error| error.to_string())?;
    Ok(pid(&child).as_raw())
}

fn in_own_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid is safe to call between fork and exec.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(std::io::Error::from)) }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"))
}
