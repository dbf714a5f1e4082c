//! The socket under a connection, with or without TLS.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::{Config, ConnectError, Host, SslMode, tls};

/// A peer that vanished without a word is found out within about a minute.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// What was sent and not acknowledged for as long counts as lost; the system's own default is a quarter of
/// an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_mins(1);

/// The protocol's code for "may we speak TLS".
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where a connection was opened, so that a cancel request goes to the very same server.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Stream {
    /// Opens a socket to the configured server.
    pub(super) async fn open(config: &Config) -> Result<(Self, Peer), ConnectError> {
        match &config.host {
            Host::UnixDirectory(directory) => {
                let peer = Peer::Unix(directory.join(format!(".s.PGSQL.{}", config.port)));
                Ok((Self::open_peer(config, &peer).await?, peer))
            }
            Host::Tcp(host) => {
                let resolve = |source| ConnectError::Resolve { host: host.clone(), source };
                let addresses = tokio::net::lookup_host((&**host, config.port)).await.map_err(resolve)?;
                let mut last = resolve(io::ErrorKind::NotFound.into());
                for address in addresses {
                    let peer = Peer::Tcp(address);
                    match Self::open_peer(config, &peer).await {
                        Ok(stream) => return Ok((stream, peer)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// Opens a socket to a server that was reached before.
    pub(super) async fn open_peer(config: &Config, peer: &Peer) -> Result<Self, ConnectError> {
        let failed = |source| ConnectError::Socket { address: config.address(), source };
        match peer {
            Peer::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await.map_err(failed)?)),
            Peer::Tcp(address) => {
                let mut tcp = TcpStream::connect(address).await.map_err(failed)?;
                tcp.set_nodelay(true).map_err(failed)?;
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_IDLE)
                    .with_interval(KEEPALIVE_INTERVAL)
                    .with_retries(KEEPALIVE_RETRIES);
                SockRef::from(&tcp).set_tcp_keepalive(&keepalive).map_err(failed)?;
                #[cfg(target_os = "linux")]
                SockRef::from(&tcp).set_tcp_user_timeout(Some(UNACKNOWLEDGED)).map_err(failed)?;
                if config.sslmode == SslMode::Disable || !offers_tls(&mut tcp).await.map_err(failed)? {
                    return match config.sslmode {
                        SslMode::Disable | SslMode::Prefer => Ok(Self::Tcp(tcp)),
                        _ => Err(ConnectError::TlsNotOffered { address: config.address() }),
                    };
                }
                tls::handshake(config, tcp).await.map(|tls| Self::Tls(Box::new(tls)))
            }
        }
    }

    /// The server's certificate, if there is one.
    pub(super) fn server_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(tls) => tls.get_ref().1.peer_certificates()?.first().map(AsRef::as_ref),
            _ => None,
        }
    }
}

/// Reads exactly one byte: anything more that an attacker slipped in before the handshake would break it.
async fn offers_tls(tcp: &mut TcpStream) -> io::Result<bool> {
    tcp.write_all(&SSL_REQUEST).await?;
    match tcp.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a Postgres server")),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
