//! A run's two clocks: the wall clock of the whole run, and the silence of the agent.

use std::time::Duration;

use kugetsu_api::run_spec::Limits;
use tokio::time::Instant;

/// How long an agent may take to open a session, if the limit of silence is shorter: on a busy machine a start takes
/// longer than any answer.
const START: Duration = Duration::from_secs(120);

/// The clocks of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    started: Instant,
    /// The agent's last sign of life; `None` while there is no agent to be silent.
    heard: Option<Instant>,
    /// The agent has no session yet.
    starting: bool,
    limits: Limits,
}

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The run took longer than it may.
    Wall(Duration),
    /// The agent gave no sign of life for longer than it may.
    Silence(Duration),
}

impl Clocks {
    /// Starts the wall clock.
    pub(crate) fn start(limits: Limits) -> Self {
        Self { started: Instant::now(), heard: None, starting: true, limits }
    }

    /// The limits changed; they hold from the run's beginning.
    pub(crate) const fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The agent gave a sign of life, or began to be expected to.
    pub(crate) fn heard(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// The agent's session is open: from now on it is expected to speak.
    pub(crate) fn session_is_open(&mut self) {
        self.starting = false;
        self.heard();
    }

    /// There is no agent any more that could be silent; the wall clock goes on.
    pub(crate) fn agent_is_gone(&mut self) {
        self.heard = None;
    }

    /// Waits until a clock runs out.
    pub(crate) async fn expired(&self) -> Expired {
        let wall = Duration::from_secs(self.limits.timeout_seconds);
        let mut silence = Duration::from_secs(self.limits.silence_seconds);
        if self.starting {
            silence = silence.max(START);
        }
        let wall_end = self.started + wall;
        match self.heard.map(|heard| heard + silence).filter(|end| *end < wall_end) {
            Some(end) => {
                tokio::time::sleep_until(end).await;
                Expired::Silence(silence)
            }
            None => {
                tokio::time::sleep_until(wall_end).await;
                Expired::Wall(wall)
            }
        }
    }
}

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wall(limit) => write!(f, "the run took longer than {} (setting run.timeout)", words(*limit)),
            Self::Silence(limit) => {
                write!(f, "the agent gave no sign of life for {} (setting run.silence)", words(*limit))
            }
        }
    }
}

/// A duration as it is written in the settings: `90s`, `10m`, `1h`.
fn words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { timeout_seconds: 3600, silence_seconds: 600 };

    #[tokio::test(start_paused = true)]
    async fn every_run_has_an_end() {
        let clocks = Clocks::start(LIMITS);
        let begun = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Wall(Duration::from_secs(3600)));
        assert_eq!(begun.elapsed().as_secs(), 3600, "without an agent only the wall clock counts");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_sign_of_life() {
        let mut clocks = Clocks::start(LIMITS);
        clocks.session_is_open();
        tokio::time::advance(Duration::from_secs(500)).await;
        clocks.heard();
        let heard = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(600)));
        assert_eq!(heard.elapsed().as_secs(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_may_take_longer_than_an_answer() {
        let mut clocks = Clocks::start(Limits { silence_seconds: 2, ..LIMITS });
        clocks.heard();
        let begun = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Silence(START));
        assert_eq!(begun.elapsed(), START);
        clocks.session_is_open();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_change_hold_at_once() {
        let mut clocks = Clocks::start(LIMITS);
        clocks.session_is_open();
        tokio::time::advance(Duration::from_secs(30)).await;
        clocks.set(Limits { silence_seconds: 20, ..LIMITS });
        let now = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(20)));
        assert_eq!(now.elapsed().as_secs(), 0, "it had been silent for longer already");
        assert_eq!(
            Expired::Wall(Duration::from_secs(3600)).to_string(),
            "the run took longer than 1h (setting run.timeout)"
        );
    }
}
