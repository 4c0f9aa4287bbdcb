//! House rules that a test can check. Each rule is one test; its failure says where and what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

mod ceilings;
mod code;
mod crates;
mod dependencies;
mod files;
mod fuzz;
mod graph;
mod imports;
mod language;
mod ratchet;
mod repository;
mod scanner;
mod texts;
mod use_tree;
