//! A small HTTP/1.1 client: keep-alive, bodies with a length, nothing else.
//!
//! It is what makes the load, so that it must cost little: requests are bytes made beforehand, and of an answer only
//! the status and the length are read.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for a page of 20 records; grows for what is larger.
const BUFFER: usize = 32 * 1024;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The answer to one request.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER] })
    }

    /// Sends a request's bytes and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        let (mut filled, mut head) = (0, None);
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            ensure!(read > 0, "the server closed the connection within an answer");
            filled += read;
            if head.is_none() {
                head = Head::find(&self.buffer[..filled])?;
            }
            let Some(Head { status, start, length }) = head else { continue };
            if filled >= start + length {
                ensure!(filled == start + length, "the server sent more than one answer");
                return Ok(Reply { status, body: &self.buffer[start..filled] });
            }
        }
    }

    /// The body of an answer with that status; any other answer is an error that shows its body.
    pub(crate) async fn expect(&mut self, request: &[u8], status: u16) -> anyhow::Result<&[u8]> {
        let reply = self.exchange(request).await?;
        if reply.status != status {
            let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
            bail!(
                "{} was answered with {} in place of {status}: {}",
                String::from_utf8_lossy(line),
                reply.status,
                String::from_utf8_lossy(&reply.body[..reply.body.len().min(2000)])
            );
        }
        Ok(reply.body)
    }
}

#[derive(Clone, Copy)]
struct Head {
    status: u16,
    /// Where the body starts.
    start: usize,
    length: usize,
}

impl Head {
    /// `None` while the head is not complete.
    fn find(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = &bytes[..end];
        let status = head.get(9..12).and_then(number).context("an answer without a status")?;
        let length = match head.split(|byte| *byte == b'\n').find_map(content_length) {
            Some(length) => length,
            None if status == 204 || status == 304 => 0,
            None => bail!("an answer without content-length"),
        };
        Ok(Some(Self { status: u16::try_from(status)?, start: end + 4, length }))
    }
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let name = line.get(..NAME.len())?;
    if name.eq_ignore_ascii_case(NAME) { number(line[NAME.len()..].trim_ascii()) } else { None }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A request's bytes.
pub(crate) fn request(method: &str, path: &str, token: &str, body: Option<(&str, &[u8])>) -> Vec<u8> {
    let start = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n");
    let mut bytes = start.into_bytes();
    if let Some((content_type, body)) = body {
        // Writing into a vector cannot fail.
        let _ = write!(bytes, "content-type: {content_type}\r\ncontent-length: {}\r\n", body.len());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.map_or(&[], |(_, body)| body));
    bytes
}

/// The address in a URL such as `http://127.0.0.1:8080`.
pub(crate) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not an http URL"))?;
    rest.trim_end_matches('/').parse().with_context(|| format!("{url} names no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_up_to_its_length() {
        let head = Head::find(b"HTTP/1.1 201 Created\r\nETag: \"1\"\r\nContent-Length: 12\r\n\r\n{}")
            .unwrap()
            .unwrap();
        assert_eq!((head.status, head.length), (201, 12));
        assert!(Head::find(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
        assert!(Head::find(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert_eq!(Head::find(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().length, 0);
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let text = String::from_utf8(request("POST", "/a", "t", Some(("application/json", b"{}")))).unwrap();
        assert!(
            text.starts_with("POST /a HTTP/1.1\r\n") && text.ends_with("content-length: 2\r\n\r\n{}"),
            "{text}"
        );
        assert_eq!(address("http://127.0.0.1:80/").unwrap().port(), 80);
        assert!(address("https://x").is_err());
    }
}
