//! Scripted parts for tests and for the demo: a model server, an ACP agent program, git repositories, a git server
//! with a token, forges with issues and pull requests, and a hermetic home in which real programs run and end.
//!
//! Nothing here is part of the product. The parts are real programs and real servers on real sockets, so that the code
//! under test needs no door for tests; they know nothing of the other crates, so that every crate can use them.
//!
//! # Together
//!
//! A test makes a [`Home`] first (it is dropped last, and ends what is left), then the servers it needs, and starts the
//! program under test with [`Home::command`] or [`Home::run`]. What the agent does is written into the issue or the
//! message, behind `kugetsu-script:`; the part that reads it may be the scripted agent (see [`agent::command`] for its
//! commands) or the model that a real agent asks (see [`model::script`]); one JSON script of model steps drives both.
//!
//! ```no_run
//! use kugetsu_testkit::{GitServer, Home, ModelServer, Repository, Script, Step, eventually, scripted_agent};
//!
//! let mut home = Home::new();
//!
//! // Repositories behind a token: what was pushed is read from the server's own repository.
//! let server = GitServer::start("s3cret");
//! server.add_repository_from("owner/project", &Repository::with_commit());
//! let url = server.url("owner/project");
//!
//! // Without a model: an ACP agent that does what the prompt says, here instead of opencode.
//! let programs = home.folder("programs");
//! std::os::unix::fs::symlink(scripted_agent(), programs.join("opencode")).unwrap();
//! home.prepend_path(&programs);
//! let message = r#"kugetsu-script: [{"write": {"path": "a.txt", "text": "a"}}, {"commit": "Add a"}]"#;
//!
//! // With the real opencode: a model that does what the prompt, or the test, says.
//! let model = ModelServer::start(Script::new([Step::bash("ls"), Step::wait("door"), Step::Say("Done.".into())]));
//! for (name, value) in model.opencode_env() {
//!     home.set(name, value);
//! }
//!
//! let mut program = home.command("the-program-under-test");
//! let output = home.run(program.args([url.as_str(), message]));
//! assert!(output.status.success());
//! model.block_for_waiting("door", 1); // the agent is in the middle of its turn now
//! model.open_gate("door");
//! eventually("the pushed commit", || server.repository("owner/project").log("main").contains(&"Add a".to_owned()));
//! ```
//!
//! Nothing needs the internet. `KUGETSU_TEST_KEEP=1` keeps the homes of tests that pass, `KUGETSU_SCRIPTED_AGENT` names
//! the agent's program where it is not built beside the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot be set up must stop at once, and the panic is the message"
)]
#![allow(clippy::print_stderr, reason = "a test speaks to its developer through stderr")]

pub mod agent;
pub mod forge_server;
pub mod git_server;
pub mod home;
pub mod local_server;
pub mod model;
pub mod repository;
pub mod script_text;
pub mod wait;
pub mod watched;

pub use agent::location::scripted_agent;
pub use forge_server::server::ForgeServer;
pub use git_server::server::GitServer;
pub use home::directory::Home;
pub use model::script::{Script, Step};
pub use model::server::ModelServer;
pub use repository::work::Repository;
pub use wait::{eventually, eventually_async, eventually_within};
