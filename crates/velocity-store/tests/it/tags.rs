//! Tags: what we made is known as ours for as long as nobody touches it.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_store::ddl::{Reader, read, read_as};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

const TABLE: &str = "any__tags__test.item_v1";
const HISTORY: &str = "item_v1_history";

const ITEM: &str = r"
org: any
app: tags
domain: test
object: item
version: v1
fields:
  - {name: title, type: string, maxLength: 40, default: none, filterable: true}
  - {name: parent, type: uuid, ref: {object: item, version: v1}}
";

/// A table whose every kind of thing is stamped by hand, with `source` as the source.
async fn stamped() -> (TestDatabase, Client, Schema) {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let schema = schema(ITEM);
    provision(&database, &schema).await;
    let owner = database.owner().await;
    for (kind, name) in THINGS {
        stamp(&owner, kind, name).await;
    }
    (database, owner, schema)
}

const THINGS: [(&str, &str); 7] = [
    ("column", "title"),
    ("constraint", "title_maxLength_check"),
    ("constraint", "item_v1-parent_fkey"),
    ("index", "item_v1-title_idx"),
    ("policy", "velocity_select"),
    ("trigger", "velocity_before"),
    ("table", HISTORY),
];

fn key(kind: &str, name: &str) -> String {
    if kind == "table" { kind.to_owned() } else { format!("{kind} {name}") }
}

async fn stamp(owner: &Client, kind: &str, name: &str) {
    let sql = format!("select platform.stamp($1, '{TABLE}'::regclass, $2, 'source')");
    owner.execute(&sql, &[&kind, &name]).await.unwrap_or_else(|e| panic!("{kind} {name}: {e:?}"));
}

/// The altered things, after a check that all others of ours hold.
async fn altered(owner: &Client, schema: &Schema) -> BTreeSet<String> {
    let table = read(owner, schema).await.unwrap().table.unwrap();
    for (kind, name) in THINGS {
        let key = key(kind, name);
        let holds = table.comments.get(&key).map(String::as_str) == Some("source");
        assert!(holds != table.altered.contains(&key), "{key}: {:?}", table.comments);
    }
    table.altered
}

