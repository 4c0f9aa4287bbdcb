//! kugetsu-engine
