//! A pull or merge request, as far as what is stored of it goes.

use std::fmt;

use jiff::Timestamp;

/// What has become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrState {
    /// Open and ready, and nothing is known against merging it. Reviews and CI may still be missing.
    Open,
    /// Open, marked as not ready.
    Draft,
    /// Open, and known not to fit onto its base.
    Conflict,
    /// Merged.
    Merged,
    /// Closed without having been merged.
    Closed,
}

impl PrState {
    /// The word in outputs and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draft => "draft",
            Self::Conflict => "conflict",
            Self::Merged => "merged",
            Self::Closed => "closed",
        }
    }

    /// The state that [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Draft, Self::Conflict, Self::Merged, Self::Closed]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether it still waits to be merged.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Draft | Self::Conflict)
    }
}

impl fmt::Display for PrState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who said which change belongs to an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrOrigin {
    /// A person. It stays until a person says otherwise.
    Set,
    /// Its server, asked for changes of the branch. There may be a newer one.
    Detected,
}

impl PrOrigin {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "named",
            Self::Detected => "found",
        }
    }

    /// What [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Set, Self::Detected].into_iter().find(|origin| origin.name() == name)
    }
}

/// The change that belongs to an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrLink {
    /// The address of its page.
    pub url: String,
    /// Who said so.
    pub origin: PrOrigin,
    /// What its server said of it, and when; none until it was asked.
    pub checked: Option<(PrState, Timestamp)>,
}

impl PrLink {
    /// A change that a person named, and that its server was not asked about yet.
    pub fn set(url: String) -> Self {
        Self { url, origin: PrOrigin::Set, checked: None }
    }

    /// The change that a person named, where there was another before or none. Naming it once more does not make it unknown
    /// what became of it.
    pub fn replacing(before: Option<Self>, url: String) -> Self {
        let checked = before.filter(|link| link.url == url).and_then(|link| link.checked);
        Self { checked, ..Self::set(url) }
    }

    /// What its server said of it last.
    pub fn state(&self) -> Option<PrState> {
        self.checked.map(|(state, _)| state)
    }
}
