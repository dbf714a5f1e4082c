//! Processes that are killed, and what they leave.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use velocity_localpg::{Error, LocalPostgres, Options};

use crate::folder::{Folder, connect, is_root, owner_url, text};
use crate::process::{Holder, assert_ends, is_alive};

#[tokio::test]
async fn no_server_is_left_when_its_process_is_killed_and_all_commits_are_there() {
    let folder = Folder::new();
    let mut holder = Holder::start(&folder.data_dir());
    let held = holder.ready();
    let client = connect(&held.url).await;
    client.batch_execute("create table kept as select 'committed'::text as v").await.unwrap();
    client.batch_execute("begin; insert into kept values ('open')").await.unwrap();

    holder.kill();
    assert_ends(held.server);

    let postgres = folder.start().await;
    assert_eq!(text(&owner_url(&postgres), "select string_agg(v, ',') from kept").await, "committed");
}

#[tokio::test]
async fn a_start_right_after_the_kill_waits_for_the_old_server() {
    let folder = Folder::new();
    let mut holder = Holder::start(&folder.data_dir());
    let held = holder.ready();
    // A statement that does not end by itself.
    let busy = connect(&held.url).await;
    tokio::spawn(async move { busy.batch_execute("select pg_sleep(600)").await });
    holder.kill();
    let postgres = folder.start().await;
    assert!(!is_alive(held.server));
    assert_eq!(text(&owner_url(&postgres), "select 'new'").await, "new");
}

#[tokio::test]
async fn an_interrupted_initdb_is_done_again() {
    let folder = Folder::new();
    let holder = Holder::start(&folder.data_dir());
    let unfinished = folder.data_dir().join("data.unfinished");
    // Some way into it.
    while !unfinished.join("global").exists() {
        assert!(!folder.data_dir().join("data").exists(), "it was too quick for this test");
        std::thread::sleep(Duration::from_millis(1));
    }
    holder.kill();
    assert!(!folder.data_dir().join("data").exists());

    let postgres = folder.start().await;
    assert_eq!(text(&owner_url(&postgres), "select 'whole'").await, "whole");
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_second_start_on_the_same_folder_is_refused_and_harms_nothing() {
    let folder = Folder::new();
    let mut holder = Holder::start(&folder.data_dir());
    let held = holder.ready();

    let error = LocalPostgres::start(folder.options()).await.err().unwrap();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    let reason = Holder::start(&folder.data_dir()).outcome().err().unwrap();
    assert!(reason.contains("in use by another process"), "{reason}");

    assert_eq!(text(&held.url, "select 'unharmed'").await, "unharmed");
    holder.finish();
    folder.start().await.stop().await.unwrap();
}

/// Runs a program as the owner of the cluster.
fn as_owner(cluster: &Path, program: &Path) -> Command {
    let owner = fs::metadata(cluster).unwrap();
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

struct KilledAtEnd(Child);

impl Drop for KilledAtEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_that_lost_its_owner_is_ended_and_replaced() {
    let folder = Folder::new();
    let postgres = folder.start().await;
    let (cluster, socket) = (postgres.cluster_dir(), postgres.socket_dir().to_owned());
    let program = postgres.bin_dir().join("postgres");
    let url = owner_url(&postgres);
    postgres.stop().await.unwrap();

    let mut orphan = as_owner(&cluster, &program);
    orphan.arg("-D").arg(&cluster).arg("-k").arg(&socket).args(["-c", "listen_addresses="]);
    let mut orphan = KilledAtEnd(orphan.spawn().unwrap());
    while tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let postgres = folder.start().await;
    assert!(orphan.0.wait().unwrap().success(), "it was not shut down in order");
    assert_eq!(text(&owner_url(&postgres), "select 'replaced'").await, "replaced");
}

/// In a container the same few process ids come back with every boot.
#[tokio::test]
async fn a_process_that_got_the_number_of_a_dead_server_is_neither_waited_for_nor_killed() {
    let folder = Folder::new();
    let mut postgres = folder.start().await;
    let (cluster, socket) = (postgres.cluster_dir(), postgres.socket_dir().to_owned());
    let pid_file = cluster.join("postmaster.pid");
    let text_of_pid_file = fs::read_to_string(&pid_file).unwrap();
    postgres.kill().await.unwrap();
    drop(postgres);

    let bystander = KilledAtEnd(as_owner(&cluster, Path::new("/bin/sleep")).arg("600").spawn().unwrap());
    let (_, rest) = text_of_pid_file.split_once('\n').unwrap();
    let planted = format!("{}\n{rest}", bystander.0.id());
    fs::write(&pid_file, &planted).unwrap();
    fs::write(socket.join(".s.PGSQL.5432.lock"), &planted).unwrap();

    let postgres = folder.start().await;
    assert_eq!(text(&owner_url(&postgres), "select 'up'").await, "up");
    assert!(is_alive(i32::try_from(bystander.0.id()).unwrap()));
}

#[tokio::test]
async fn a_killed_server_restarts_while_its_orphaned_backends_are_still_busy() {
    let folder = Folder::new();
    let mut postgres = folder.start().await;
    let url = owner_url(&postgres);
    let client = connect(&url).await;
    client.batch_execute("create table kept as select 'v'::text as v").await.unwrap();
    // Does not look whether the server lives.
    let busy = connect(&url).await;
    let count = "select count(*) from generate_series(1, 100000000000) a";
    let statement = tokio::spawn(async move { busy.batch_execute(count).await });
    tokio::time::sleep(Duration::from_millis(50)).await;

    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();

    assert!(statement.await.unwrap().is_err());
    assert_eq!(text(&url, "select v from kept").await, "v");
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_named_and_left_alone() {
    let folder = Folder::new();
    folder.start().await.stop().await.unwrap();
    fs::write(folder.data_dir().join("data/PG_VERSION"), "99\n").unwrap();
    let options = Options { bin_dir: None, ..folder.options() };
    let error = LocalPostgres::start(options).await.err().unwrap();
    assert!(matches!(error, Error::OtherMajor { data: 99, .. }), "{error}");
    assert!(error.to_string().contains("Install Postgres 99"), "{error}");
}
