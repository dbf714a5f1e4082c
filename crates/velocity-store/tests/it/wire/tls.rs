//! Logging in over TCP: TLS, SCRAM with channel binding, and servers that lie.

use std::sync::atomic::{AtomicU16, Ordering};
use std::{
    fs,
    net::TcpListener as StdListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use velocity_store::wire::{
    Config, ConnectError, Connection, Exclusive, ExclusiveLimits, Session, UnavailableReason,
};

use super::fixture::{Database, connect, eventually, pipeline, sql, text};

/// A Postgres on a TCP port, with a certificate for `localhost` only.
struct Server {
    child: Child,
    dir: TempDir,
    port: u16,
}

const PASSWORD: &str = "pass w'ord\\ä";

const HBA: &str = "
    local all postgres trust
    hostssl all secure 127.0.0.1/32 scram-sha-256
    hostnossl all secure 127.0.0.1/32 reject
    host all plain 127.0.0.1/32 scram-sha-256
    host all old 127.0.0.1/32 md5
    host all clear 127.0.0.1/32 password
    host all trusted 127.0.0.1/32 trust
";

const LOGINS: &str = r"
    create role secure login password 'pass w''ord\ä'; create role plain login password 'pass w''ord\ä';
    create role clear login password 'pass w''ord\ä'; create role trusted login;
    set password_encryption = md5; create role old login password 'pass w''ord\ä'";

impl Server {
    async fn start(tls: bool) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let db = Database::new().await;
        let bin = db.bin_dir.clone();
        let dir = tempfile::tempdir().unwrap();
        let account = account();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        own(dir.path(), account);
        own(&data, account);
        let run = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command.current_dir(&data).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((uid, gid)) = account {
                command.uid(uid).gid(gid);
            }
            command
        };
        let made = run("initdb").args(["-U", "postgres", "-A", "trust", "--no-sync", "-D", "."]).status();
        assert!(made.unwrap().success());
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        certificates(&data, account);
        // Below those that the system gives to whoever asks for any, so that no connection of another test takes it first.
        let base = 10_000 + u16::try_from(std::process::id() % 9_000).unwrap();
        let mut ports = std::iter::repeat_with(|| base + NEXT.fetch_add(1, Ordering::Relaxed));
        let port = ports.find(|port| StdListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        let child = run("postgres")
            .args(["-D", ".", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=."])
            .args(["-c", &format!("port={port}"), "-c", &format!("ssl={tls}"), "-c", "fsync=off"])
            .args(["-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key"])
            .spawn()
            .unwrap();
        let server = Self { child, dir, port };
        let socket = data.join(format!(".s.PGSQL.{port}"));
        eventually("the server listens", async || socket.exists()).await;
        let url = format!("host={} port={port} user=postgres dbname=postgres", data.display());
        eventually("the server is up", async || {
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok()
        })
        .await;
        connect(&url).await.batch_execute(LOGINS).await.unwrap();
        server
    }

    fn config(&self, user: &str, host: &str, rest: &str) -> Config {
        let rest = rest.replace("$ca", &self.dir.path().join("data/ca.crt").display().to_string());
        let password = PASSWORD.replace('\\', r"\\").replace('\'', r"\'");
        format!("host={host} port={} user={user} dbname=postgres password='{password}' {rest}", self.port)
            .parse()
            .unwrap()
    }

    async fn connect(&self, user: &str, host: &str, rest: &str) -> Result<Connection, ConnectError> {
        Connection::connect(&Arc::new(self.config(user, host, rest))).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
    }
}

/// Postgres refuses to run as root.
fn account() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let me = fs::metadata("/proc/self").unwrap().uid();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let postgres = passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields[0] == "postgres").then(|| (fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    });
    if me == 0 { Some(postgres.unwrap_or((65534, 65534))) } else { None }
}

