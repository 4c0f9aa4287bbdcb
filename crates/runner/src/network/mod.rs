//! The network of an agent that may connect to certain hosts only.
//!
//! Its sandbox has its own network, with a loopback interface and nothing else. Listeners in it are passed to this process: behind them
//! are a proxy, the tools of kugetsu, and programs on this machine that the settings allow. So nothing in the sandbox resolves a name,
//! sends a datagram or chooses an address.

mod agent_network;
mod client_hello;
mod destination;
mod proxy;
mod upstream;

pub(crate) use agent_network::{AgentNetwork, Connections, spawn};
