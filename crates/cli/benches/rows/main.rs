//! What kugetsu costs, each number beside its floor: `cargo xtask bench` runs this and writes `docs/benchmarks.md`.
//!
//! Absolute times differ from machine to machine; the ratios tell more.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on shall stop")]
#![expect(clippy::print_stdout, reason = "a program for people, at a terminal")]

mod crowd;
mod enqueue;
mod idle;
mod latency;
mod page;
mod pueue;
mod stage;

use crate::page::Page;
use crate::stage::Stage;

fn main() {
    let mut page = Page::default();
    // One part alone, for whoever works on it; nothing is written then.
    if std::env::args().any(|word| word == "enqueue") {
        return enqueue::rows(&mut page);
    }
    if std::env::args().any(|word| word == "crowd") {
        return crowd::rows(&mut page);
    }
    {
        let stage = Stage::new();
        latency::rows(&stage, &mut page);
        idle::rows(&stage, &mut page);
    }
    crowd::rows(&mut page);
    enqueue::rows(&mut page);
    page.write();
}
