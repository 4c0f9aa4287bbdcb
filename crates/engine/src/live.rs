//! Sets the engine going.

use crate::coordinator::reports;
use crate::dispatcher;
use crate::engine::Engine;
use crate::pull_requests;
use crate::queue::clean_by_age;
use crate::runners::launch;
use crate::runners::recover::recover;

/// Finds out what became of everything, then dispatches, starts runners and passes changed settings on, for as long as it is polled.
pub async fn serve_engine(engine: Engine) {
    while let Err(error) = recover(&engine).await {
        tracing::error!(%error, "the stored state cannot be read; trying again");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    tokio::join!(
        dispatcher::run(engine.clone()),
        start_runners(engine.clone()),
        look_up_pull_requests(engine.clone()),
        reports::run(engine.clone()),
        clean_by_age(engine.clone()),
        pass_settings_on(engine)
    );
}

/// Starts the runner of every run that is claimed. Each start takes its own time.
async fn start_runners(engine: Engine) {
    let Some(mut launches) = engine.take_launches() else { return };
    while let Some((issue, lease)) = launches.recv().await {
        let engine = engine.clone();
        tokio::spawn(async move { launch::launch(&engine, &issue, lease).await });
    }
}

/// Looks up the pull request of every branch that was pushed.
async fn look_up_pull_requests(engine: Engine) {
    let Some(mut pushes) = engine.take_pushes() else { return };
    while let Some(issue) = pushes.recv().await {
        pull_requests::refresh_later(&engine, issue);
    }
}

/// A changed setting reaches running runs, and may free places.
async fn pass_settings_on(engine: Engine) {
    let mut changes = engine.settings_changes();
    while changes.changed().await.is_ok() {
        engine.runners().tell_limits(engine.limits());
        engine.wake_dispatcher();
    }
}
