//! First start, second start, settings, stopping.

use nix::unistd::{Pid, getpgid};
use velocity_localpg::{Durability, Error, LocalPostgres, Options, Progress, ProgressReport};

use crate::folder::{Folder, connect, owner_url, text};
use crate::process::is_alive;

fn raw(pid: u32) -> i32 {
    i32::try_from(pid).unwrap()
}

#[tokio::test]
async fn a_new_cluster_is_durable_and_has_utf8_code_point_order_utc_and_checksums() {
    let folder = Folder::new();
    let options = Options { durability: Durability::Full, ..folder.options() };
    let postgres = LocalPostgres::start(options).await.unwrap();
    let url = owner_url(&postgres);

    for (setting, value) in [
        ("server_encoding", "UTF8"),
        ("lc_collate_of_database", "C"),
        ("timezone", "UTC"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("jit", "off"),
        ("listen_addresses", ""),
    ] {
        let sql = if setting == "lc_collate_of_database" {
            "select datcollate::text from pg_database where datname = current_database()".to_owned()
        } else {
            format!("select current_setting('{setting}')")
        };
        assert_eq!(text(&url, &sql).await, value, "{setting}");
    }
    assert_eq!(text(&url, "select current_user::text").await, "velocity_owner");
    if cfg!(target_os = "linux") {
        assert_eq!(text(&url, "select lower('ÄÉ')").await, "äé", "case is known for ASCII only");
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_a_stop_a_drop_and_a_restart() {
    let folder = Folder::new();
    let postgres = folder.start().await;
    let first_url = owner_url(&postgres);
    connect(&first_url).await.batch_execute("create table kept as select 'x'::text as v").await.unwrap();
    let pid = raw(postgres.pid().unwrap());
    postgres.stop().await.unwrap();
    assert!(!is_alive(pid));

    let mut postgres = folder.start().await;
    assert_eq!(owner_url(&postgres), first_url, "the URL changed");
    assert_eq!(text(&first_url, "select v from kept").await, "x");
    postgres.restart().await.unwrap();
    assert_eq!(text(&first_url, "select v from kept").await, "x");

    let pid = raw(postgres.pid().unwrap());
    drop(postgres);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn steps_that_take_time_are_reported() {
    let folder = Folder::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut options = folder.options();
    options.progress = ProgressReport::new(move |progress| sender.send(progress).unwrap());
    drop(LocalPostgres::start(options.clone()).await.unwrap());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Progress::Initialising, Progress::Starting]);
    drop(LocalPostgres::start(options).await.unwrap());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Progress::Starting]);
}

#[tokio::test]
async fn chosen_settings_hold_and_a_bad_one_is_quoted_from_the_log() {
    let folder = Folder::new();
    let mut options = folder.options();
    options.settings = vec![("work_mem".to_owned(), "17MB".to_owned())];
    let postgres = LocalPostgres::start(options.clone()).await.unwrap();
    assert_eq!(text(&owner_url(&postgres), "select current_setting('work_mem')").await, "17MB");
    postgres.stop().await.unwrap();

    options.settings = vec![("work_mem".to_owned(), "plenty".to_owned())];
    let error = LocalPostgres::start(options).await.err().unwrap();
    assert!(matches!(&error, Error::DidNotStart { tail, .. } if tail.contains("plenty")), "{error}");

    // The failed start holds nothing.
    folder.start().await.stop().await.unwrap();
}

#[tokio::test]
async fn settings_that_would_open_the_server_are_refused_before_anything_is_made() {
    let folder = Folder::new();
    let mut options = folder.options();
    options.settings = vec![("listen_addresses".to_owned(), "*".to_owned())];
    let error = LocalPostgres::start(options).await.err().unwrap();
    assert!(matches!(error, Error::ReservedSetting { .. }));
    assert!(!folder.data_dir().exists());
}

#[tokio::test]
async fn an_end_of_the_server_is_noticed() {
    let folder = Folder::new();
    let mut postgres = folder.start().await;
    let ended = tokio::spawn({
        let pid = raw(postgres.pid().unwrap());
        async move { nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM) }
    });
    assert!(postgres.exited().await.success());
    ended.await.unwrap().unwrap();
    postgres.restart().await.unwrap();
    assert_eq!(text(&owner_url(&postgres), "select 'back'").await, "back");
}

#[tokio::test]
async fn an_interrupt_from_the_terminal_does_not_reach_the_server() {
    let folder = Folder::new();
    let postgres = folder.start().await;
    let server = Pid::from_raw(raw(postgres.pid().unwrap()));
    assert_ne!(getpgid(Some(server)).unwrap(), getpgid(None).unwrap());
}

#[test]
fn a_server_outlives_the_runtime_and_the_thread_that_started_it() {
    let folder = Folder::new();
    let options = folder.options();
    let postgres = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(LocalPostgres::start(options)).unwrap()
    })
    .join()
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let alive = runtime.block_on(async { text(&owner_url(&postgres), "select 'alive'").await });
    assert_eq!(alive, "alive");
}
