//! The binary. Everything is in the library, so that fuzz targets can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    kugetsu::run()
}
