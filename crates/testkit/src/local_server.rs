//! An HTTP server on 127.0.0.1 with its own thread and runtime, because a test may block its only thread while the
//! program under test waits for a response.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running server. Dropping it closes all connections and ends the thread.
#[derive(Debug)]
pub struct LocalServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalServer {
    /// Serves `router` on a free port, which accepts connections when this returns.
    pub fn start(name: &str, router: Router) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(name, free, router).expect("a free port on 127.0.0.1")
    }

    /// Serves `router` at `address`, which accepts connections when this returns.
    ///
    /// # Errors
    /// The address cannot be bound, for example because another program uses it.
    pub fn start_at(name: &str, address: SocketAddr, router: Router) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let router = router.layer(DefaultBodyLimit::disable());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(listener, router, stopped))
            .expect("a thread for the server");
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the server on {} panicked", self.address);
        }
    }
}

fn serve(listener: std::net::TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for the server");
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).expect("a listener in the runtime");
        tokio::select! {
            result = axum::serve(listener, router).into_future() => result.expect("serving"),
            _ = stopped => {}
        }
    });
    // Scripts can make requests hang, so running ones are dropped instead of awaited.
    runtime.shutdown_background();
}
