//! A model server that does what the message says, for people: prints the variables that make opencode use it, one
//! `NAME=value` a line and an empty line at the end, and serves until its stdin ends. Its argument is what it says to a
//! message without a script.
#![allow(clippy::print_stdout, reason = "a program speaks through stdout")]

use std::io::Read;

use kugetsu_testkit::{ModelServer, Script};

fn main() -> std::io::Result<()> {
    let otherwise = std::env::args().nth(1);
    let otherwise = otherwise.as_deref().unwrap_or("I have no script, so there is nothing I can do.");
    let model = ModelServer::start(Script::say(otherwise));
    for (name, value) in model.opencode_env() {
        println!("{name}={value}");
    }
    println!();
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
