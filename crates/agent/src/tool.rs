//! Tools, in words that are the same for every agent.

/// What sort of thing a tool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// Reads files or data.
    Read,
    /// Changes files.
    Edit,
    /// Removes files or data.
    Delete,
    /// Moves or renames files.
    Move,
    /// Searches.
    Search,
    /// Runs commands.
    Execute,
    /// Plans, or hands work to a sub-agent.
    Think,
    /// Gets something from the network.
    Fetch,
    /// Anything else.
    Other,
}

impl ToolKind {
    /// The word for it in output and database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Move => "move",
            Self::Search => "search",
            Self::Execute => "execute",
            Self::Think => "think",
            Self::Fetch => "fetch",
            Self::Other => "other",
        }
    }

    /// The kind that the protocol calls by this word; unknown words are [`Other`](Self::Other).
    pub(crate) fn from_wire(word: &str) -> Self {
        [Self::Read, Self::Edit, Self::Delete, Self::Move, Self::Search, Self::Execute, Self::Think, Self::Fetch]
            .into_iter()
            .find(|kind| kind.name() == word)
            .unwrap_or(Self::Other)
    }
}
