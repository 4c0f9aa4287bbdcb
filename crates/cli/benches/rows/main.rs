//! The benchmarks that `cargo xtask bench` runs and writes to `docs/benchmarks.md`.
//!
//! Absolute times depend on the machine. Each number has a reference measured in the same run; compare the ratios.
#![expect(clippy::unwrap_used, reason = "a measurement that fails must stop")]
#![expect(clippy::print_stdout, reason = "a command-line program")]

mod enqueue;
mod idle;
mod large;
mod latency;
mod pueue;
mod report;
mod setup;
mod team;
mod webhook;

use crate::report::Report;
use crate::setup::Setup;

fn main() {
    let mut report = Report::default();
    // A single part while it is being worked on; nothing is written then.
    if std::env::args().any(|arg| arg == "enqueue") {
        return enqueue::measure(&mut report);
    }
    if std::env::args().any(|arg| arg == "team") {
        return team::measure(&mut report);
    }
    if std::env::args().any(|arg| arg == "large") {
        return large::measure(&mut report);
    }
    if std::env::args().any(|arg| arg == "webhook") {
        return webhook::measure(&mut report);
    }
    {
        let setup = Setup::new();
        latency::measure(&setup, &mut report);
        idle::measure(&setup, &mut report);
    }
    webhook::measure(&mut report);
    team::measure(&mut report);
    large::measure(&mut report);
    enqueue::measure(&mut report);
    report.write();
}
