//! `kugetsu tools`: relays the coordinator's tool calls between its agent and the runner. Only the agent starts it.

use clap::Args;
use kugetsu_runner::tools_address;
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::TcpStream;

use crate::exit::Exit;
use crate::failure::Failure;

/// Relay the coordinator's tool calls.
#[derive(Debug, Args)]
pub(crate) struct Tools {}

/// Copies bytes until one side closes.
pub(crate) async fn run() -> Result<Exit, Failure> {
    let (address, word) = tools_address().ok_or_else(|| {
        Failure::usage("`kugetsu tools` is only for the coordinator's agent")
            .hint("send the coordinator a message with `kugetsu delegate \"<message>\"`")
    })?;
    let failed = |error: std::io::Error| Failure::new(format!("could not reach the coordinator's tools: {error}"));
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
