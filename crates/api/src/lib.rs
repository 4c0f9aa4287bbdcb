//! kugetsu-api
