//! `kugetsu tools`: carries the coordinator's tool calls between its agent and the runner. Started by the agent only.

use clap::Args;
use kugetsu_runner::tools_address;
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::TcpStream;

use crate::exit::Exit;
use crate::failure::Failure;

/// Carry tool calls.
#[derive(Debug, Args)]
pub(crate) struct Tools {}

/// Carries bytes until one side ends.
pub(crate) async fn run() -> Result<Exit, Failure> {
    let (address, word) = tools_address().ok_or_else(|| {
        Failure::usage("this is started by the coordinator's agent, which is told where its tools are")
            .hint("to ask the coordinator for something: kugetsu delegate \"<message>\"")
    })?;
    let failed = |error: std::io::Error| Failure::new(format!("the coordinator's tools cannot be reached: {error}"));
    let mut stream = TcpStream::connect(&address).await.map_err(failed)?;
    stream.write_all(word.as_bytes()).await.map_err(failed)?;
    let (mut from, mut to) = stream.split();
    let (mut input, mut output) = (stdin(), stdout());
    tokio::select! {
        ended = copy(&mut input, &mut to) => ended.map(drop),
        ended = copy(&mut from, &mut output) => ended.map(drop),
    }
    .map_err(failed)?;
    Ok(Exit::Done)
}
