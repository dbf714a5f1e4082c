//! Connections: accepted up to a number, bounded in what a slow client can hold, drained at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;
use tower::ServiceExt as _;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::compression::{Compression, CompressionLayer};
use velocity_access::TrustedProxies;

use crate::client::ClientAddress;
use crate::config::ConnectionConfig;

/// Smallest body that is worth compressing: below, it fits one packet anyway.
const COMPRESS_ABOVE_BYTES: u64 = 1024;
/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown` ends, then lets the requests under way finish, within the drain
/// timeout.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &ConnectionConfig,
    trusted_proxies: &[IpNet],
    open: Option<Gauge>,
    shutdown: impl Future<Output = ()>,
) {
    let server = Server {
        service: Negotiated::new(router),
        builder: builder(config),
        trusted_proxies: TrustedProxies::new(trusted_proxies),
        open: open.unwrap_or_default(),
    };
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(config.max_connections));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => server.spawn(stream, peer, permit, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(config.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off at the end of the drain timeout");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                stream.set_nodelay(true)?;
                return Ok((stream, peer, permit));
            }
            // The client left before we came: nothing is wrong with us.
            Err(error) if is_clients(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder(config: &ConnectionConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Never `pipeline_flush`: with it hyper takes a body as fast as we make it, and an export to a slow client would
    // pile up in memory.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(config.max_head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(config.max_concurrent_streams)
        .keep_alive_interval(config.header_read_timeout);
    builder
}

struct Server {
    service: Negotiated,
    builder: Builder<TokioExecutor>,
    trusted_proxies: TrustedProxies,
    /// How many connections are open.
    open: Gauge,
}

impl Server {
    fn spawn(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) {
        let service =
            Addressed { inner: self.service.clone(), peer, trusted_proxies: self.trusted_proxies.clone() };
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        let open = self.open.clone();
        open.inc();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection ended early");
            }
            open.dec();
            drop(permit);
        });
    }
}

/// The service of one connection, which knows who is at its other end.
#[derive(Clone)]
struct Addressed {
    inner: Negotiated,
    peer: SocketAddr,
    trusted_proxies: TrustedProxies,
}

impl Service<Request<Incoming>> for Addressed {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let client = self.trusted_proxies.client(self.peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(client));
        self.inner.call(request)
    }
}

type LargeAndCompressible = tower_http::compression::predicate::And<SizeAbove, NotForContentType>;

/// The router, with compression around it only for clients that ask for it: the others do not pay for looking.
#[derive(Clone)]
struct Negotiated {
    plain: Router,
    compressing: Compression<Router, LargeAndCompressible>,
}

impl Negotiated {
    fn new(plain: Router) -> Self {
        let predicate =
            SizeAbove::new(COMPRESS_ABOVE_BYTES).and(NotForContentType::const_new("text/event-stream"));
        let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate);
        let compressing = tower::Layer::layer(&layer, plain.clone());
        Self { plain, compressing }
    }
}

impl Service<Request<Incoming>> for Negotiated {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let request = request.map(Body::new);
        if takes_compression(request.headers()) {
            let service = self.compressing.clone();
            Box::pin(async move { Ok(service.oneshot(request).await?.map(Body::new)) })
        } else {
            Box::pin(self.plain.call(request))
        }
    }
}

fn takes_compression(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().any(|value| {
        let bytes = value.as_bytes();
        [&b"gzip"[..], b"zstd"]
            .iter()
            .any(|name| bytes.windows(name.len()).any(|w| w.eq_ignore_ascii_case(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_name_a_compression_get_one() {
        let headers = |value: &str| HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]);
        assert!(takes_compression(&headers("br, GZIP;q=0.5")));
        assert!(takes_compression(&headers("zstd")));
        assert!(!takes_compression(&headers("br, identity")));
        assert!(!takes_compression(&HeaderMap::new()));
    }
}
