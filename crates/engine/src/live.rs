//! Sets the engine going.

use kugetsu_api::order::Word;

use crate::dispatcher;
use crate::engine::Engine;
use crate::recover::recover;

/// Finds out what became of everything, then dispatches and passes changed settings on, for as long as it is polled.
pub async fn serve_engine(engine: Engine) {
    while let Err(error) = recover(&engine).await {
        tracing::error!(%error, "the stored state cannot be read; trying again");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    tokio::join!(dispatcher::run(engine.clone()), pass_settings_on(engine));
}

/// A changed setting reaches running runs, and may free places.
async fn pass_settings_on(engine: Engine) {
    let mut changes = engine.settings_changes();
    while changes.changed().await.is_ok() {
        engine.runners().tell_limits(engine.limits());
        engine.wake_dispatcher();
    }
}

/// What a runner is told when it connects: that the daemon is there, and what it may have missed.
pub(crate) fn first_words(engine: &Engine, stop: bool) -> Vec<Word> {
    let mut words = vec![Word::Hello, Word::Limits(engine.limits())];
    if stop {
        words.push(Word::Stop);
    }
    words
}
