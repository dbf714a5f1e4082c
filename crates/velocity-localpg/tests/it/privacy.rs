//! Who gets in: attacks by other users of the machine, and the rights of the folders that stop them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use velocity_localpg::{Error, LocalPostgres};

use crate::folder::{Folder, is_root, options, owner_url, text};
use crate::process::{Holder, as_user, assert_ends};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn socket_and_cluster_are_closed_to_everyone_else() {
    let folder = Folder::new();
    let postgres = folder.start().await;
    let owner = fs::metadata(postgres.cluster_dir()).unwrap().uid();
    for path in [postgres.cluster_dir(), postgres.socket_dir().to_owned()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
    }
    assert_eq!(mode(&postgres.socket_dir().join(".s.PGSQL.5432")), 0o700);
    assert_eq!(mode(&postgres.log_file()), 0o600);
    assert_eq!(mode(&folder.data_dir()) & 0o027, 0, "others may enter, or the group may write");
    if is_root() {
        assert_ne!(owner, 0);
        assert_eq!(fs::metadata(folder.data_dir()).unwrap().uid(), 0, "the account could plant links here");
        assert_eq!(fs::metadata(postgres.log_file()).unwrap().uid(), 0);
    }
}

#[tokio::test]
async fn neither_another_user_nor_one_of_the_servers_group_can_log_in() {
    if !is_root() {
        return eprintln!("skipped: only root can act as another user");
    }
    let folder = Folder::new();
    let postgres = folder.start().await;
    let psql = postgres.bin_dir().join("psql");
    let url = owner_url(&postgres);
    let group = fs::metadata(postgres.cluster_dir()).unwrap().gid();
    assert!(login(Command::new(&psql), &url).contains("inside"), "root itself is to get in");

    let mut of_the_group = as_user("nobody", &psql);
    std::os::unix::process::CommandExt::gid(&mut of_the_group, group);
    for attacker in [as_user("nobody", &psql), of_the_group] {
        let answer = login(attacker, &url);
        assert!(answer.contains("Permission denied"), "{answer}");
    }
}

fn login(mut psql: Command, url: &str) -> String {
    let output = psql.current_dir("/").args(["-XAtc", "select 'inside'", url]).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[tokio::test]
async fn as_root_a_folder_that_the_servers_user_cannot_reach_gets_its_data_elsewhere() {
    if !is_root() {
        return eprintln!("skipped: needs root");
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();

    let postgres = folder.start().await;
    let cluster = postgres.cluster_dir();
    assert!(cluster.starts_with("/var/lib/velocity"), "{}", cluster.display());
    let notice = postgres.notice().unwrap();
    assert!(notice.contains(cluster.to_str().unwrap()) && notice.contains("cannot enter"), "{notice}");
    let url = owner_url(&postgres);
    crate::folder::connect(&url)
        .await
        .batch_execute("create table kept as select 'v'::text as v")
        .await
        .unwrap();
    postgres.stop().await.unwrap();
    assert_eq!(fs::canonicalize(folder.data_dir().join("data")).unwrap(), cluster);

    let postgres = folder.start().await;
    assert_eq!(text(&owner_url(&postgres), "select v from kept").await, "v");
    postgres.stop().await.unwrap();
    fs::remove_dir_all(cluster.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_reachable_folder_that_was_closed_later_is_explained() {
    if !is_root() {
        return eprintln!("skipped: needs root");
    }
    let folder = Folder::new();
    folder.start().await.stop().await.unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let error = LocalPostgres::start(folder.options()).await.err().unwrap();
    assert!(
        matches!(&error, Error::NotReachable { blocked_by, .. } if blocked_by == folder.path()),
        "{error}"
    );
    assert!(error.to_string().contains("chmod o+x"), "{error}");
}

#[tokio::test]
async fn links_that_someone_planted_are_not_followed() {
    let folder = Folder::new();
    let target = folder.path().join("precious");
    for name in ["data", "socket", "lock", "postgres.log"] {
        let data_dir = folder.path().join(format!("pg-{name}"));
        fs::create_dir(&data_dir).unwrap();
        if name == "data" || name == "socket" {
            let _ = fs::create_dir(&target);
        }
        let target = if name == "data" || name == "socket" { &target } else { &folder.path().join("file") };
        let before = fs::metadata(target).ok().map(|m| (m.uid(), m.mode()));
        symlink(target, data_dir.join(name)).unwrap();

        let error = LocalPostgres::start(options(data_dir)).await.err().unwrap();
        assert!(matches!(error, Error::Io { .. } | Error::Tampered { .. }), "{name}: {error}");
        assert_eq!(fs::metadata(target).ok().map(|m| (m.uid(), m.mode())), before, "{name}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_user_is_explained() {
    if !is_root() {
        return eprintln!("skipped: only root can act as another user");
    }
    let folder = Folder::new();
    folder.start().await.stop().await.unwrap();
    fs::set_permissions(folder.data_dir(), Permissions::from_mode(0o777)).unwrap();
    let reason = Holder::start_as("nobody", &folder.data_dir()).outcome().err().unwrap();
    assert!(reason.contains("belongs to the user with id"), "{reason}");
}

#[tokio::test]
async fn an_ordinary_user_starts_kills_and_starts_again() {
    if !is_root() {
        return eprintln!("skipped: the other tests do it as the ordinary user that runs them");
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let data_dir = folder.data_dir();

    let mut holder = Holder::start_as("nobody", &data_dir);
    let held = holder.ready();
    assert_eq!(text(&held.url, "select 'first'").await, "first");
    assert_ne!(fs::metadata(&data_dir).unwrap().uid(), 0);
    holder.kill();
    assert_ends(held.server);

    let mut holder = Holder::start_as("nobody", &data_dir);
    let held = holder.ready();
    assert_eq!(text(&held.url, "select 'second'").await, "second");
    holder.finish();
    assert_ends(held.server);

    // Root, later, runs it as that user.
    let postgres = folder.start().await;
    assert_eq!(text(&owner_url(&postgres), "select 'third'").await, "third");
}
