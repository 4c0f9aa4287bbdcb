//! Entry point of the program `kugetsu-scripted-agent`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};
use serde_json::json;

use super::arguments::{EXTRA_ARGUMENTS, HELP, Invocation, Options, Point};
use super::connection::Connection;
use super::signal::block_forever;
use super::store::Store;

/// Runs the program with the arguments and the environment of this process.
pub fn run() -> ExitCode {
    let extra = std::env::var(EXTRA_ARGUMENTS).unwrap_or_default();
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let args: Vec<String> = args.chain(extra.split_whitespace().map(str::to_owned)).collect();
    match Invocation::parse(args) {
        Ok(Invocation::Agent(options)) => serve(*options),
        Ok(Invocation::DeleteSession(id)) => delete(&id),
        Ok(Invocation::ExportSession(id)) => export(&id),
        Ok(Invocation::ListSessions) => list(),
        Ok(Invocation::Version(version)) => print(&format!("{version}\n")),
        Ok(Invocation::Help) => print(HELP),
        Ok(Invocation::Orphan(seconds)) => {
            std::thread::sleep(Duration::from_secs(seconds));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}

fn serve(options: Options) -> ExitCode {
    if options.stubborn {
        ignore_signals();
    }
    if let Some(complaint) = &options.complaint {
        eprintln!("{complaint}");
    }
    std::thread::sleep(options.slow_start);
    if let Some(banner) = &options.banner {
        print(&format!("{banner}\n"));
    }
    let stubborn = options.stubborn;
    let connection = Arc::new(Connection::new(options, Store::from_environment()));
    connection.reach(Point::Start);
    let served = connection.serve();
    if stubborn {
        block_forever();
    }
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("could not read stdin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ignore_signals() {
    for ignored in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: no handler is installed.
        unsafe { signal(ignored, SigHandler::SigIgn) }.expect("these signals can be ignored");
    }
}

fn delete(id: &str) -> ExitCode {
    if Store::from_environment().delete(id) {
        return ExitCode::SUCCESS;
    }
    eprintln!("Session not found: {id}");
    ExitCode::FAILURE
}

fn export(id: &str) -> ExitCode {
    let Some(session) = Store::from_environment().read(id) else {
        eprintln!("Session not found: {id}");
        return ExitCode::FAILURE;
    };
    let messages: Vec<_> = session.answers.into_iter().map(|answer| json!({"info": answer, "parts": []})).collect();
    print(&json!({"info": {"id": id, "directory": session.cwd}, "messages": messages}).to_string())
}

fn list() -> ExitCode {
    let store = Store::from_environment();
    let line = |id: String| Some(format!("{id}\t{}\n", store.read(&id)?.cwd));
    print(&store.list().into_iter().filter_map(line).collect::<String>())
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}
