//! An ACP agent that does what its prompt says; see `kugetsu_testkit::agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kugetsu_testkit::agent::program::run()
}
