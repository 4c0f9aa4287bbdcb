//! The pull request of an issue, as far as it is stored.

use std::fmt;

use jiff::Timestamp;

/// State of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrState {
    /// Open and ready, and not known to conflict. Reviews and CI may be missing.
    Open,
    /// Open and marked as not ready.
    Draft,
    /// Open and known to conflict with its base.
    Conflict,
    Merged,
    /// Closed without having been merged.
    Closed,
}

impl PrState {
    /// The name in outputs and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draft => "draft",
            Self::Conflict => "conflict",
            Self::Merged => "merged",
            Self::Closed => "closed",
        }
    }

    /// The state with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Draft, Self::Conflict, Self::Merged, Self::Closed]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether it can still be merged.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Draft | Self::Conflict)
    }
}

impl fmt::Display for PrState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the pull request of an issue became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrOrigin {
    /// The user set it. It stays until the user sets another one or clears it.
    Set,
    /// The forge found it by the branch. A newer one may replace it.
    Detected,
}

impl PrOrigin {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "named",
            Self::Detected => "found",
        }
    }

    /// The origin with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Set, Self::Detected].into_iter().find(|origin| origin.name() == name)
    }
}

/// The pull request of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrLink {
    /// Address of its page.
    pub url: String,
    pub origin: PrOrigin,
    /// The state that the forge reported last, and when; `None` until it was asked.
    pub checked: Option<(PrState, Timestamp)>,
}

impl PrLink {
    /// A pull request that the user set, not yet checked.
    pub fn set(url: String) -> Self {
        Self { url, origin: PrOrigin::Set, checked: None }
    }

    /// A pull request that the user set instead of `before`. If the address is the same, its checked state is kept.
    pub fn replacing(before: Option<Self>, url: String) -> Self {
        let checked = before.filter(|link| link.url == url).and_then(|link| link.checked);
        Self { checked, ..Self::set(url) }
    }

    /// The state that the forge reported last.
    pub fn state(&self) -> Option<PrState> {
        self.checked.map(|(state, _)| state)
    }
}
