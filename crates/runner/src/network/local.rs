//! Programs on this machine that an agent may use.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::records::spool::Spool;

/// Programs on this machine.
#[derive(Clone, Debug)]
pub(super) struct Local {
    spool: Spool,
    /// Ports that were noted as unreachable.
    unreachable: Arc<Mutex<BTreeSet<u16>>>,
}

impl Local {
    pub(super) fn new(spool: &Spool) -> Self {
        Self { spool: spool.clone(), unreachable: Arc::default() }
    }
}

/// Connects to a program on this machine.
pub(super) async fn forward(mut inside: TcpStream, (local, port): (Local, u16)) {
    match connect_local(port).await {
        // Either side may break the connection.
        Ok(mut outside) => drop(copy_bidirectional(&mut inside, &mut outside).await),
        Err(error) => {
            if local.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
                local
                    .spool
                    .notice(format!("localhost:{port}, which run.allow_hosts names, cannot be reached: {error}"));
            }
        }
    }
}

pub(super) async fn connect_local(port: u16) -> io::Result<TcpStream> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => Ok(stream),
        Err(error) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.map_err(|_| error),
    }
}
