//! JSON-RPC messages over a pair of byte streams.

mod lines;
mod rpc;

pub(crate) use lines::{Line, LineReader, ReadError};
pub(crate) use rpc::{Closed, ErrorResponse, Incoming, RequestError, Responder, RpcClient, send_all};
