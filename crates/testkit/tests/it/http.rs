//! A minimal HTTP client with one request per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use kugetsu_testkit::wait::DEADLINE;
use serde_json::Value;

/// A response; its body is without chunk framing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether the body ended properly.
    pub(crate) complete: bool,
}

/// Sends a request and returns the stream of the response.
pub(crate) fn send(url: &str, headers: &[(&str, &str)], body: &Value) -> BufReader<TcpStream> {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let body = body.to_string();
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{extra}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    BufReader::new(stream)
}

/// Sends a request and reads the whole response.
pub(crate) fn post(url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut stream = send(url, headers, body);
    let head = head(&mut stream);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, complete) =
        if head.to_lowercase().contains("transfer-encoding: chunked") { dechunk(&bytes) } else { (bytes, true) };
    Answer { status, head, body: String::from_utf8(body).unwrap(), complete }
}

/// The status line and the headers.
pub(crate) fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the connection ended within the headers: {head}");
    }
    head
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&bytes[at + 2..at + 2 + size]);
        bytes = &bytes[at + 4 + size..];
    }
    (body, false)
}
