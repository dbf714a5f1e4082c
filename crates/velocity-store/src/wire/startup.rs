//! From an open socket to a connection that is ready for requests.

use std::{collections::HashMap, io};

use bytes::{Buf as _, Bytes, BytesMut};
use postgres_protocol::{
    authentication::{md5_hash, sasl},
    message::frontend,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    ChannelBinding, Config, ConnectError, DbError, Place, Secret, SslMode,
    frame::{Frame, FrameReader},
    stream::Stream,
    tls,
};

/// What the server said about itself while the connection was made.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    pub(super) process_id: i32,
    pub(super) secret_key: i32,
    pub(super) parameters: HashMap<String, String>,
}

/// Logs in. Afterwards the server is idle and waits for the first request.
pub(super) async fn log_in(
    config: &Config,
    stream: &mut Stream,
    reader: &mut FrameReader,
) -> Result<Greeting, ConnectError> {
    let mut talk = Talk { stream, reader };
    let mut out = BytesMut::new();
    let mut parameters =
        vec![("user", &*config.user), ("database", &*config.dbname), ("client_encoding", "UTF8")];
    parameters.extend(config.application_name.as_deref().map(|name| ("application_name", name)));
    parameters.extend(config.options.as_deref().map(|options| ("options", options)));
    frontend::startup_message(parameters, &mut out).map_err(|source| ConnectError::Broken { source })?;
    talk.send(&out).await?;
    authenticate(config, &mut talk).await?;

    let mut greeting = Greeting::default();
    loop {
        let (tag, body) = talk.receive().await?;
        match tag {
            b'K' => {
                if body.len() != 8 {
                    return Err(ConnectError::Protocol("a cancel key of an unknown form".into()));
                }
                let mut body = body;
                greeting.process_id = body.get_i32();
                greeting.secret_key = body.get_i32();
            }
            b'S' => {
                if let Some((name, value)) = parse_parameter(&body) {
                    greeting.parameters.insert(name, value);
                }
            }
            b'Z' => return Ok(greeting),
            _ => return Err(unexpected(tag)),
        }
    }
}

/// Splits the body of a ParameterStatus.
pub(super) fn parse_parameter(body: &[u8]) -> Option<(String, String)> {
    let mut parts = body.split(|b| *b == 0);
    let name = String::from_utf8(parts.next()?.to_vec()).ok()?;
    let value = String::from_utf8(parts.next()?.to_vec()).ok()?;
    Some((name, value))
}

struct Talk<'a> {
    stream: &'a mut Stream,
    reader: &'a mut FrameReader,
}

impl Talk<'_> {
    async fn send(&mut self, out: &[u8]) -> Result<(), ConnectError> {
        let broken = |source| ConnectError::Broken { source };
        self.stream.write_all(out).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    /// The next message; errors of the server become ours, notices are passed over.
    async fn receive(&mut self) -> Result<(u8, Bytes), ConnectError> {
        loop {
            match self.reader.next(0)? {
                Some(Frame::Message { tag: b'N', .. }) => {}
                Some(Frame::Message { tag: b'E', body }) => {
                    let source = Box::new(DbError::parse(&body, Place::Connection)?);
                    return Err(ConnectError::Refused { source });
                }
                Some(Frame::Message { tag, body }) => return Ok((tag, body)),
                Some(Frame::OversizedRow) => return Err(unexpected(b'D')),
                None => {
                    let read = self.stream.read_buf(self.reader.buffer()).await;
                    if read.map_err(|source| ConnectError::Broken { source })? == 0 {
                        return Err(ConnectError::Broken { source: io::ErrorKind::UnexpectedEof.into() });
                    }
                }
            }
        }
    }

    /// The next message, which has to be about authentication: its kind and the rest.
    async fn receive_authentication(&mut self) -> Result<(i32, Bytes), ConnectError> {
        let (tag, mut body) = self.receive().await?;
        if tag != b'R' || body.len() < 4 {
            return Err(unexpected(tag));
        }
        Ok((body.get_i32(), body))
    }
}

fn unexpected(tag: u8) -> ConnectError {
    ConnectError::Protocol(format!("message {:?} while logging in", char::from(tag)))
}