fn own(path: &Path, account: Option<(u32, u32)>) {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some((uid, gid)) = account {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificates(data: &Path, account: Option<(u32, u32)>) {
    let ca = authority();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &ca).unwrap();
    for (name, content) in [
        ("ca.crt", ca.pem()),
        ("other.crt", authority().pem()),
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(data.join(name), content).unwrap();
        own(&data.join(name), account);
    }
}

/// The whole chain of causes, as a log would show it.
fn explained(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(!text.contains("ord\\"), "a password shows in: {text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scram_with_channel_binding_over_verified_tls_works_with_pool_and_cancel() {
    let server = Server::start(true).await;
    let all = "sslmode=verify-full sslrootcert=$ca channel_binding=require application_name=wire";
    let limits = ExclusiveLimits { connections: 1, ..ExclusiveLimits::default() };
    let pool = Exclusive::new(server.config("secure", "localhost", all), limits);
    let about = "select s.ssl::text, a.application_name from pg_stat_ssl s join pg_stat_activity a using (pid) \
                 where pid = pg_backend_pid()";
    let results = pool.pipeline(pipeline(Session::login(), [sql(about)])).await.unwrap();
    assert_eq!((text(&results[0], 0, 0), text(&results[0], 0, 1)), ("true".into(), "wire".into()));

    let wide = sql("select repeat('x', 100000) from generate_series(1, 100)");
    let results = pool.pipeline(pipeline(Session::login(), [wide])).await.unwrap();
    assert_eq!(results[0].rows().len(), 100);

    let sleep = pool.pipeline(pipeline(Session::login(), [sql("select pg_sleep(600)")]));
    assert!(tokio::time::timeout(Duration::from_millis(100), sleep).await.is_err());
    pool.pipeline(pipeline(Session::login(), [sql("select 1")])).await.unwrap();
    assert_eq!(pool.counters().created, 1);
}

#[tokio::test]
async fn a_server_is_trusted_as_far_as_sslmode_says() {
    let server = Server::start(true).await;
    for (host, rest) in [
        ("localhost", "sslmode=verify-full sslrootcert=$ca"),
        ("127.0.0.1", "sslmode=verify-ca sslrootcert=$ca"),
        ("127.0.0.1", "sslmode=require sslrootcert=$ca"),
        ("127.0.0.1", "sslmode=require"),
        ("127.0.0.1", "sslmode=prefer channel_binding=require"),
        ("127.0.0.1", "channel_binding=disable"),
    ] {
        let connected = server.connect("secure", host, rest).await;
        assert!(connected.is_ok(), "{host} {rest}: {}", explained(&connected.unwrap_err()));
    }
    let other = server.dir.path().join("data/other.crt").display().to_string();
    for (host, rest, part) in [
        ("127.0.0.1", "sslmode=verify-full sslrootcert=$ca", "not valid for name"),
        ("localhost", &format!("sslmode=verify-full sslrootcert={other}"), "invalid peer certificate"),
        ("localhost", &format!("sslmode=verify-ca sslrootcert={other}"), "invalid peer certificate"),
        ("localhost", &format!("sslmode=require sslrootcert={other}"), "invalid peer certificate"),
        ("localhost", "sslmode=verify-full sslrootcert=/nowhere.crt", "cannot be read"),
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        let error = server.connect("secure", host, rest).await.expect_err(rest);
        assert!(explained(&error).contains(part), "{host} {rest}: {}", explained(&error));
    }
}

#[tokio::test]
async fn every_way_to_prove_a_password_works_and_none_gives_it_away() {
    let server = Server::start(true).await;
    let verified = "sslmode=verify-full sslrootcert=$ca";
    for (user, rest) in [
        ("plain", "sslmode=disable"),
        ("plain", verified),
        ("old", "sslmode=disable"),
        ("old", verified),
        ("clear", verified),
        ("trusted", "sslmode=disable"),
    ] {
        let connected = server.connect(user, "localhost", rest).await;
        assert!(connected.is_ok(), "{user} {rest}: {}", explained(&connected.unwrap_err()));
    }
    for (user, rest) in [("clear", "sslmode=disable"), ("clear", "sslmode=require")] {
        let error = server.connect(user, "localhost", rest).await.unwrap_err();
        assert!(matches!(error, ConnectError::ClearTextPassword), "{error:?}");
    }
    for (user, rest) in
        [("trusted", "sslmode=require channel_binding=require"), ("old", "channel_binding=require")]
    {
        let error = server.connect(user, "localhost", rest).await.unwrap_err();
        assert!(matches!(error, ConnectError::ChannelBinding { .. }), "{error:?}");
    }

    let mut wrong = server.config("plain", "localhost", verified);
    wrong.password = Some(velocity_store::wire::Secret::new("wrong"));
    let error = Connection::connect(&Arc::new(wrong.clone())).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Refused { source } if source.code == "28P01"), "{error:?}");
    wrong.password = None;
    let error = Connection::connect(&Arc::new(wrong.clone())).await.unwrap_err();
    assert!(matches!(error, ConnectError::PasswordMissing { .. }), "{error:?}");
    let pool = Exclusive::new(wrong, ExclusiveLimits::default());
    let error = pool.pipeline(pipeline(Session::login(), [sql("select 1")])).await.unwrap_err();
    assert_eq!(error.unavailable().unwrap().reason, UnavailableReason::Unreachable);
}

