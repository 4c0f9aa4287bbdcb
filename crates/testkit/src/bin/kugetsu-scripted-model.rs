//! A model server that follows the script in the message. Prints the variables that make opencode use it, one
//! `NAME=value` per line and an empty line at the end, and serves until its stdin closes. The argument is its answer to a
//! message without a script.
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::io::Read;

use kugetsu_testkit::{ModelServer, Script};

fn main() -> std::io::Result<()> {
    let answer = std::env::args().nth(1);
    let answer = answer.as_deref().unwrap_or("The message has no script.");
    let model = ModelServer::start(Script::say(answer));
    for (name, value) in model.opencode_env() {
        println!("{name}={value}");
    }
    println!();
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
