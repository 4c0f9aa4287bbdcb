//! References to repositories, issues and pull requests as users type them. Parsing needs no network, disk or store.

pub mod address;
pub mod clone_url;
pub mod error;
pub mod local;
pub mod mentions;
mod page_path;
pub mod parser;
pub mod reference;
pub mod server_index;
mod ssh;
mod suffix;
pub(crate) mod url_parts;
