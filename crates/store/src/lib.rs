//! kugetsu-store
