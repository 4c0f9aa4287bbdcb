//! End-to-end tests: the real program, daemon, runners and git. The agent is the scripted one, except in `agents`, `opencode` and
//! `outside`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test reports why")]

mod agents;
mod agents_command;
mod branches;
mod cancel_at_the_end;
mod concurrency;
mod continue_task;
mod crashes;
mod database;
mod delegate;
mod destroy;
mod doctor;
mod forged_reports;
mod full_disk;
mod gc;
mod git_servers;
mod hanging_daemon;
mod holds;
mod import;
mod kills;
mod limits;
mod lists;
mod live_settings;
mod logs;
mod messages;
mod models;
mod moved_home;
mod opencode;
mod outside;
mod pauses;
mod pull_requests;
mod push;
mod queue;
mod references;
mod repos;
#[cfg(target_os = "linux")]
mod restricted_network;
mod run_endings;
mod sandbox;
mod sandboxed_agents;
mod server;
mod settings;
mod start;
mod stop;
mod terminal;
mod times;
mod unfinished;
mod waiting;
mod watch;
mod watches;
mod world;
mod wrong_input;
