//! The engine in-process: a real store and real run directories, a scripted runner in place of processes, and a clock that
//! the test sets. A daemon that dies is an engine that is dropped.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot continue has failed")]
#![expect(clippy::print_stderr, reason = "a failing test prints the step at which the daemon died")]

mod budgets;
mod crashes;
mod destroy;
mod every_step;
mod files;
mod gc;
mod holds;
mod loop_page;
mod many_runs;
mod model_limits;
mod models;
mod pull_requests;
mod references;
mod reports;
mod runner;
mod runs;
mod stalls;
mod torn_records;
mod unreadable;
mod watch;
mod world;