async fn authenticate(config: &Config, talk: &mut Talk<'_>) -> Result<(), ConnectError> {
    let (kind, body) = talk.receive_authentication().await?;
    if config.channel_binding == ChannelBinding::Require && kind != SASL {
        return Err(ConnectError::ChannelBinding { problem: "does not ask for SCRAM" });
    }
    match kind {
        OK => return Ok(()),
        CLEAR_TEXT => {
            // Whoever answers must have proved to be the server before it gets to see the password.
            let verified = matches!(config.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
            if !verified || talk.stream.server_certificate().is_none() {
                return Err(ConnectError::ClearTextPassword);
            }
            send_password(talk, password(config)?.expose().as_bytes()).await?;
        }
        MD5 => {
            let salt = body
                .first_chunk::<4>()
                .ok_or_else(|| ConnectError::Protocol("an md5 request without a salt".into()))?;
            let hash = md5_hash(config.user.as_bytes(), password(config)?.expose().as_bytes(), *salt);
            send_password(talk, hash.as_bytes()).await?;
        }
        SASL => scram(config, talk, &body).await?,
        other => return Err(ConnectError::AuthenticationMethod { method: method_name(other) }),
    }
    match talk.receive_authentication().await? {
        (OK, _) => Ok(()),
        _ => Err(ConnectError::Protocol("no end of authentication".into())),
    }
}

const OK: i32 = 0;
const CLEAR_TEXT: i32 = 3;
const MD5: i32 = 5;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

fn method_name(kind: i32) -> String {
    match kind {
        2 => "Kerberos V5".into(),
        7 => "GSSAPI".into(),
        9 => "SSPI".into(),
        other => format!("number {other}"),
    }
}

fn password(config: &Config) -> Result<&Secret, ConnectError> {
    config.password.as_ref().ok_or_else(|| ConnectError::PasswordMissing { user: config.user.clone() })
}

async fn send_password(talk: &mut Talk<'_>, password: &[u8]) -> Result<(), ConnectError> {
    let mut out = BytesMut::new();
    frontend::password_message(password, &mut out).map_err(|source| ConnectError::Broken { source })?;
    talk.send(&out).await
}

async fn scram(config: &Config, talk: &mut Talk<'_>, mechanisms: &[u8]) -> Result<(), ConnectError> {
    let offered: Vec<&[u8]> = mechanisms.split(|b| *b == 0).filter(|name| !name.is_empty()).collect();
    let offers = |name: &str| offered.contains(&name.as_bytes());
    let bindable = match talk.stream.server_certificate() {
        None => Bindable::NoTls,
        Some(certificate) => tls::end_point_digest(certificate).map_or(Bindable::NoDigest, Bindable::Digest),
    };
    let (binding, mechanism) =
        choose_binding(config.channel_binding, bindable, offers(sasl::SCRAM_SHA_256_PLUS))?;
    if !offers(mechanism) {
        let method = offered.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(", ");
        return Err(ConnectError::AuthenticationMethod { method });
    }
    let failed = |source| ConnectError::Scram { source };
    let mut exchange = sasl::ScramSha256::new(password(config)?.expose().as_bytes(), binding);
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(mechanism, exchange.message(), &mut out).map_err(failed)?;
    talk.send(&out).await?;
    let (SASL_CONTINUE, body) = talk.receive_authentication().await? else {
        return Err(ConnectError::Protocol("no SCRAM challenge".into()));
    };
    exchange.update(&body).map_err(failed)?;
    out.clear();
    frontend::sasl_response(exchange.message(), &mut out).map_err(failed)?;
    talk.send(&out).await?;
    let (SASL_FINAL, body) = talk.receive_authentication().await? else {
        return Err(ConnectError::Protocol("no SCRAM outcome".into()));
    };
    // The server proves here that it knows the password too.
    exchange.finish(&body).map_err(failed)
}

/// What SCRAM could be bound to.
enum Bindable {
    NoTls,
    /// The certificate is signed in a way that has no hash of its own.
    NoDigest,
    Digest(Vec<u8>),
}

fn choose_binding(
    wanted: ChannelBinding,
    bindable: Bindable,
    server_offers: bool,
) -> Result<(sasl::ChannelBinding, &'static str), ConnectError> {
    let plain = |binding, problem| match wanted {
        ChannelBinding::Require => Err(ConnectError::ChannelBinding { problem }),
        _ => Ok((binding, sasl::SCRAM_SHA_256)),
    };
    match bindable {
        _ if wanted == ChannelBinding::Disable => plain(sasl::ChannelBinding::unsupported(), ""),
        Bindable::Digest(digest) if server_offers => {
            Ok((sasl::ChannelBinding::tls_server_end_point(digest), sasl::SCRAM_SHA_256_PLUS))
        }
        // Tells the server that we could have: a middleman who removed the offer is found out.
        Bindable::Digest(_) => {
            plain(sasl::ChannelBinding::unrequested(), "does not offer SCRAM-SHA-256-PLUS")
        }
        Bindable::NoDigest => {
            plain(sasl::ChannelBinding::unsupported(), "has a certificate without a hash to bind to")
        }
        Bindable::NoTls => plain(sasl::ChannelBinding::unsupported(), "does not speak TLS"),
    }
}