#[tokio::test]
async fn a_tag_holds_until_its_thing_is_changed_by_hand() {
    let (_database, owner, schema) = stamped().await;
    assert!(altered(&owner, &schema).await.is_empty());
    let changes = [
        (format!("alter table {TABLE} alter title set default 'other'"), "column title"),
        (
            format!(
                "alter table {TABLE} drop constraint \"title_maxLength_check\"; alter table {TABLE} add constraint \"title_maxLength_check\" check (char_length(title) <= 41); comment on constraint \"title_maxLength_check\" on {TABLE} is 'velocity:source:0'"
            ),
            "constraint title_maxLength_check",
        ),
        (format!("alter policy velocity_select on {TABLE} using (true)"), "policy velocity_select"),
        (format!("alter policy velocity_select on {TABLE} to public"), "policy velocity_select"),
        (format!("alter table {TABLE} disable trigger velocity_before"), "trigger velocity_before"),
        (format!("grant delete on {TABLE} to public"), "table"),
        (format!("grant update (version) on {TABLE} to any__tags__test"), "table"),
        (format!("grant insert on any__tags__test.{HISTORY} to velocity_api"), "table"),
        (format!("grant select on any__tags__test.{HISTORY}_default to any__tags__test"), "table"),
    ];
    for (sql, key) in changes {
        owner.batch_execute(&format!("begin; {sql}")).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(altered(&owner, &schema).await, [key.to_owned()].into(), "{sql}");
        owner.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_check_of_older_rows_and_rights_of_other_roles_are_no_change() {
    let (_database, owner, schema) = stamped().await;
    let sql = format!(
        "begin; create role any_tags_reporter;
         alter table {TABLE} drop constraint \"title_maxLength_check\";
         alter table {TABLE} add constraint \"title_maxLength_check\" check (char_length(title) <= 40) not valid;
         select platform.stamp('constraint', '{TABLE}'::regclass, 'title_maxLength_check', 'source');
         alter table {TABLE} validate constraint \"title_maxLength_check\";
         grant select (title) on {TABLE} to any_tags_reporter"
    );
    owner.batch_execute(&sql).await.unwrap();
    assert!(altered(&owner, &schema).await.is_empty());
    let table = read(&owner, &schema).await.unwrap().table.unwrap();
    assert_eq!(table.foreign_grantees, ["any_tags_reporter".to_owned()].into());
    owner.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn a_tag_of_two_parts_counts_as_holding() {
    let (_database, owner, schema) = stamped().await;
    owner.batch_execute(&format!("comment on column {TABLE}.title is 'velocity:old'")).await.unwrap();
    let table = read(&owner, &schema).await.unwrap().table.unwrap();
    assert_eq!(table.comments["column title"], "old");
    assert!(table.altered.is_empty());
}

#[tokio::test]
async fn a_rename_changes_every_print_and_restamping_renews_them_also_of_keys_that_point_here() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let owner = database.owner().await;
    owner
        .batch_execute(
            "create table a (id int primary key, code text unique, constraint c check (code <> ''));
             create table b (id int primary key, code text constraint f references a (code));
             create index i on a (code) where code > 'm';
             select platform.stamp('constraint', 'a'::regclass, 'c', 'one');
             select platform.stamp('index', 'a'::regclass, 'i', 'two');
             select platform.stamp('constraint', 'b'::regclass, 'f', 'three');
             alter table a rename code to name",
        )
        .await
        .unwrap();
    let holding = async || -> Vec<String> {
        let sql = "select split_part(t.tag, ':', 2) from (values ('a'), ('b')) v (r) cross join platform.tags(v.r::regclass) t
            where split_part(t.tag, ':', 3) = platform.print(t.kind, v.r::regclass, t.name) order by 1";
        owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(holding().await, Vec::<String>::new());
    owner.execute("select platform.restamp('a'::regclass)", &[]).await.unwrap();
    assert_eq!(holding().await, ["one", "three", "two"]);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_stamped() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let owner = database.owner().await;
    owner.batch_execute("create table a (id int)").await.unwrap();
    for kind in ["column", "constraint", "index", "policy", "trigger"] {
        let sql = format!("select platform.stamp('{kind}', 'a'::regclass, 'none', 'source')");
        let error = owner.execute(&sql, &[]).await.unwrap_err();
        assert_eq!(
            error.as_db_error().unwrap().message(),
            format!("there is no {kind} none on public.a to be tagged")
        );
    }
}

#[tokio::test]
async fn rights_that_were_given_by_hand_are_all_taken_back() {
    let (_database, owner, schema) = stamped().await;
    let sql = format!(
        "grant all on {TABLE}, any__tags__test.{HISTORY}, any__tags__test.{HISTORY}_default to public, velocity_api, any__tags__test;
         grant update (version) on {TABLE} to velocity_api;
         select platform.revoke_rights('{TABLE}'::regclass, '{HISTORY}')"
    );
    owner.batch_execute(&sql).await.unwrap();
    let sql = format!(
        "select count(*) from platform.relations_of('{TABLE}'::regclass, '{HISTORY}') o (oid) cross join platform.rights_on(o.oid)"
    );
    let left: i64 = owner.query_one(&sql, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    drop(schema);
}

#[tokio::test]
async fn the_apis_login_sees_the_same_catalog() {
    let (database, owner, schema) = stamped().await;
    let mut ours = read(&owner, &schema).await.unwrap();
    let api = database.client("velocity_api").await;
    assert_eq!(read_as(&api, &schema, Reader::ApiLogin).await.unwrap(), ours);
    let insert = format!(
        "begin; set local velocity.actor = 'me'; insert into {TABLE} (id) values (gen_random_uuid()); commit"
    );
    owner.batch_execute(&insert).await.unwrap();
    ours = read(&owner, &schema).await.unwrap();
    let theirs = read_as(&api, &schema, Reader::ApiLogin).await.unwrap();
    assert!(ours.table.unwrap().has_rows && theirs.table.unwrap().has_rows);
}

#[tokio::test]
async fn a_function_that_runs_otherwise_than_we_made_it_does_not_count() {
    let (_database, owner, schema) = stamped().await;
    let function = "any__tags__test.item_v1_before_write()";
    assert!(read(&owner, &schema).await.unwrap().functions.contains_key("item_v1_before_write"));
    for harm in [
        "security invoker",
        "set timezone = 'Asia/Kathmandu'",
        "reset search_path",
        "set search_path = public",
    ] {
        owner.batch_execute(&format!("begin; alter function {function} {harm}")).await.unwrap();
        let functions = read(&owner, &schema).await.unwrap().functions;
        assert!(!functions.contains_key("item_v1_before_write"), "{harm}");
        assert!(functions.contains_key("item_v1_after_write"), "{harm}");
        owner.batch_execute("rollback").await.unwrap();
    }
}
