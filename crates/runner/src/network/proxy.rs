//! The HTTP proxy of an agent: tunnels (CONNECT), and requests with an absolute address (RFC 9110, section 7.1; RFC 9112, section 3.2.2).
//!
//! Of a tunnel to the port of HTTPS, the first message is looked at: it has to name the same host.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client_hello::ClientHello;
use super::destination::{Gate, NoConnection, Target};

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Headers that concern one connection only (RFC 9110, section 7.6.1), besides those that `Connection` names.
const OF_ONE_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
    HeaderName::from_static("transfer-encoding"),
    HeaderName::from_static("upgrade"),
];

type Body = Either<Incoming, Full<Bytes>>;

/// The tasks of one connection of the agent: a tunnel, or connections to servers.
type Tasks = Arc<Mutex<JoinSet<()>>>;

/// Serves one connection of the agent. What belongs to it ends with it.
pub(super) async fn serve_proxy(stream: TcpStream, gate: Gate) {
    let tasks = Tasks::default();
    let service = service_fn(|request| {
        let (gate, tasks) = (gate.clone(), Arc::clone(&tasks));
        async move { Ok::<_, Infallible>(answer(request, &gate, &tasks).await.unwrap_or_else(Refusal::into_response)) }
    });
    let connection = server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .half_close(true)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the proxy of the sandbox broke");
    }
    let mut tasks = std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner));
    while tasks.join_next().await.is_some() {}
}

fn spawn(tasks: &Tasks, task: impl Future<Output = ()> + Send + 'static) {
    tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
}

/// A request that is not carried out, with the reason for the agent.
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(why: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_owned())
    }

    fn into_response(self) -> Response<Body> {
        let Self(status, why) = self;
        let mut response = Response::new(Either::Right(Full::from(format!("kugetsu: {why}\n"))));
        *response.status_mut() = status;
        response
    }
}

impl From<NoConnection> for Refusal {
    fn from(error: NoConnection) -> Self {
        let status = if error.is_refusal() { StatusCode::FORBIDDEN } else { StatusCode::BAD_GATEWAY };
        Self(status, error.to_string())
    }
}

async fn answer(request: Request<Incoming>, gate: &Gate, tasks: &Tasks) -> Result<Response<Body>, Refusal> {
    match *request.method() {
        Method::CONNECT => tunnel(request, gate, tasks).await,
        _ => forward(request, gate, tasks).await,
    }
}

async fn tunnel(mut request: Request<Incoming>, gate: &Gate, tasks: &Tasks) -> Result<Response<Body>, Refusal> {
    let authority =
        request.uri().authority().cloned().ok_or_else(|| Refusal::bad("CONNECT needs a host and a port"))?;
    let port = authority.port_u16().ok_or_else(|| Refusal::bad("CONNECT needs a port"))?;
    if port == 80 {
        // In a tunnel, another host could be named.
        return Err(Refusal::bad("use an address with http:// instead of CONNECT for port 80"));
    }
    let target = target(&authority, port, request.headers())?;
    let outside = gate.connect(&target).await?;
    // The client gets its answer before the connection becomes a tunnel.
    let (upgrade, gate) = (hyper::upgrade::on(&mut request), gate.clone());
    spawn(tasks, async move {
        if let Ok(upgraded) = upgrade.await {
            relay(TokioIo::new(upgraded), outside, &target, &gate).await;
        }
    });
    Ok(Response::new(Either::Right(Full::default())))
}

async fn relay(mut inside: TokioIo<Upgraded>, mut outside: TcpStream, target: &Target, gate: &Gate) {
    if target.needs_tls() {
        let hello = ClientHello::read(&mut inside).await;
        let Ok(bytes) = gate.check_tls(target, hello) else { return };
        if outside.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // Either side may break the connection.
    let _ = copy_bidirectional(&mut inside, &mut outside).await;
}

async fn forward(mut request: Request<Incoming>, gate: &Gate, tasks: &Tasks) -> Result<Response<Body>, Refusal> {
    let uri = request.uri();
    let authority = uri.authority().cloned().filter(|_| uri.scheme() == Some(&Scheme::HTTP));
    let authority =
        authority.ok_or_else(|| Refusal::bad("this is a proxy: use CONNECT, or an address with http://"))?;
    let target = target(&authority, authority.port_u16().unwrap_or(80), request.headers())?;
    let stream = gate.connect(&target).await?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::bad("the host is invalid"))?;
    *request.uri_mut() = Uri::from(path);
    remove_of_one_connection(request.headers_mut());
    request.headers_mut().insert(HOST, host);
    let broken = |error: hyper::Error| Refusal(StatusCode::BAD_GATEWAY, format!("{target}: {error}"));
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends when the response has been read, or when either side breaks the connection.
    spawn(tasks, async move { drop(connection.await) });
    let mut response = sender.send_request(request).await.map_err(broken)?;
    remove_of_one_connection(response.headers_mut());
    Ok(response.map(Either::Left))
}

