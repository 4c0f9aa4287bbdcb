//! kugetsu-agent
