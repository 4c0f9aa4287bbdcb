//! Reaches the daemon, and starts it first where a command needs it.

use std::time::{Duration, Instant};

use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::client::{Client, ClientError};
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::task::{TaskObject, TaskRequest};
use serde::de::DeserializeOwned;

use crate::daemon::{lock, start};
use crate::failure::Failure;
use crate::paths::socket;
use crate::{setup, ui};

/// How often a broken connection is tried again, and after what pause.
const AGAIN: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a daemon that was stopped on purpose may stay away, for an upgrade say.
const AWAY: Duration = Duration::from_secs(15);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// A connection to the daemon; none when none runs.
pub(crate) async fn running(home: &Home) -> Result<Option<Client>, Failure> {
    match Client::connect(&socket(home)?).await {
        Ok(client) => {
            warn_of_another_version(home);
            Ok(Some(client))
        }
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A connection to the daemon, which is started where none runs. A home that is not there yet is made.
pub(crate) async fn ready(home: &Home) -> Result<Client, Failure> {
    match running(home).await {
        Ok(Some(client)) => return Ok(client),
        Ok(None) => {}
        // A home that cannot be used says more than the socket in it.
        Err(failure) => return Err(home.create().map_or_else(|error| Failure::new(error.to_string()), |()| failure)),
    }
    setup::ensure_home(home)?;
    start::start(home).await?;
    Ok(Client::connect(&socket(home)?).await?)
}

/// Asks the daemon for something. A daemon that dies while it is asked is started again and asked once more: a question
/// changes nothing.
pub(crate) async fn ask<Answer: DeserializeOwned>(home: &Home, path: &str) -> Result<Answer, Failure> {
    again(home, async |mut daemon| daemon.get(path).await).await
}

/// Queues a task. As [`ask`]: the task carries its own identifier, so that asking twice queues it once.
pub(crate) async fn queue(home: &Home, request: &TaskRequest) -> Result<TaskObject, Failure> {
    again(home, async |mut daemon| daemon.post(path::TASKS, request).await).await
}

/// Hands a message over to the coordinator. As [`queue`].
pub(crate) async fn delegate(home: &Home, request: &DelegateRequest) -> Result<TaskObject, Failure> {
    again(home, async |mut daemon| daemon.post(path::DELEGATE, request).await).await
}

/// Asks for work from before kugetsu to be taken over. As [`queue`]: what was taken over is known the second time.
pub(crate) async fn adopt(home: &Home, request: &AdoptRequest) -> Result<AdoptedObject, Failure> {
    again(home, async |mut daemon| daemon.post(path::ADOPT, request).await).await
}

/// Says something to the daemon, on a new connection each time that one breaks.
async fn again<Answer>(
    home: &Home,
    say: impl AsyncFn(Client) -> Result<Answer, ClientError>,
) -> Result<Answer, Failure> {
    for _ in 0..AGAIN {
        match say(ready(home).await?).await {
            Err(ClientError::Broken(_)) => tokio::time::sleep(PAUSE).await,
            answer => return Ok(answer?),
        }
    }
    Ok(say(ready(home).await?).await?)
}

/// Waits for a daemon that went away while a command listened to it; false when it stays away. One that crashed left its
/// socket, and is started again. One that was stopped took it away, and is waited for: starting it would undo what
/// somebody wanted.
pub(crate) async fn back(home: &Home) -> Result<bool, Failure> {
    let socket = socket(home)?;
    let begin = Instant::now();
    while begin.elapsed() < AWAY {
        tokio::time::sleep(LOOK).await;
        if socket.exists() {
            return ready(home).await.map(|_| true);
        }
    }
    Ok(false)
}

/// As [`back`], for a command that waits for what becomes of a task and cannot go on without. `meanwhile` is what goes on.
///
/// # Errors
/// It stays away.
pub(crate) async fn back_or_tell(home: &Home, meanwhile: &str, task: &str) -> Result<(), Failure> {
    if back(home).await? {
        return Ok(());
    }
    Err(Failure::new(format!("the daemon was stopped while this command waited; {meanwhile}"))
        .hint(format!("to see what became of it: kugetsu queue show {task}")))
}

/// Lets the daemon, if one runs, read the settings again. It would see the change by itself; this way a mistake is told
/// to the person who made it.
pub(crate) async fn reload_if_running(home: &Home) -> Result<(), Failure> {
    if let Some(mut client) = running(home).await? {
        client.post::<serde_json::Value>(path::RELOAD, &()).await?;
    }
    Ok(())
}

/// The daemon's version stands in its lock file, so that asking costs no round trip.
fn warn_of_another_version(home: &Home) {
    let own = env!("CARGO_PKG_VERSION");
    if let Some(holder) = lock::holder(home)
        && holder.version != own
    {
        ui::warning(format!(
            "the running daemon is version {}, this command is {own}; `kugetsu daemon stop` ends it, and the next \
             command starts the new one (runs go on meanwhile)",
            holder.version
        ));
    }
}
