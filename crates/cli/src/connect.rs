//! Connections of commands to the daemon, which is started if a command needs it.

use std::future::Future;
use std::time::{Duration, Instant};

use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::endpoint::{Endpoint, ListEndpoint, NoFields};
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::stream::List;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::daemon::{lock, start};
use crate::failure::Failure;
use crate::paths::socket;
use crate::{setup, ui};

/// How often a request is sent again after its connection broke, and the pause before.
const RETRIES: usize = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a waiting command waits for a stopped daemon to start again; long enough for an upgrade.
const RESTART_TIMEOUT: Duration = Duration::from_secs(15);
const RESTART_POLL: Duration = Duration::from_millis(200);

/// Connects to the daemon. Returns `None` if no daemon runs.
pub(crate) async fn running(home: &Home) -> Result<Option<Client>, Failure> {
    let socket = socket(home)?;
    tracing::debug!("connecting to {}", socket.display());
    match Client::connect(&socket).await {
        Ok(client) => {
            warn_of_other_version(home);
            Ok(Some(client))
        }
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Connects to the daemon; creates the home and starts the daemon if necessary.
pub(crate) async fn ready(home: &Home) -> Result<Client, Failure> {
    match running(home).await {
        Ok(Some(client)) => return Ok(client),
        Ok(None) => {}
        // An unusable home is the better explanation than the socket in it.
        Err(failure) => return Err(home.create().map_or_else(Failure::from, |()| failure)),
    }
    setup::ensure_home(home)?;
    tracing::info!("starting the daemon");
    start::start(home).await?;
    Ok(Client::connect(&socket(home)?).await?)
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

/// Waits for a daemon that ended while a command was listening to it. Returns false if no daemon starts in time.
///
/// A daemon that crashed left its socket behind and is started again. One that was stopped removed its socket; starting it
/// would undo what the user wanted, so this only waits for it.
pub(crate) async fn reconnect(home: &Home) -> Result<bool, Failure> {
    let socket = socket(home)?;
    let start = Instant::now();
    while start.elapsed() < RESTART_TIMEOUT {
        tokio::time::sleep(RESTART_POLL).await;
        if socket.exists() {
            return ready(home).await.map(|_| true);
        }
    }
    Ok(false)
}

/// Like [`reconnect`], but fails if no daemon starts. `meanwhile` describes what continues without it.
pub(crate) async fn reconnect_or_fail(home: &Home, meanwhile: &str, task: &str) -> Result<(), Failure> {
    if reconnect(home).await? {
        return Ok(());
    }
    Err(Failure::new(format!("the daemon was stopped while this command was waiting; {meanwhile}"))
        .hint(format!("check the task with `kugetsu queue show {task}`")))
}

/// Makes a running daemon reread the settings. It would notice the change anyway, but a mistake then is an error of the
/// command that made it.
pub(crate) async fn reload_if_running(home: &Home) -> Result<(), Failure> {
    if let Some(mut client) = running(home).await? {
        client.call(&endpoints::RELOAD, &NoFields {}).await?;
    }
    Ok(())
}

/// The lock file holds the daemon's version, so this takes no request.
fn warn_of_other_version(home: &Home) {
    let own = env!("CARGO_PKG_VERSION");
    if let Some(holder) = lock::holder(home)
        && holder.version != own
    {
        ui::warning(format!(
            "the running daemon has version {}, this command has {own}; stop it with `kugetsu daemon stop` to let the next \
             command start the new version (runs continue)",
            holder.version
        ));
    }
}
