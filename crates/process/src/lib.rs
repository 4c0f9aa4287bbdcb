//! kugetsu-process
