//! Asking the server to give up what a connection is running.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Config, ConnectError,
    stream::{Peer, Stream},
};

/// The server answers a cancel request by closing its connection; it only has to send a signal.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// What is needed to cancel a connection's statement.
#[derive(Clone)]
pub(super) struct Canceller {
    pub(super) config: Arc<Config>,
    pub(super) peer: Peer,
    pub(super) process_id: i32,
    pub(super) secret_key: i32,
}

impl fmt::Debug for Canceller {
    /// Without the key, which entitles to cancel.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

impl Canceller {
    /// Sends a cancel request and waits until the server has dealt with it: only then may the connection
    /// be used for something else, or the cancel could hit that.
    pub(super) async fn cancel(&self) -> Result<(), ConnectError> {
        let send = async {
            let mut stream = Stream::open_peer(&self.config, &self.peer).await?;
            let broken = |source| ConnectError::Broken { source };
            let mut out = BytesMut::new();
            frontend::cancel_request(self.process_id, self.secret_key, &mut out);
            stream.write_all(&out).await.map_err(broken)?;
            stream.flush().await.map_err(broken)?;
            let mut rest = [0; 16];
            match stream.read(&mut rest).await {
                Ok(_) => Ok(()),
                // A server that closes TLS without a farewell has still closed.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    Ok(())
                }
                Err(source) => Err(ConnectError::Broken { source }),
            }
        };
        tokio::time::timeout(CANCEL_TIMEOUT, send).await.unwrap_or_else(|_| {
            Err(ConnectError::Timeout { address: self.config.address(), timeout: CANCEL_TIMEOUT })
        })
    }
}
