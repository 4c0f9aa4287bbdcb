//! kugetsu-testkit
