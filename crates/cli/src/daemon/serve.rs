//! The daemon process: takes the home's lock, assembles its parts, listens, and shuts down.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kugetsu_agent::refs_of_agents;
use kugetsu_api::home::Home;
use kugetsu_api::location::Location;
use kugetsu_api::program;
use kugetsu_engine::clock::Clock;
use kugetsu_engine::headroom::measure;
use kugetsu_engine::home::open::open_home;
use kugetsu_engine::runners::launch::process_runner;
use kugetsu_engine::{Engine, Parts, moved_home, serve_engine};
use kugetsu_forge::http::limits::Limits;
use kugetsu_git::command::Git;
use kugetsu_process::Controllers;
use kugetsu_store::error::OpenError;
use kugetsu_store::open;
use kugetsu_store::store::Store;
use kugetsu_web::{Control, Requests, Socket, Stale};
use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::failure::Failure;
use crate::paths::socket;

use super::lock::{self, Lock};
use super::log::{self, Masks};
use super::start::READY;
use super::{descriptor, settings, watch as watcher};

/// How long to wait for a daemon that is shutting down to release the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// How long the database may take to be closed. The log of writes is merged into it then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long background tasks may take to finish at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the daemon until it is stopped. `ready` is the pipe on which it reports that it listens.
pub(crate) fn run(home: &Home, ready: Option<RawFd>) -> Result<(), Failure> {
    let mut ready = ready.map(descriptor::inherited).transpose().map_err(|error| {
        Failure::usage(format!("--ready-fd is not an open descriptor: {error}")).hint("omit it: `kugetsu daemon run`")
    })?;
    let result = run_until_stopped(home, &mut ready);
    // The error is printed after this returns. The starting process reads it from the log when the pipe is closed, so
    // the pipe stays open until the process exits.
    std::mem::forget(ready);
    result
}

fn run_until_stopped(home: &Home, ready: &mut Option<OwnedFd>) -> Result<(), Failure> {
    home.create()?;
    let socket = socket(home)?;
    // A command that misses the socket sends this to the holder of the lock, which may not listen to it yet.
    // SAFETY: ignoring a signal runs no code.
    #[expect(unsafe_code, reason = "the signature of signal(2)")]
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
    match take_lock(home, &socket)? {
        // Never dropped: everything in this process may use the home, so only its exit may release the lock.
        Some(lock) => std::mem::forget(lock),
        None if ready.is_some() => {
            report_ready(ready);
            return Ok(());
        }
        None => return Err(already_running(home)),
    }
    let masks = log::init(Some(home.log()))?;
    // Before anything is started, which would be in the way.
    match kugetsu_process::enable_controllers() {
        Ok(Controllers { memory: true, tasks: true, .. }) => tracing::info!("the kernel limits what runs use"),
        Ok(enabled) => {
            tracing::info!(?enabled, "what runs use is measured, because the kernel does not limit all of it")
        }
        Err(error) => {
            tracing::info!(%error, "what runs use is measured: this process could not move to another cgroup")
        }
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("could not start threads: {error}")))?;
    let result = runtime.block_on(serve(home, &socket, masks, ready));
    // Everything that was confirmed is stored, and runners repeat reports that were not.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    // Anything else there is the user's, and the error names it.
    let is_socket = fs::symlink_metadata(&socket).is_ok_and(|file| file.file_type().is_socket());
    if is_socket
        && let Err(error) = fs::remove_file(&socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "could not remove the socket");
    }
    if result.is_ok() {
        tracing::info!("the daemon has stopped; runs continue");
    }
    result
}

/// Takes the lock and waits for a daemon that is shutting down. Returns `None` if another daemon is listening.
fn take_lock(home: &Home, socket: &Path) -> Result<Option<Lock>, Failure> {
    let begin = Instant::now();
    loop {
        let taken = lock::take_for_daemon(home)
            .map_err(|error| Failure::new(format!("could not lock {}: {error}", home.lock().display())))?;
        if taken.is_some() || UnixStream::connect(socket).is_ok() {
            return Ok(taken);
        }
        if begin.elapsed() > LOCK_TIMEOUT {
            return Err(already_running(home));
        }
        thread::sleep(LOCK_RETRY_INTERVAL);
    }
}

fn already_running(home: &Home) -> Failure {
    let holder =
        lock::holder(home).map_or_else(|| "another process".to_owned(), |holder| format!("process {}", holder.pid));
    Failure::new(format!("a daemon is already running for {}: {holder}", home.path().display()))
        .hint("stop it with `kugetsu daemon stop`")
}

fn not_opened(error: OpenError) -> Failure {
    Failure::new(error.to_string()).hints(error.hint())
}