/// The target of a request. Its `Host` has to be the same: servers go by that one.
fn target(authority: &Authority, port: u16, headers: &HeaderMap) -> Result<Target, Refusal> {
    let invalid = || Refusal::bad("the host is invalid");
    if authority.as_str().contains('@') {
        return Err(invalid());
    }
    let target = Target::new(authority.host(), port).ok_or_else(invalid)?;
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(target),
        (Some(host), None) => {
            let host: Authority = host.to_str().ok().and_then(|host| host.parse().ok()).ok_or_else(invalid)?;
            let same = Target::new(host.host(), host.port_u16().unwrap_or(port));
            let is_same = same.as_ref() == Some(&target) && !host.as_str().contains('@');
            if is_same { Ok(target) } else { Err(Refusal::bad("the Host header differs from the target")) }
        }
        (Some(_), Some(_)) => Err(Refusal::bad("the request has several Host headers")),
    }
}

fn remove_of_one_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use kugetsu_api::run_spec::NetworkSpec;
    use kugetsu_domain::allowed_hosts::{AllowList, AllowedHost};
    use kugetsu_domain::redact::Redactor;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::upstream::Upstream;
    use super::*;
    use crate::records::spool::Spool;

    struct Stage {
        directory: tempfile::TempDir,
        /// A server that answers every request with its head.
        server: SocketAddr,
        proxy: SocketAddr,
        gate: Gate,
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    impl Stage {
        /// With further entries besides that of the server.
        async fn new(entries: &[AllowedHost]) -> Self {
            let (listener, server) = listen().await;
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: x\r\n\r\n", head.len());
                    stream.write_all(&[answer.as_bytes(), &head].concat()).await.unwrap();
                }
            });
            // Settings cannot name a loopback address.
            let own = AllowedHost::Address { address: server.ip(), port: Some(server.port()) };
            let allowed = AllowList::new(entries.iter().cloned().chain([own]));
            let directory = tempfile::tempdir().unwrap();
            let spool = Spool::for_test(&directory.path().join("records"), Redactor::new([""; 0])).unwrap();
            let settings = NetworkSpec { allow_hosts: vec!["models".to_owned()], ..NetworkSpec::default() };
            let gate = Gate::new(allowed, Upstream::none(), settings, spool);
            let (listener, proxy) = listen().await;
            let shared = gate.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve_proxy(stream, shared.clone()));
                }
            });
            Self { directory, server, proxy, gate }
        }

        /// Sends these bytes to the proxy, and returns all that comes back.
        async fn send(&self, bytes: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.proxy).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        }

        async fn connect(&self, authority: &str) -> String {
            self.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes()).await
        }

        fn notices(&self) -> Vec<String> {
            let records = std::fs::read_to_string(self.directory.path().join("records")).unwrap();
            records.lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test]
    async fn tunnel_leads_to_an_allowed_target() {
        let stage = Stage::new(&[]).await;
        let server = stage.server;
        let mut stream = TcpStream::connect(stage.proxy).await.unwrap();
        let request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; b"HTTP/1.1 200 OK".len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 200 OK");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            rest.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"anything\r\n\r\n").await.unwrap();
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await.unwrap();
        assert!(echo.ends_with("anything\r\n\r\n"), "{echo}");
        assert_eq!(stage.notices(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn request_is_forwarded_without_headers_of_the_connection() {
        let stage = Stage::new(&[]).await;
        let server = stage.server;
        let request = format!(
            "GET http://{server}/a?b=c HTTP/1.1\r\nHost: {server}\r\nProxy-Authorization: secret\r\nProxy-Connection: x\r\n\
             Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\n\r\n"
        );
        let answer = stage.send(request.as_bytes()).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200 ok"), "{answer}");
        assert!(answer.contains("get /a?b=c http/1.1\r\n") && answer.contains("x-kept: 2"), "{answer}");
        assert!(answer.contains(&format!("host: {server}")), "{answer}");
        for removed in ["secret", "proxy-connection", "x-hop", "keep-alive"] {
            assert!(!answer.contains(removed), "{removed}: {answer}");
        }
    }

    #[tokio::test]
    async fn targets_that_are_not_allowed_are_refused_and_noted_once() {
        let name = AllowedHost::Name { name: "localhost".to_owned(), port: None };
        let stage = Stage::new(&[name]).await;
        let other = SocketAddr::new(stage.server.ip(), stage.server.port() ^ 1);
        for target in
            ["evil.example:443", "evil.example:443", "169.254.169.254:81", "[::1]:22", "0x7f.1:81", &other.to_string()]
        {
            let answer = stage.connect(target).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
        }
        // The name is allowed, and its address is not.
        let answer = stage.connect("localhost:443").await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("an address that is not public"), "{answer}");
        assert!(answer.contains(r#"run.allow_hosts '["models", "localhost:443"]'"#), "{answer}");
        let notices = stage.notices();
        assert_eq!(notices.len(), 6, "{notices:?}");
        assert!(notices[0].contains("no connection to evil.example:443"), "{}", notices[0]);
        assert!(
            notices[0].contains(r#"kugetsu config set run.allow_hosts '[\"models\", \"evil.example\"]'"#),
            "{}",
            notices[0]
        );
    }

    #[tokio::test]
    async fn transcript_names_a_bounded_number_of_hosts() {
        let stage = Stage::new(&[]).await;
        for number in 0..60 {
            assert!(stage.connect(&format!("h{number}.example:443")).await.starts_with("HTTP/1.1 403"));
        }
        let notices = stage.notices();
        assert_eq!(notices.len(), 51, "{notices:?}");
        assert!(notices[50].contains("further failed connections are not shown"), "{}", notices[50]);
    }

    #[tokio::test]
    async fn malformed_and_ambiguous_requests_reach_nothing() {
        let stage = Stage::new(&[]).await;
        let server = stage.server;
        for request in [
            format!("CONNECT {server} HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
            format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\nHost: {server}\r\n\r\n"),
            format!("CONNECT evil.example\0.{server} HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            format!("CONNECT evil@{server} HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            "CONNECT 127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
            format!("GET http://{server}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
            format!("GET http://u:p@{server}/ HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            format!("GET https://{server}/ HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            "GET http://a%00b.example/ HTTP/1.1\r\n\r\n".to_owned(),
            "\x05\x01\0".to_owned(),
            "\x16\x03\x01 hello".to_owned(),
        ] {
            let answer = stage.send(request.as_bytes()).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
        }
        assert_eq!(stage.notices(), Vec::<String>::new());
    }

    /// The first message of TLS for a host.
    fn client_hello(host: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let host = rustls::pki_types::ServerName::try_from(host.to_owned()).unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), host).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        hello
    }

    #[tokio::test]
    async fn tunnel_to_https_names_the_same_host() {
        let stage = Stage::new(&[]).await;
        let (target, gate) = (Target::new("api.example", 443).unwrap(), stage.gate.clone());
        assert!(target.needs_tls());
        let ours = client_hello("API.example");
        for sent in
            [ours.clone(), client_hello("evil.example"), b"GET / HTTP/1.1\r\n\r\n".to_vec(), ours[..20].to_vec()]
        {
            // In two pieces.
            let (first, second) = sent.split_at(sent.len() / 2);
            let (mut client, mut proxy) = tokio::io::duplex(first.len().max(1));
            let checking = async {
                let hello = ClientHello::read(&mut proxy).await;
                let checked = gate.check_tls(&target, hello);
                drop(proxy);
                checked
            };
            let sending = async {
                let _ = client.write_all(first).await;
                let _ = client.write_all(second).await;
                let _ = client.shutdown().await;
            };
            let (checked, ()) = tokio::join!(checking, sending);
            match sent == ours {
                true => assert_eq!(checked.unwrap(), sent, "it is passed on"),
                false => drop(checked.unwrap_err()),
            }
        }
        let notices = stage.notices();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].contains("the connection to api.example:443 was closed: it is TLS with evil.example"),
            "{notices:?}"
        );
    }
}
