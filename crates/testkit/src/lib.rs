//! Test doubles for tests and the demo: a model server, an ACP agent program, git repositories, a git server that checks
//! a token, forges with issues and pull requests, and a hermetic home for the programs of a test.
//!
//! Nothing here is part of the product. The doubles are real programs and real servers on real sockets, so the code under
//! test needs no hooks for tests. They import no other crate of the workspace, so every crate can use them.
//!
//! # How they fit together
//!
//! A test creates a [`Home`] first: it is dropped last and then kills the processes that are left. It starts the servers
//! that it needs, and the program under test with [`Home::command`] or [`Home::run`]. The issue or the message says after
//! `kugetsu-script:` what the agent does. The script is read by the scripted agent (commands in [`agent::command`]) or by
//! the model server that a real agent calls (steps in [`model::script`]); a JSON script of model steps works with both.
//!
//! ```no_run
//! use kugetsu_testkit::{GitServer, Home, ModelServer, Repository, Script, Step, eventually, scripted_agent};
//!
//! let mut home = Home::new();
//!
//! // Repositories that need a token. The test reads pushed commits from the server's repository.
//! let server = GitServer::start("s3cret");
//! server.add_repository_from("owner/project", &Repository::with_commit());
//! let url = server.url("owner/project");
//!
//! // Without a model: an ACP agent that carries out its prompt, in place of opencode.
//! let programs = home.folder("programs");
//! std::os::unix::fs::symlink(scripted_agent(), programs.join("opencode")).unwrap();
//! home.prepend_path(&programs);
//! let message = r#"kugetsu-script: [{"write": {"path": "a.txt", "text": "a"}}, {"commit": "Add a"}]"#;
//!
//! // With the real opencode: a model that follows the script of the prompt or of the test.
//! let model = ModelServer::start(Script::new([Step::bash("ls"), Step::wait("door"), Step::Say("Done.".into())]));
//! for (name, value) in model.opencode_env() {
//!     home.set(name, value);
//! }
//!
//! let mut program = home.command("the-program-under-test");
//! let output = home.run(program.args([url.as_str(), message]));
//! assert!(output.status.success());
//! model.block_for_waiting("door", 1); // now the agent is in the middle of its turn
//! model.open_gate("door");
//! eventually("the pushed commit", || server.repository("owner/project").log("main").contains(&"Add a".to_owned()));
//! ```
//!
//! Nothing needs the internet. `KUGETSU_TEST_KEEP=1` keeps the homes of tests that pass. `KUGETSU_SCRIPTED_AGENT` names
//! the agent's program if it is not beside the test's program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot be set up must stop at once with a message"
)]
#![allow(clippy::print_stderr, reason = "messages for the developer of a test")]

pub mod agent;
pub mod corpus;
pub mod forge_server;
pub mod git_server;
pub mod home;
pub mod local_server;
pub mod model;
pub mod peer;
pub mod quiet;
pub mod real_agent;
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
pub use real_agent::RealAgent;
pub use repository::temporary::Repository;
pub use wait::{eventually, eventually_async, eventually_within};
