//! The proxy through which this machine reaches the network, if its environment names one.

use std::ffi::OsString;
use std::io;

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of the answer of a proxy.
const ANSWER_MAX: usize = 16 * 1024;

/// Which hosts are reached through which proxy.
#[derive(Debug)]
pub(super) struct Upstream(Matcher);

/// A proxy for one connection.
pub(super) struct Proxy(Intercept);

impl Upstream {
    /// `variable` looks up a variable of the agent.
    pub(super) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |names: [&str; 2]| {
            let mut values = names.iter().filter_map(|name| variable(name)?.into_string().ok());
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        let matcher = Matcher::builder()
            .http(variable(["http_proxy", "HTTP_PROXY"]))
            .https(variable(["https_proxy", "HTTPS_PROXY"]))
            .all(variable(["all_proxy", "ALL_PROXY"]))
            .no(variable(["no_proxy", "NO_PROXY"]));
        Self(matcher.build())
    }

    /// Every host is reached directly.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(Matcher::builder().build())
    }

    pub(super) fn proxy_for(&self, name: &str, port: u16) -> Option<Proxy> {
        let scheme = if port == 80 { "http" } else { "https" };
        let uri: Uri = format!("{scheme}://{name}:{port}/").parse().ok()?;
        self.0.intercept(&uri).map(Proxy)
    }
}

impl Proxy {
    /// Asks the proxy for a connection. It looks the name up, so that its address is not known here.
    pub(super) async fn connect(&self, name: &str, port: u16) -> io::Result<TcpStream> {
        let uri = self.0.uri();
        let shown = format!("{}://{}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default());
        if uri.scheme_str() != Some("http") {
            return Err(io::Error::other(format!("the proxy {shown} of this machine is not reached by plain HTTP")));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("the proxy {shown} of this machine: {error}")))?;
        let mut request = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n").into_bytes();
        if let Some(login) = self.0.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(login.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        let answer = head(&mut stream).await?;
        let status = answer.split_ascii_whitespace().nth(1).unwrap_or_default();
        match status.starts_with('2') {
            true => Ok(stream),
            false => {
                Err(io::Error::other(format!("the proxy {shown} of this machine answered with status {status:?}")))
            }
        }
    }
}

/// Reads up to the empty line, and no byte of what follows.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == ANSWER_MAX {
            return Err(io::Error::other("the answer of the proxy of this machine is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connection_is_requested_from_the_proxy_of_the_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = head(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nfirst").await.unwrap();
            request
        });
        let builder = Matcher::builder().https(format!("http://me:pw@{address}")).no(".internal.example");
        let upstream = Upstream(builder.build());
        assert!(upstream.proxy_for("a.internal.example", 443).is_none());
        let proxy = upstream.proxy_for("api.example", 443).unwrap();
        let mut stream = proxy.connect("api.example", 443).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "first");
        let request = serving.await.unwrap();
        assert!(request.starts_with("CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"), "{request}");
        assert!(request.contains("Proxy-Authorization: Basic bWU6cHc="), "{request}");
    }

    #[tokio::test]
    async fn proxies_that_cannot_be_used_are_named() {
        let upstream = Upstream(Matcher::builder().all("socks5://me:pw@127.0.0.1:1").build());
        let error = upstream.proxy_for("api.example", 443).unwrap().connect("api.example", 443).await.unwrap_err();
        assert!(error.to_string().contains("the proxy socks5://127.0.0.1 of this machine"), "{error}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}
