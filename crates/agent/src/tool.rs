//! The kinds of tools that agents use.

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
    Search,
    /// Runs commands.
    Execute,
    /// Plans, or delegates to a sub-agent.
    Think,
    /// Gets something from the network.
    Fetch,
    Other,
}

impl ToolKind {
    /// Returns its name in output and database, which is also that of the protocol.
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

    /// Unknown names are [`Other`](Self::Other).
    pub(crate) fn from_wire(name: &str) -> Self {
        [Self::Read, Self::Edit, Self::Delete, Self::Move, Self::Search, Self::Execute, Self::Think, Self::Fetch]
            .into_iter()
            .find(|kind| kind.name() == name)
            .unwrap_or(Self::Other)
    }
}
