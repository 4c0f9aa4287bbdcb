//! Connections of commands to the daemon, which is started if a command needs it.

use std::future::Future;
use std::time::{Duration, Instant};

use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::task::{TaskObject, TaskRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::daemon::{lock, start};
use crate::failure::Failure;
use crate::paths::socket;
use crate::{setup, ui};

/// How often a request is sent again after its connection broke, and the pause before.
const RETRIES: usize = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a daemon that was stopped may stay away before a waiting command gives up: long enough for an upgrade.
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
        Err(failure) => return Err(home.create().map_or_else(|error| Failure::new(error.to_string()), |()| failure)),
    }
    setup::ensure_home(home)?;
    tracing::info!("starting the daemon");
    start::start(home).await?;
    Ok(Client::connect(&socket(home)?).await?)
}

/// Sends a query. It changes nothing, so it is sent again if the daemon dies meanwhile.
pub(crate) async fn get<Response: DeserializeOwned>(home: &Home, path: &str) -> Result<Response, Failure> {
    with_retry(home, path, async |mut daemon| daemon.get(path).await).await
}

/// Sends a request that changes something. It is not sent again: after a broken connection it is unknown whether the
/// daemon has carried it out.
pub(crate) async fn post<Response: DeserializeOwned>(
    home: &Home,
    path: &str,
    body: &(impl Serialize + Sync),
) -> Result<Response, Failure> {
    let mut client = ready(home).await?;
    Ok(logged(path, client.post(path, body)).await?)
}

/// Queues a task. The task carries its own ID, so sending it again queues it once.
pub(crate) async fn queue(home: &Home, request: &TaskRequest) -> Result<TaskObject, Failure> {
    with_retry(home, path::TASKS, async |mut daemon| daemon.post(path::TASKS, request).await).await
}

/// Sends a message to the coordinator. Like [`queue`], safe to send again.
pub(crate) async fn delegate(home: &Home, request: &DelegateRequest) -> Result<TaskObject, Failure> {
    with_retry(home, path::DELEGATE, async |mut daemon| daemon.post(path::DELEGATE, request).await).await
}

/// Adopts an issue of the script's home. Like [`queue`], safe to send again: an adopted issue is recognized.
pub(crate) async fn adopt(home: &Home, request: &AdoptRequest) -> Result<AdoptedObject, Failure> {
    with_retry(home, path::ADOPT, async |mut daemon| daemon.post(path::ADOPT, request).await).await
}

/// Sends a request, on a new connection each time that one breaks.
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

/// Logs a request without its query: a reference may be a URL with credentials.
async fn logged<Response>(
    path: &str,
    request: impl Future<Output = Result<Response, ClientError>>,
) -> Result<Response, ClientError> {
    let start = Instant::now();
    let result = request.await;
    let path = path.split('?').next().unwrap_or(path);
    let milliseconds = start.elapsed().as_millis();
    match &result {
        Ok(_) => tracing::info!("requested {path} from the daemon ({milliseconds} ms)"),
        Err(error) => tracing::info!("requested {path} from the daemon ({milliseconds} ms): {error}"),
    }
    result
}

/// Waits for a daemon that went away while a command listened to it. Returns false if it stays away.
///
/// A daemon that crashed left its socket behind and is started again. One that was stopped removed it; starting that one
/// would undo what the user wanted, so it is only waited for.
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

/// Like [`reconnect`], for a command that cannot continue without the daemon: fails if it stays away. `meanwhile` says
/// what continues without it.
pub(crate) async fn reconnect_or_fail(home: &Home, meanwhile: &str, task: &str) -> Result<(), Failure> {
    if reconnect(home).await? {
        return Ok(());
    }
    Err(Failure::new(format!("the daemon was stopped while this command was waiting; {meanwhile}"))
        .hint(format!("check the task with `kugetsu queue show {task}`")))
}

/// Makes a running daemon read the settings again. It also notices the change by itself; asking it makes a mistake an
/// error of the command that made it.
pub(crate) async fn reload_if_running(home: &Home) -> Result<(), Failure> {
    if let Some(mut client) = running(home).await? {
        client.post::<serde_json::Value>(path::RELOAD, &()).await?;
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
            "the running daemon has version {}, this command has {own}; stop it with `kugetsu daemon stop`, and the next \
             command starts the new version (runs continue)",
            holder.version
        ));
    }
}
