//! kugetsu-git
