//! What came of a run.

use kugetsu_agent::Usage;
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_domain::run::Verdict;
use kugetsu_git::names::Oid;

use super::verdict::{End, Found, Push, verdict};

/// What came of a run, apart from its cost.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) head: Option<Oid>,
    pub(crate) commits: u64,
    pub(crate) pushed: bool,
}

/// What the model was used for, as it travels.
pub(super) fn used(usage: &Usage) -> WireUsage {
    WireUsage {
        cost_usd: usage.cost_usd.unwrap_or_default(),
        input_tokens: usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        output_tokens: usage.output_tokens + usage.reasoning_tokens,
    }
}

/// The end of a run that never had an agent.
pub(super) fn nothing_done(end: &End) -> Ending {
    let (verdict, reason) = verdict(end, &Found::default(), &Push::None);
    debug_assert_ne!(verdict, Verdict::Done);
    Ending { verdict, reason, head: None, commits: 0, pushed: false }
}
