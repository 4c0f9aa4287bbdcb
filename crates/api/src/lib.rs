//! The API of the daemon: requests and responses of commands and runners, the objects that `--json` prints, and a client.
//!
//! Wire types are types of their own, so that they change only by addition, whatever the domain or the database does. The
//! client speaks HTTP over the daemon's unix socket.

pub mod adopt;
pub mod atomic_file;
pub mod client;
pub mod delegate;
pub mod discard;
pub mod endpoint;
pub mod endpoints;
pub mod event;
pub mod gc;
pub mod home;
pub mod home_id;
pub mod issue;
pub mod location;
mod names;
pub mod pause;
mod peer;
pub mod problem;
pub mod program;
pub mod record;
pub mod regular_file;
pub mod repo;
pub mod rescue;
pub mod run;
pub mod run_key;
pub mod run_spec;
pub mod sealed_record;
pub mod status;
pub mod stream;
pub mod task;
pub mod watch;
pub mod why;
