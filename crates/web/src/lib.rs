//! kugetsu-web
