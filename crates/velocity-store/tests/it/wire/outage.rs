//! Postgres goes away and comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::TcpListener, time::timeout};
use velocity_localpg::LocalPostgres;
use velocity_store::wire::{
    ConnectError, Connection, Exclusive, ExclusiveLimits, Mux, MuxLimits, Params, Pipeline, Session,
    Statement, UnavailableReason, WireError,
};

use super::fixture::{Database, eventually, options, pipeline, sql, text};

/// Long enough for any machine, short enough to tell a hang.
const NEVER: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    unavailable: AtomicUsize,
}

#[derive(Clone)]
enum Lane {
    Exclusive(Exclusive),
    Mux(Mux),
}

impl Lane {
    async fn run(&self, request: Pipeline) -> Result<Vec<velocity_store::wire::ResultSet>, WireError> {
        match self {
            Self::Exclusive(pool) => pool.pipeline(request).await,
            Self::Mux(mux) => mux.pipeline(request).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_makes_requests_unavailable_at_once_and_they_work_again_after_its_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut postgres = LocalPostgres::start(options(dir.path())).await.unwrap();
    let db = Database::in_cluster(&postgres).await;
    let lanes = [Lane::Exclusive(db.exclusive(4)), Lane::Mux(db.mux(2))];
    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let mut callers = Vec::new();
    for i in 0..12 {
        let (lane, stop, tally) = (lanes[i % 2].clone(), Arc::clone(&stop), Arc::clone(&tally));
        let (session, tenant) = (db.session("a", &format!("t{}", i % 4)), format!("t{}", i % 4));
        callers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let statements = [sql("select min(tenant), max(tenant) from items")];
                let call = timeout(NEVER, lane.run(pipeline(session.clone(), statements)));
                match call.await.expect("a request hangs") {
                    Ok(results) => {
                        assert_eq!(text(&results[0], 0, 0), tenant);
                        assert_eq!(text(&results[0], 0, 1), tenant);
                        tally.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        let unavailable = error.unavailable().unwrap_or_else(|| panic!("{error:?}"));
                        assert!(!unavailable.retry_after.is_zero());
                        tally.unavailable.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        }));
    }
    let progress = async |count: &AtomicUsize, what: &str| {
        let from = count.load(Ordering::Relaxed);
        eventually(what, async || count.load(Ordering::Relaxed) > from + 50).await;
    };
    progress(&tally.answered, "answers before").await;
    postgres.kill().await.unwrap();
    progress(&tally.unavailable, "unavailable during a crash").await;
    postgres.restart().await.unwrap();
    progress(&tally.answered, "answers after the crash").await;
    postgres.restart().await.unwrap();
    progress(&tally.answered, "answers after an orderly restart").await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable_and_left_alone_for_a_while() {
    let db = Database::new().await;
    let mut config = db.config();
    config.port = 1;
    let pool = Exclusive::new(config.clone(), ExclusiveLimits::default());
    let mux = Mux::new(config, MuxLimits::default());
    for _ in 0..20 {
        for lane in [Lane::Exclusive(pool.clone()), Lane::Mux(mux.clone())] {
            let error = lane.run(pipeline(db.session("a", "t1"), [sql("select 1")])).await.unwrap_err();
            let unavailable = error.unavailable().unwrap();
            assert_eq!(unavailable.reason, UnavailableReason::Unreachable);
            assert!(matches!(unavailable.source.as_deref(), Some(ConnectError::Socket { .. })));
        }
    }
    assert!((1..20).contains(&pool.counters().failed), "attempts are spaced: {:?}", pool.counters());
    assert!((1..20).contains(&mux.counters().failed), "attempts are spaced: {:?}", mux.counters());
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_does_not_hold_anybody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let config = format!("host=127.0.0.1 port={port} user=u connect_timeout=1").parse().unwrap();
    let pool = Exclusive::new(config, ExclusiveLimits::default());
    let session = Session::login();
    let call = timeout(NEVER, pool.pipeline(pipeline(session, [sql("select 1")]))).await;
    assert!(call.expect("hangs").unwrap_err().unavailable().is_some());
    silent.abort();
}

#[tokio::test]
async fn a_server_that_speaks_nonsense_is_a_protocol_violation() {
    for nonsense in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x09XXXXX",
        b"E\xff\xff\xff\xff",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 1024]).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, nonsense).await.unwrap();
        });
        let config = format!("host=127.0.0.1 port={port} user=u sslmode=disable").parse().unwrap();
        let outcome = Connection::connect(&Arc::new(config)).await;
        server.await.unwrap();
        // One greeting is well-formed as far as it goes: its sender is no more than a silent server.
        match outcome {
            Err(ConnectError::Protocol(_)) => {}
            Ok(connection) => {
                let session = Session::login();
                assert!(connection.pipeline(pipeline(session, [sql("select 1")])).await.is_err());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_backend_that_stops_answering_is_given_up() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    let results =
        pool.pipeline(pipeline(db.session("a", "t1"), [sql("select pg_backend_pid()::text")])).await.unwrap();
    let pid = text(&results[0], 0, 0);
    let signal = async |name: &str| {
        let status = tokio::process::Command::new("kill").args([name, &pid]).status().await.unwrap();
        assert!(status.success());
    };
    signal("-STOP").await;
    let request =
        pipeline(db.session("a", "t1"), [sql("select 1")]).statement_timeout(Duration::from_millis(50));
    let outcome = timeout(NEVER, pool.pipeline(request)).await;
    signal("-CONT").await;
    let error = outcome.expect("hangs").unwrap_err();
    assert_eq!(error.unavailable().unwrap().reason, UnavailableReason::NoAnswer);
    assert!(pool.pipeline(pipeline(db.session("a", "t1"), [sql("select 1")])).await.is_ok());
}

#[tokio::test]
async fn a_terminated_backend_fails_its_request_only_and_is_replaced() {
    let db = Database::new().await;
    let pool = db.exclusive(1);
    for _ in 0..3 {
        let statements = [sql("select pg_terminate_backend(pg_backend_pid())")];
        let error = pool.pipeline(pipeline(Session::login(), statements)).await.unwrap_err();
        let unavailable = error.unavailable().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!(unavailable.reason, UnavailableReason::ServerClosing, "{error:?}");
        let mut params = Params::new();
        params.int4(1);
        let next =
            pool.pipeline(pipeline(db.session("a", "t1"), [Statement::new("select $1", params)])).await;
        assert!(next.is_ok(), "{next:?}");
    }
    let counters = pool.counters();
    assert_eq!((counters.created, counters.discarded, counters.idle), (4, 3, 1));
}