#[tokio::test]
async fn a_server_without_tls_is_refused_unless_the_configuration_allows_it() {
    let server = Server::start(false).await;
    assert!(server.connect("plain", "localhost", "sslmode=prefer").await.is_ok());
    for rest in ["sslmode=require", "sslmode=verify-full sslrootcert=$ca"] {
        let error = server.connect("plain", "localhost", rest).await.unwrap_err();
        assert!(matches!(error, ConnectError::TlsNotOffered { .. }), "{error:?}");
    }
    let error = server.connect("plain", "localhost", "channel_binding=require").await.unwrap_err();
    assert!(matches!(error, ConnectError::ChannelBinding { .. }), "{error:?}");
}

/// Plays a server: after each message of the client, sends the next answer. Returns what the client sent.
async fn impostor(answers: Vec<Vec<u8>>) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let play = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for answer in answers {
            socket.read_buf(&mut heard).await.unwrap();
            socket.write_all(&answer).await.unwrap();
        }
        let _ = socket.read_to_end(&mut heard).await;
        heard
    });
    (port, play)
}

fn authentication(kind: u32, rest: &[u8]) -> Vec<u8> {
    let len = u32::try_from(8 + rest.len()).unwrap();
    [&b"R"[..], &len.to_be_bytes(), &kind.to_be_bytes(), rest].concat()
}

#[tokio::test]
async fn an_impostor_gets_neither_the_password_nor_a_session() {
    let scram = authentication(10, b"SCRAM-SHA-256\0\0");
    let bad_nonce = authentication(11, b"r=someone-elses,s=c2FsdA==,i=4096");
    let many_rounds = authentication(11, b"r=x,s=c2FsdA==,i=2000000000");
    let attacks: [(&str, Vec<Vec<u8>>); 6] = [
        ("asks for the password in clear", vec![authentication(3, b"")]),
        ("repeats nobody's nonce", vec![scram.clone(), bad_nonce]),
        ("wants two billion rounds", vec![scram.clone(), many_rounds]),
        ("skips the proof", vec![scram.clone(), authentication(0, b"")]),
        ("offers nothing known", vec![authentication(10, b"SCRAM-MD4\0\0")]),
        ("asks for Kerberos", vec![authentication(7, b"")]),
    ];
    for (what, answers) in attacks {
        let (port, play) = impostor(answers).await;
        let text = format!("host=127.0.0.1 port={port} user=u password=opensesame sslmode=disable");
        let error = Connection::connect(&Arc::new(text.parse().unwrap())).await.expect_err(what);
        assert!(!format!("{error:?} {error}").contains("opensesame"));
        let heard = play.await.unwrap();
        assert!(!String::from_utf8_lossy(&heard).contains("opensesame"), "{what}");
    }
}

#[tokio::test]
async fn bytes_smuggled_in_before_the_handshake_break_it() {
    let smuggled = [b"S".to_vec(), authentication(0, b""), b"Z\0\0\0\x05I".to_vec()].concat();
    let (port, play) = impostor(vec![smuggled]).await;
    let text = format!("host=127.0.0.1 port={port} user=u password=x sslmode=require");
    let error = Connection::connect(&Arc::new(text.parse().unwrap())).await.unwrap_err();
    assert!(matches!(error, ConnectError::TlsHandshake { .. }), "{error:?}");
    drop(play);
}
