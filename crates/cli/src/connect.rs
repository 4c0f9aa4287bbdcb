//! Connections of commands to the daemon, which is started if a command needs it.

use std::future::Future;
use std::time::{Duration, Instant};

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoint::{Endpoint, ListEndpoint, NoFields};
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::location;
use kugetsu_api::stream::List;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::daemon::{lock, start};
use crate::failure::Failure;
use crate::paths::socket;
use crate::{setup, ui};

/// How long a daemon may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a request is sent again after its connection broke, and the pause before.
const RETRIES: usize = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a waiting command waits for a stopped daemon to start again before it says so.
const NOTE_DELAY: Duration = Duration::from_secs(2);
const RESTART_POLL: Duration = Duration::from_millis(200);

/// Connects to the daemon. Returns `None` if no daemon runs.
///
/// # Errors
/// Also if the home was moved under the daemon, which still uses the earlier path.
pub(crate) async fn running(home: &Home) -> Result<Option<Client>, Failure> {
    let client = connect_quietly(home).await?;
    if client.is_some() {
        warn_of_other_version(home);
    }
    Ok(client)
}

/// Fails if a daemon runs that found the home at another path, or if that is not known. It would work there, in directories
/// that no longer exist.
pub(crate) fn refuse_moved(home: &Home) -> Result<(), Failure> {
    let earlier = location::earlier_path(home);
    if matches!(earlier, Ok(None)) || !lock::is_held(home).unwrap_or(false) {
        return Ok(());
    }
    let earlier = match earlier {
        Ok(None) => return Ok(()),
        Ok(Some(earlier)) => earlier,
        Err(error) => {
            let file = home.location();
            return Err(Failure::new(format!(
                "could not read {}, which shows whether the home was moved while its daemon was running: {error}",
                file.display()
            ))
            .hint(format!(
                "stop the daemon with `kugetsu daemon stop`; an empty {} makes the next one open new sessions",
                file.display()
            )));
        }
    };
    let process = lock::holder(home).map_or_else(String::new, |holder| format!(" (process {})", holder.pid));
    Err(Failure::new(format!(
        "the home was moved from {} to {} while its daemon{process} was running",
        earlier.display(),
        home.path().display()
    ))
    .hint(
        "stop the daemon with `kugetsu daemon stop`; the next command starts one that corrects the paths in the home",
    ))
}

async fn connect_quietly(home: &Home) -> Result<Option<Client>, Failure> {
    let client = connect_anywhere(home).await?;
    // After connecting: a daemon that starts in a moved home listens when it has corrected its paths.
    if client.is_some() {
        refuse_moved(home)?;
    }
    Ok(client)
}

/// Connects to the daemon, also if its socket was deleted or the home was moved under it. Returns `None` if no daemon runs.
pub(crate) async fn running_anywhere(home: &Home) -> Result<Option<Client>, Failure> {
    match connect_anywhere(home).await? {
        None => find_hidden(home).await,
        found => Ok(found),
    }
}

