use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use velocity_operator::Config;
use velocity_testkit::{PLATFORM, TestCluster, TestDatabase};

use crate::world::{World, condition, hash};

/// An operator that comes back under its name, and looks at data again soon.
fn same() -> Config {
    let mut config = Config { data_pause: Duration::from_millis(100), ..Config::default() };
    "same".clone_into(&mut config.lease.identity);
    config
}

fn first(world: &World) -> Json {
    world.spec(
        "order",
        &json!([{"name": "title", "type": "string"}, {"name": "old", "type": "string"}, {"name": "gone", "type": "string"}]),
    )
}

/// A column of each kind of change: converted, renamed, dropped, added, with an index, required.
fn second(world: &World) -> Json {
    world.spec(
        "order",
        &json!([
            {"name": "title", "type": "integer", "filterable": true, "required": true},
            {"name": "new", "type": "string", "renamedFrom": "old", "unique": true},
            {"name": "note", "type": "string", "default": "none", "maxLength": 20}
        ]),
    )
}

/// The first spec with records, the second one blocked and approved; no operator runs.
async fn approved(world: &mut World) {
    world.start(same());
    world.create("order", &first(world)).await;
    world.until_ready("order").await;
    world.insert("order", "(id, title, old, gone) select gen_random_uuid(), n::text, 'old ' || n, 'gone ' || n from generate_series(1, 3000) n").await;
    world.replace("order", &second(world)).await;
    world.until("order", |status| status["phase"] == "Blocked").await;
    let plan = world.plan_hash("order").await;
    world.stop().await;
    world.approve("order", &plan).await;
}

/// Everything is as the second spec says, and no record, no event has changed its meaning.
async fn arrived(world: &World) {
    let wanted = hash(&second(world));
    world.until("order", |status| status["phase"] == "Ready" && status["specHash"] == wanted).await;
    let table = world.table("order");
    let right =
        format!("select count(*) from {table} where new = 'old ' || title and version = 1 and note = 'none'");
    assert_eq!(world.count(&right).await, 3000);
    assert_eq!(world.count(&format!("select count(*) from {table}_history")).await, 3000);
    let invalid =
        format!("select count(*) from pg_index where indrelid = '{table}'::regclass and not indisvalid");
    assert_eq!(world.count(&invalid).await, 0);
    let unchecked = format!(
        "select count(*) from pg_constraint where conrelid = '{table}'::regclass and not convalidated"
    );
    assert_eq!(world.count(&unchecked).await, 0);
    let left = format!(
        "select count(*) from pg_attribute where attrelid = '{table}'::regclass and attname like '\\_new\\_%' and not attisdropped"
    );
    assert_eq!(world.count(&left).await, 0);
    // There is nothing left to do, and nobody takes it for drift.
    let object = world.get("order").await.unwrap();
    assert_eq!(condition(&object.data["status"], "Drifted")["status"], "False");
    assert!(!world.events("order").await.iter().any(|(reason, _)| reason == "DriftRepaired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_again_and_again_at_any_moment_comes_to_the_end() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    approved(&mut world).await;
    let wanted = hash(&second(&world));
    let mut kills = 0;
    // Each time a little later: between all statements, and within them.
    for pause in (5..).step_by(3) {
        world.start(same());
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.kill().await;
        kills += 1;
        if world.get("order").await.unwrap().data["status"]["specHash"] == wanted {
            break;
        }
    }
    assert!(kills > 5, "it was killed {kills} times");
    world.start(same());
    arrived(&world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_again_and_again_is_no_reason_not_to_come_to_the_end() {
    // Not synced to the disk: a process that is killed loses nothing by that.
    let cluster = TestCluster::start().await;
    let mut world = World::without_operator(cluster.create_database_with(&PLATFORM).await);
    approved(&mut world).await;
    world.start(same());
    for pause in [20, 60, 120, 200] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        cluster.kill_postgres().await;
        cluster.restart_postgres().await;
    }
    arrived(&world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_being_made_when_the_operator_is_killed_is_made_whole() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    for (n, pause) in (5..150).step_by(12).enumerate() {
        let name = format!("object-{n}");
        world.create(&name, &world.plain(&name)).await;
        world.start(same());
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.kill().await;
    }
    world.start(same());
    for n in 0..13 {
        world.until_ready(&format!("object-{n}")).await;
    }
    world.stop().await;
}

/// A file system of a few megabytes, gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Nothing where mounting is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0777"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_finds_the_disk_full_says_so_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("40m") else {
        println!("skipped: mounting is not allowed here");
        return;
    };
    let cluster = TestCluster::start().await;
    let mut world = World::without_operator(cluster.create_database_with(&PLATFORM).await);
    let place = disk.0.path().join("space");
    std::fs::create_dir(&place).unwrap();
    let owner = world.database.owner().await;
    let data: String = owner.query_one("show data_directory", &[]).await.unwrap().get(0);
    let chown = Command::new("chown").arg(format!("--reference={data}")).arg(&place).status().unwrap();
    assert!(chown.success());
    owner.batch_execute(&format!("create tablespace small location '{}'", place.display())).await.unwrap();
    owner.batch_execute("alter role velocity_owner set default_tablespace = 'small'").await.unwrap();
    world.start(same());
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world
        .insert(
            "order",
            "(id, title) select gen_random_uuid(), repeat(md5(n::text), 4) from generate_series(1, 10000) n",
        )
        .await;
    let filler = disk.0.path().join("filler");
    let full = std::fs::write(&filler, vec![1_u8; 64 * 1024 * 1024]);
    assert!(full.is_err(), "the disk is full now");

    let searched = world
        .spec("order", &json!([{"name": "title", "type": "string", "filterable": true, "sortable": true}]));
    world.replace("order", &searched).await;
    let object = world.until_reason("order", "DatabaseUnavailable").await;
    let message = condition(&object.data["status"], "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("disk is full"), "{message}");
    assert_eq!(object.data["status"]["specHash"], hash(&world.plain("order")), "the old spec is served");
    std::fs::remove_file(&filler).unwrap();
    world.until("order", |status| status["phase"] == "Ready" && status["specHash"] == hash(&searched)).await;
    let invalid = "select count(*) from pg_index where not indisvalid";
    assert_eq!(world.count(invalid).await, 0);
    world.stop().await;
}
