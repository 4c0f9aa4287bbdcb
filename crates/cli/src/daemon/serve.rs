//! The daemon itself: takes the home's lock, puts its parts together, listens, and ends in order.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, thread};

use kugetsu_api::home::Home;
use kugetsu_engine::{Engine, Parts, serve_engine};
use kugetsu_git::command::Git;
use kugetsu_store::error::OpenError;
use kugetsu_store::open;
use kugetsu_web::{Control, Stale};
use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::failure::Failure;
use crate::place::socket;

use super::lock::{self, Lock};
use super::log::{self, Masks};
use super::start::READY;
use super::{descriptor, settings, watch as files};

/// How long a daemon that is ending may take to give the lock back.
const LOCK_LIMIT: Duration = Duration::from_secs(15);
/// How often the lock is tried meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long what goes on at the end may take.
const PARTING: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop. `ready` is a pipe for the word that it listens.
pub(crate) fn run(home: &Home, ready: Option<RawFd>) -> Result<(), Failure> {
    let mut ready = ready.map(descriptor::inherited).transpose().map_err(|error| {
        Failure::usage(format!("--ready-fd names no open descriptor: {error}")).hint("leave it out: kugetsu daemon run")
    })?;
    let ended = run_telling(home, &mut ready);
    // Why it failed is printed after this; whoever waits at the pipe reads that when the pipe ends, so it ends last.
    std::mem::forget(ready);
    ended
}

fn run_telling(home: &Home, ready: &mut Option<OwnedFd>) -> Result<(), Failure> {
    home.create().map_err(|error| Failure::new(error.to_string()))?;
    let socket = socket(home)?;
    match take_lock(home, &socket)? {
        // The kernel gives it back when the process has ended, and with it everything that uses the home.
        Some(lock) => std::mem::forget(lock),
        None if ready.is_some() => {
            say_ready(ready);
            return Ok(());
        }
        None => return Err(held(home)),
    }
    let masks = log::begin()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no threads can be had: {error}")))?;
    let ended = runtime.block_on(serve(home, &socket, masks, ready));
    // Everything that was confirmed is stored; what goes on is only told again by its runner.
    runtime.shutdown_timeout(PARTING);
    if let Err(error) = fs::remove_file(&socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the socket could not be removed");
    }
    if ended.is_ok() {
        tracing::info!("the daemon has ended; runs go on");
    }
    ended
}

/// Takes the lock. A daemon that is ending is waited for; none is returned when one listens.
fn take_lock(home: &Home, socket: &Path) -> Result<Option<Lock>, Failure> {
    let begin = Instant::now();
    loop {
        let taken = lock::take(home)
            .map_err(|error| Failure::new(format!("{} cannot be locked: {error}", home.lock().display())))?;
        if taken.is_some() || UnixStream::connect(socket).is_ok() {
            return Ok(taken);
        }
        if begin.elapsed() > LOCK_LIMIT {
            return Err(held(home));
        }
        thread::sleep(LOCK_PAUSE);
    }
}

fn held(home: &Home) -> Failure {
    let who =
        lock::holder(home).map_or_else(|| "another process".to_owned(), |holder| format!("process {}", holder.pid));
    Failure::new(format!("a daemon runs already for {}: {who}", home.path().display()))
        .hint("to end it: kugetsu daemon stop")
}

fn not_opened(error: OpenError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

async fn serve(home: &Home, socket: &Path, masks: Masks, ready: &mut Option<OwnedFd>) -> Result<(), Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("{what}: {error}"));
    let read = settings::Files::new(home);
    let (first, wrong) = settings::first(home, &masks).map_err(|error| Failure::usage(error.to_string()))?;
    let git = Git::find().await.map_err(|error| Failure::new(error.to_string()))?;
    let program = env::current_exe().map_err(|error| failed("this program's own path is not known", &error))?;
    let opened = open::open(&home.database()).await.map_err(not_opened)?;
    let (sender, receiver) = watch::channel(Arc::new(first));
    let (faults, told) = watch::channel(wrong);
    let in_force = settings::InForce { settings: sender, faults };
    let engine = Engine::new(Parts {
        home: home.clone(),
        store: opened.store,
        settings: receiver,
        env_files: settings::env_files(home),
        git,
        program,
    });

    let (stop, mut stopped) = mpsc::channel(1);
    let (reload, asked) = mpsc::channel(8);
    let (changed, changes) = mpsc::channel(1);
    // It watches as long as it is held.
    let _watcher = match files::watch(home, changed.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "changed settings are not seen by themselves; `kugetsu config set` tells them");
            None
        }
    };
    tokio::spawn(settings::keep(home.clone(), read.clone(), masks, in_force, changes, asked));
    let stale = Stale::new(move || read.are_stale());

    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed("signals cannot be had", &error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed("signals cannot be had", &error))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| failed("signals cannot be had", &error))?;
    let listener = listen(socket).map_err(|error| failed(&socket.display().to_string(), &error))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), home = %home.path().display(), "the daemon listens");
    say_ready(ready);

    let stopping = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = stopped.recv() => return,
                // As daemons do: read the settings again.
                _ = hang_up.recv() => {
                    // A full channel has the same word in it already.
                    let _ = changed.try_send(());
                }
            }
        }
    };
    let driving = tokio::spawn(serve_engine(engine.clone()));
    let served = tokio::select! {
        served = kugetsu_web::serve(engine, Control { stop, reload, stale, faults: told }, listener, stopping) => served,
        ended = driving => Err(io::Error::other(match ended {
            Ok(_) => "the engine stopped".to_owned(),
            Err(error) => format!("the engine stopped: {error}"),
        })),
        // Nothing could be stored any more; the next daemon begins with what is.
        ended = opened.writer => Err(io::Error::other(match ended {
            Ok(()) => "the database was closed".to_owned(),
            Err(error) => format!("the database's writer stopped: {error}"),
        })),
    };
    served.map_err(|error| failed("the daemon has to end", &error))
}

/// Listens on the socket, readable by the owner only from its first moment. What lies there is of a daemon that is gone,
/// as this one holds the lock.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("something that is no socket lies in its place; remove it"));
        }
        Ok(_) => fs::remove_file(socket)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(socket);
    umask(before);
    let listener = bound?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn say_ready(ready: &mut Option<OwnedFd>) {
    if let Some(ready) = ready.take()
        && let Err(error) = fs::File::from(ready).write_all(&[READY])
    {
        // Whoever started this did not wait; that is no reason not to run.
        tracing::debug!(%error, "nobody waits for the daemon");
    }
}