async fn connect_anywhere(home: &Home) -> Result<Option<Client>, Failure> {
    let socket = socket(home)?;
    tracing::debug!("connecting to {}", socket.display());
    match Client::connect(&socket).await {
        Ok(client) => Ok(Some(client.on_warning(ui::warn_once))),
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Connects to the daemon, also if its socket was deleted. Returns `None` if no daemon runs.
pub(crate) async fn running_or_hidden(home: &Home) -> Result<Option<Client>, Failure> {
    match running(home).await? {
        None => find_hidden(home).await,
        found => Ok(found),
    }
}

/// Connects to the daemon; creates the home and starts the daemon if necessary.
pub(crate) async fn ready(home: &Home) -> Result<Client, Failure> {
    match connect_quietly(home).await {
        Ok(Some(client)) => return current(home, client).await,
        Ok(None) => {}
        // An unusable home is the better explanation than the socket in it.
        Err(failure) => return Err(home.create().map_or_else(Failure::from, |()| failure)),
    }
    setup::ensure_home(home)?;
    if let Some(client) = find_hidden(home).await? {
        return Ok(client);
    }
    tracing::info!("starting the daemon");
    start::start(home).await?;
    Ok(Client::connect(&socket(home)?).await?.on_warning(ui::warn_once))
}

/// How long a daemon whose socket is gone may take to listen again.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to a daemon that holds the lock although its socket is gone: someone deleted the file. Asks it to listen
/// again. Returns `None` without such a daemon, or if it is just starting or stopping.
async fn find_hidden(home: &Home) -> Result<Option<Client>, Failure> {
    // Older daemons may end by the signal before they listen.
    let Some(holder) = lock::holder(home).filter(|holder| holder.protocol > 0) else { return Ok(None) };
    if socket(home)?.exists() || !lock::is_held(home).unwrap_or(false) {
        return Ok(None);
    }
    let Ok(pid) = i32::try_from(holder.pid) else { return Ok(None) };
    if kill(Pid::from_raw(pid), Signal::SIGHUP).is_err() {
        return Ok(None);
    }
    let begin = Instant::now();
    while begin.elapsed() < LISTEN_TIMEOUT && lock::is_held(home).unwrap_or(false) {
        if let Some(client) = running(home).await? {
            return Ok(Some(client));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Ok(None)
}

/// Sends a request that is safe to repeat, on a new connection each time that one breaks. Reads are safe, and so are
/// requests that carry an ID of their own.
pub(crate) async fn call<Request: Serialize, Response: DeserializeOwned>(
    home: &Home,
    endpoint: &Endpoint<Request, Response>,
    request: &Request,
) -> Result<Response, Failure> {
    with_retry(home, endpoint.route.path, async |mut client| client.call(endpoint, request).await).await
}

/// Sends a request that changes something. It is not repeated: after a broken connection it is unknown whether the daemon
/// has carried it out.
pub(crate) async fn call_once<Request: Serialize, Response: DeserializeOwned>(
    home: &Home,
    endpoint: &Endpoint<Request, Response>,
    request: &Request,
) -> Result<Response, Failure> {
    let mut client = ready(home).await?;
    Ok(logged(endpoint.route.path, client.call(endpoint, request)).await?)
}

/// Requests a list that may be too long to be held in memory. It is not repeated once it has begun.
pub(crate) async fn stream_list<Request: Serialize, Item: DeserializeOwned>(
    home: &Home,
    endpoint: &ListEndpoint<Request, Item>,
    request: &Request,
) -> Result<List<Item>, Failure> {
    with_retry(home, endpoint.route.path, async |client| client.list(endpoint, request).await).await
}

/// Returns a list. Like [`call`], it is repeated if the connection breaks.
pub(crate) async fn list<Request: Serialize, Item: DeserializeOwned>(
    home: &Home,
    endpoint: &ListEndpoint<Request, Item>,
    request: &Request,
) -> Result<Vec<Item>, Failure> {
    with_retry(home, endpoint.route.path, async |client| client.list(endpoint, request).await?.collect().await).await
}

async fn with_retry<Response>(
    home: &Home,
    path: &str,
    send: impl AsyncFn(Client) -> Result<Response, ClientError>,
) -> Result<Response, Failure> {
    for _ in 0..RETRIES {
        match logged(path, send(ready(home).await?)).await {
            Err(ClientError::Broken(_)) => tokio::time::sleep(RETRY_PAUSE).await,
            result => return Ok(result?),
        }
    }
    Ok(logged(path, send(ready(home).await?)).await?)
}

/// Logs a request without its fields: a reference may be a URL with credentials.
async fn logged<Response>(
    path: &str,
    request: impl Future<Output = Result<Response, ClientError>>,
) -> Result<Response, ClientError> {
    let start = Instant::now();
    let result = request.await;
    let milliseconds = start.elapsed().as_millis();
    match &result {
        Ok(_) => tracing::info!("requested {path} from the daemon ({milliseconds} ms)"),
        Err(error) => tracing::info!("requested {path} from the daemon ({milliseconds} ms): {error}"),
    }
    result
}

/// Waits for a daemon that ended while a command was listening to it, for as long as it takes. `meanwhile` describes what
/// continues without it.
///
/// A daemon that crashed left its socket behind and is started again. One that was stopped removed its socket; starting it
/// would undo what the user wanted, so this only waits for it. Failing would tell a script that the task has failed.
pub(crate) async fn reconnect(home: &Home, meanwhile: &str) -> Result<(), Failure> {
    let socket = socket(home)?;
    let start = Instant::now();
    let mut is_noted = false;
    loop {
        tokio::time::sleep(RESTART_POLL).await;
        if socket.exists() {
            return ready(home).await.map(drop);
        }
        // A socket that was deleted comes back at once, and an upgrade takes a moment.
        if start.elapsed() >= NOTE_DELAY && !is_noted {
            is_noted = true;
            // The daemon may be alive and only its socket gone.
            if find_hidden(home).await?.is_some() {
                return Ok(());
            }
            ui::note(format!("the daemon was stopped; waiting for the next one ({meanwhile}; Ctrl-C stops waiting)"));
        }
    }
}

/// Makes a running daemon reread the settings. It would notice the change anyway, but a mistake then is an error of the
/// command that made it.
pub(crate) async fn reload_if_running(home: &Home) -> Result<(), Failure> {
    if let Some(mut client) = running(home).await? {
        client.call(&endpoints::RELOAD, &NoFields {}).await?;
    }
    Ok(())
}

/// The version of this program.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// Returns a connection to a daemon of this version: an older one is restarted, unless that would disturb someone.
async fn current(home: &Home, mut client: Client) -> Result<Client, Failure> {
    let Some(holder) = lock::holder(home).filter(|holder| holder.version != OWN) else { return Ok(client) };
    // A daemon from before there was a protocol does not report its requests.
    if !is_older(&holder.version, OWN) || holder.protocol == 0 {
        warn_of_other_version(home);
        return Ok(client);
    }
    let health = client.call(&endpoints::HEALTH, &NoFields {}).await;
    let is_inside_a_run = std::env::var_os(kugetsu_process::MARKER).is_some();
    if !health.is_ok_and(|health| health.requests == 0 && !health.managed) || is_inside_a_run {
        warn_of_other_version(home);
        return Ok(client);
    }
    ui::note(format!(
        "restarting the daemon: it has version {}, this command has {OWN} (runs continue)",
        holder.version
    ));
    client.call(&endpoints::STOP, &NoFields {}).await?;
    drop(client);
    if !lock::released(home, STOP_TIMEOUT).await.unwrap_or(false) {
        return Err(Failure::new(format!("the daemon of version {} does not stop", holder.version))
            .hint("try again, or restart it with `kugetsu daemon restart`"));
    }
    start::start(home).await?;
    Ok(Client::connect(&socket(home)?).await?.on_warning(ui::warn_once))
}

/// Whether a version precedes another one, by its numbers.
fn is_older(version: &str, other: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let plain = version.split(['-', '+']).next().unwrap_or_default();
        plain.split('.').map(|number| number.parse().unwrap_or(0)).collect()
    };
    numbers(version) < numbers(other)
}

/// The lock file holds the daemon's version, so this takes no request.
fn warn_of_other_version(home: &Home) {
    if let Some(holder) = lock::holder(home)
        && holder.version != OWN
    {
        ui::warning(format!(
            "the running daemon has version {}, this command has {OWN}; restart it with `kugetsu daemon restart` (runs \
             continue)",
            holder.version
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("0.9.0", "0.10.0") && is_older("0.1.0", "0.1.1") && is_older("0.1", "0.1.0"));
        assert!(!is_older("0.1.0", "0.1.0") && !is_older("1.0.0", "0.9.9") && !is_older("0.2.0-dev", "0.2.0"));
    }
}