async fn serve(home: &Home, socket: &Path, masks: Masks, ready: &mut Option<OwnedFd>) -> Result<(), Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("{what}: {error}"));
    let files = settings::Files::new(home);
    let (initial, diagnostics) = settings::initial(home, &masks).map_err(|error| Failure::usage(error.to_string()))?;
    let git = Git::find().await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    let git = git.with_bookkeeping(&refs_of_agents());
    let unknown = |error: io::Error| failed("could not find the path of this program", &error);
    let (program, name) = (program::same().map_err(unknown)?, program::path().map_err(unknown)?);
    let mut opened = open::open(&home.database()).map_err(not_opened)?;
    let store = opened.store.clone();
    let (sender, receiver) = watch::channel(Arc::new(initial));
    let (diagnostics_sender, diagnostics) = watch::channel(diagnostics);
    let publishers = settings::Publishers { settings: sender, diagnostics: diagnostics_sender };
    let engine = Engine::new(Parts {
        home: home.clone(),
        store: opened.store,
        settings: receiver,
        env_files: settings::env_files(home),
        git,
        clock: Clock::System,
        start_runner: process_runner(program, name, home.path().to_owned()),
        forge_limits: Limits::default(),
        measure: Arc::new(measure),
    });

    open_home(&engine).await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    moved_home::settle(&engine).await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;

    let (stop, mut stopped) = mpsc::channel(1);
    let (reload, reloads) = mpsc::channel(8);
    let (changed, changes) = mpsc::channel(1);
    let (socket_changed, socket_changes) = mpsc::channel(1);
    // Dropping it would end the watch.
    let _watcher = match watcher::watch(home, changed.clone(), socket_changed.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "could not watch the settings files; only `kugetsu config set` and SIGHUP reload them");
            None
        }
    };
    tokio::spawn(settings::reload_on_change(home.clone(), files.clone(), masks, publishers, changes, reloads));
    let stale = Stale::new(move || files.are_stale());

    let handler = |kind| signal(kind).map_err(|error| failed("could not install a signal handler", &error));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut hang_up = handler(SignalKind::hangup())?;
    let (sender, next) = mpsc::channel(1);
    let listener = Socket { home: home.clone(), listener: listen(socket)?, next };
    let location = Location::of(home).map_err(|error| failed("could not read the home", &error))?;
    let directory = fs::File::open(home.path()).map_err(|error| failed("could not open the home", &error))?;
    let again = listen_again(location, directory, socket.to_owned(), socket_changes, sender);
    let removed = stop.clone();
    tokio::spawn(async move {
        if again.await == Listening::HomeRemoved {
            tracing::warn!("the home was removed; stopping");
            // A full channel already stops the daemon.
            let _ = removed.try_send(());
        }
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), home = %home.path().display(), "the daemon is listening");
    report_ready(ready);

    let stopping = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = stopped.recv() => return,
                // SIGHUP reloads the settings, as is usual for daemons, and looks whether the socket is still there.
                _ = hang_up.recv() => {
                    // A full channel already holds a notification.
                    let _ = changed.try_send(());
                    let _ = socket_changed.try_send(());
                }
            }
        }
    };
    let (trouble, hooks) = watch::channel(None);
    let control = Control { stop, reload, stale, diagnostics, requests: Requests::default(), hooks };
    tokio::spawn(kugetsu_web::serve_hooks(engine.clone(), trouble));
    let driving = tokio::spawn(serve_engine(engine.clone()));
    let served = tokio::select! {
        served = kugetsu_web::serve(engine, control, listener, stopping) => served,
        ended = driving => Err(io::Error::other(match ended {
            Ok(_) => "the engine stopped".to_owned(),
            Err(error) => format!("the engine stopped: {error}"),
        })),
        // Without the writer nothing can be stored any more. The next daemon recovers from the database.
        ended = &mut opened.closed => Err(io::Error::other(match ended {
            Ok(()) => "the database was closed".to_owned(),
            Err(error) => format!("the database's writer stopped: {error}"),
        })),
    };
    close(&store, opened.closed).await;
    served.map_err(|error| failed("the daemon stopped", &error))
}

/// Closes the database, so that its file alone holds every fact.
async fn close(store: &Store, closed: oneshot::Receiver<()>) {
    // Fails if the writer has ended: then it has closed the file, or the receiver says why it could not.
    let _ = store.close().await;
    match tokio::time::timeout(CLOSE_TIMEOUT, closed).await {
        Ok(_) => {}
        Err(_) => tracing::warn!("the database is still read; its log is merged into it at the next start"),
    }
}

/// Binds the socket, which is accessible to the owner only from the moment it exists. An old socket is stale, because
/// this process holds the lock.
fn listen(socket: &Path) -> Result<UnixListener, Failure> {
    let failed = |error| Failure::new(format!("could not listen on {}: {error}", socket.display()));
    match fs::symlink_metadata(socket) {
        Ok(existing) if !existing.file_type().is_socket() => {
            return Err(Failure::new(format!("{} exists and is not a socket", socket.display())).hint("move it away"));
        }
        Ok(_) => fs::remove_file(socket).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(socket);
    umask(before);
    let listener = bound.map_err(failed)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Why the daemon no longer looks after its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    Ended,
    HomeRemoved,
}

/// Listens again when the socket's file is gone. No command could connect any more, and the lock keeps every other daemon away.
/// `directory` is the open home. If it was removed, as after a move to another file system, no command can ever stop the daemon.
async fn listen_again(
    location: Location,
    directory: fs::File,
    socket: PathBuf,
    mut changes: mpsc::Receiver<()>,
    next: mpsc::Sender<UnixListener>,
) -> Listening {
    let inode = || fs::symlink_metadata(&socket).map(|file| file.ino()).ok();
    let mut own = inode();
    while changes.recv().await.is_some() {
        if directory.metadata().is_ok_and(|directory| directory.nlink() == 0) {
            return Listening::HomeRemoved;
        }
        // In a home that was moved away, another daemon may listen here.
        if own.is_some() && inode() == own || !location.is_there() {
            continue;
        }
        match listen(&socket) {
            Ok(listener) => {
                tracing::warn!(socket = %socket.display(), "the socket was gone; listening again");
                own = inode();
                if next.send(listener).await.is_err() {
                    return Listening::Ended;
                }
            }
            Err(failure) => tracing::error!("{}", failure.message),
        }
    }
    Listening::Ended
}

fn report_ready(ready: &mut Option<OwnedFd>) {
    if let Some(ready) = ready.take()
        && let Err(error) = fs::File::from(ready).write_all(&[READY])
    {
        // The starting process did not wait, which is no reason to stop.
        tracing::debug!(%error, "could not report readiness");
    }
}
