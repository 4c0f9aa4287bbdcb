//! Runs `git http-backend` as a CGI program and streams bodies in both directions.

use std::path::Path;
use std::process::Stdio;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, header};
use futures::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A request for the backend. `path` is that of a repository below the root.
#[derive(Debug)]
pub(super) struct BackendRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// Passes the request to git and returns its answer with a streaming body.
pub(super) async fn run(root: &Path, request: BackendRequest) -> std::io::Result<Response<Body>> {
    let mut child = command(root, &request).spawn()?;
    let stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    // Git may answer before it has read the whole request.
    tokio::spawn(copy_body(request.body, stdin));
    let response = read_headers(&mut stdout).await?;
    Ok(response.map(|()| Body::from_stream(stream::unfold((stdout, child), next_chunk))))
}

fn command(root: &Path, request: &BackendRequest) -> Command {
    let header = |name: header::HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REQUEST_METHOD", request.method.as_str())
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        // git accepts pushes only from authenticated users.
        .env("REMOTE_USER", "token")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    for (variable, value) in [
        ("CONTENT_TYPE", header(header::CONTENT_TYPE)),
        ("CONTENT_LENGTH", header(header::CONTENT_LENGTH)),
        ("HTTP_CONTENT_ENCODING", header(header::CONTENT_ENCODING)),
        ("GIT_PROTOCOL", header(header::HeaderName::from_static("git-protocol"))),
    ] {
        command.envs(value.map(|value| (variable, value)));
    }
    command
}

/// Copies the request's body to git. Either side may close early.
async fn copy_body(body: Body, mut stdin: ChildStdin) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        if stdin.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// Reads the CGI headers up to the empty line.
async fn read_headers(stdout: &mut BufReader<ChildStdout>) -> std::io::Result<Response<()>> {
    let mut response = Response::builder();
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(std::io::Error::other("git http-backend ended before its headers"));
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else { break };
        response = if name.eq_ignore_ascii_case("status") {
            response.status(value.split(' ').next().unwrap_or(value))
        } else {
            response.header(name, value)
        };
    }
    response.body(()).map_err(std::io::Error::other)
}

async fn next_chunk(
    (mut stdout, mut child): (BufReader<ChildStdout>, Child),
) -> Option<(std::io::Result<Bytes>, (BufReader<ChildStdout>, Child))> {
    let mut buffer = vec![0; 64 * 1024];
    match stdout.read(&mut buffer).await {
        Ok(0) => {
            // Reap the process; its answer has already shown whether it succeeded.
            let _status = child.wait().await;
            None
        }
        Ok(length) => {
            buffer.truncate(length);
            Some((Ok(buffer.into()), (stdout, child)))
        }
        Err(error) => Some((Err(error), (stdout, child))),
    }
}
