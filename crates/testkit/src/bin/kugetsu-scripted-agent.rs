//! An ACP agent that carries out the script in its prompt; see `kugetsu_testkit::agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kugetsu_testkit::agent::program::run()
}
