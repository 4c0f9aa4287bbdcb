//! kugetsu-forge
