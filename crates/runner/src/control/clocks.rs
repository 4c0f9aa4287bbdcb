//! A run's two clocks: the wall clock of the whole run, and the silence of the agent. Neither counts the time in which the
//! machine slept, and after it the silence starts at zero: an agent's connections broke meanwhile.

use std::time::Duration;

use kugetsu_api::run_spec::Limits;
use tokio::time::Instant;

use super::awake::AwakeClock;

/// How long an agent may take to open its session if `run.silence` is shorter: on a busy machine a start takes longer than
/// any response.
const START_LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    clock: AwakeClock,
    /// The number of the clock's wakes that are taken into account.
    wakes: u32,
    started: Instant,
    /// The agent's last sign of life; `None` while no agent runs.
    heard: Option<Instant>,
    /// Whether the agent has no session yet.
    starting: bool,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The whole run took longer than this.
    Wall(Duration),
    /// The agent gave no sign of life for this long.
    Silence(Duration),
    /// The agent did not open its session within this time.
    Start(Duration),
}

impl Clocks {
    /// Starts the wall clock.
    pub(crate) fn start(limits: Limits, clock: AwakeClock) -> Self {
        Self { wakes: clock.wakes(), started: clock.now(), clock, heard: None, starting: true, limits }
    }

    /// Applies changed limits, which count from the start of the run.
    pub(crate) const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How often the agent may repeat itself; 0 is as often as it likes.
    pub(crate) const fn max_repeats(&self) -> u32 {
        self.limits.max_repeats
    }

    /// Notes a sign of life, or that one is expected from now on.
    pub(crate) fn heard(&mut self) {
        self.heard = Some(self.clock.now());
    }

    /// From now on the agent is expected to respond within the limit of silence.
    pub(crate) fn session_is_open(&mut self) {
        self.starting = false;
        self.heard();
    }

    /// No agent is left that could be silent; the wall clock continues.
    pub(crate) fn agent_is_gone(&mut self) {
        self.heard = None;
    }

    /// Whether an agent runs that is expected to respond.
    pub(crate) const fn has_agent(&self) -> bool {
        self.heard.is_some()
    }

    /// Waits until a clock runs out.
    pub(crate) async fn expired(&mut self) -> Expired {
        loop {
            let (end, expired) = self.next();
            let left = end.saturating_duration_since(self.clock.now());
            if left.is_zero() && self.wakes == self.clock.wakes() {
                return expired;
            }
            tokio::time::sleep(left).await;
            if self.wakes != self.clock.wakes() {
                self.wakes = self.clock.wakes();
                self.heard = self.heard.map(|_| self.clock.now());
            }
        }
    }

    /// The clock that runs out first, and when.
    fn next(&self) -> (Instant, Expired) {
        let wall = Duration::from_secs(self.limits.timeout_seconds);
        let mut silence = Duration::from_secs(self.limits.silence_seconds);
        if self.starting {
            silence = silence.max(START_LIMIT);
        }
        let wall_end = self.started + wall;
        match self.heard.map(|heard| heard + silence).filter(|end| *end < wall_end) {
            Some(end) if self.starting => (end, Expired::Start(silence)),
            Some(end) => (end, Expired::Silence(silence)),
            None => (wall_end, Expired::Wall(wall)),
        }
    }
}

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wall(limit) => {
                write!(f, "the run exceeded its time limit of {} (setting run.timeout)", written(*limit))
            }
            Self::Silence(limit) => {
                write!(f, "the agent gave no sign of life for {} (setting run.silence)", written(*limit))
            }
            Self::Start(limit) => {
                let (limit, least) = (written(*limit), written(START_LIMIT));
                write!(
                    f,
                    "the agent did not open its session within {limit} (setting run.silence, but at least {least})"
                )
            }
        }
    }
}

/// A duration as in the settings: `90s`, `10m`, `1h`.
fn written(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { timeout_seconds: 3600, silence_seconds: 600, max_repeats: 20 };

    #[tokio::test(start_paused = true)]
    async fn every_run_has_an_end() {
        let mut clocks = Clocks::start(LIMITS, AwakeClock::plain());
        let began = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Wall(Duration::from_secs(3600)));
        assert_eq!(began.elapsed().as_secs(), 3600, "without an agent only the wall clock counts");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_sign_of_life() {
        let mut clocks = Clocks::start(LIMITS, AwakeClock::plain());
        clocks.session_is_open();
        tokio::time::advance(Duration::from_secs(500)).await;
        clocks.heard();
        let heard = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(600)));
        assert_eq!(heard.elapsed().as_secs(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_of_the_machine_is_no_silence() {
        let mut clocks = Clocks::start(LIMITS, AwakeClock::start());
        clocks.session_is_open();
        let start = Instant::now();
        let mut expired = std::pin::pin!(clocks.expired());
        let early = tokio::time::timeout(Duration::from_secs(590), &mut expired).await;
        assert!(early.is_err());
        // Longer than both limits, at once.
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert_eq!(expired.await, Expired::Silence(Duration::from_secs(600)));
        let silent = start.elapsed().as_secs() - 7200;
        assert!((1180..=1220).contains(&silent), "it is silent for as long as the limit again: {silent} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_may_take_longer_than_a_response() {
        let mut clocks = Clocks::start(Limits { silence_seconds: 2, ..LIMITS }, AwakeClock::plain());
        clocks.heard();
        let began = Instant::now();
        let expired = clocks.expired().await;
        assert_eq!(expired, Expired::Start(START_LIMIT));
        assert!(expired.to_string().starts_with("the agent did not open its session within "), "{expired}");
        assert_eq!(began.elapsed(), START_LIMIT);
        clocks.session_is_open();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn changed_limits_apply_at_once() {
        let mut clocks = Clocks::start(LIMITS, AwakeClock::plain());
        clocks.session_is_open();
        tokio::time::advance(Duration::from_secs(30)).await;
        clocks.set_limits(Limits { silence_seconds: 20, ..LIMITS });
        let now = Instant::now();
        assert_eq!(clocks.expired().await, Expired::Silence(Duration::from_secs(20)));
        assert_eq!(now.elapsed().as_secs(), 0, "it has been silent for longer already");
        assert_eq!(
            Expired::Wall(Duration::from_secs(3600)).to_string(),
            "the run exceeded its time limit of 1h (setting run.timeout)"
        );
    }
}
