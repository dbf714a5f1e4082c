//! The API's login must be powerless.

use std::sync::Arc;

use velocity_store::wire::{Connection, Power, PowerfulLogin, refuse_powerful_login};

use super::fixture::Database;

async fn powers(db: &Database, user: &str) -> Vec<Power> {
    let connection = Connection::connect(&Arc::new(db.config_of(user))).await.unwrap();
    match refuse_powerful_login(&connection).await {
        Ok(()) => Vec::new(),
        Err(PowerfulLogin::Powers { login, powers }) => {
            assert_eq!(login, user);
            powers
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_login_without_rights_of_its_own_is_accepted() {
    let db = Database::new().await;
    assert_eq!(powers(&db, &db.role("api")).await, []);
}

#[tokio::test]
async fn every_powerful_attribute_is_refused_on_the_login_and_on_whoever_it_can_become() {
    let db = Database::new().await;
    for attribute in ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"] {
        let lower = attribute.to_lowercase();
        let (own, other) = (db.role(&format!("own_{lower}")), db.role(&format!("via_{lower}")));
        db.run(&format!(
            "create role {own} login noinherit {attribute};
             create role {other}_power {attribute}; create role {other}_between;
             create role {other} login noinherit;
             grant {other}_power to {other}_between; grant {other}_between to {other}"
        ))
        .await;
        let attribute_of = |role: String| Power::Attribute { role, attribute };
        assert!(powers(&db, &own).await.contains(&attribute_of(own.clone())), "{attribute}");
        assert!(
            powers(&db, &other).await.contains(&attribute_of(format!("{other}_power"))),
            "via {attribute}"
        );
    }
}

#[tokio::test]
async fn whoever_owns_anything_is_refused_with_what_it_is() {
    let db = Database::new().await;
    db.run(
        "create role $db_table login noinherit; create table owned (id int); alter table owned owner to $db_table;
         create role $db_schema login noinherit; create schema mine authorization $db_schema;
         create role $db_via login noinherit; grant $db_table to $db_via",
    )
    .await;
    let root =
        format!("create role {0} login noinherit; alter database {1} owner to {0}", db.role("db"), db.name);
    db.run(&root).await;
    let owner = |role: &str, object: &str| Power::Owner { role: db.role(role), object: object.into() };
    assert_eq!(powers(&db, &db.role("table")).await, [owner("table", "table owned")]);
    assert_eq!(powers(&db, &db.role("schema")).await, [owner("schema", "schema mine")]);
    assert_eq!(powers(&db, &db.role("via")).await, [owner("table", "table owned")]);
    let database = powers(&db, &db.role("db")).await;
    assert!(database.contains(&owner("db", &format!("database {}", db.name))), "{database:?}");
}

#[tokio::test]
async fn predefined_roles_and_inherited_rights_are_refused_with_what_to_do() {
    let db = Database::new().await;
    db.run(
        "create role $db_reader login noinherit; grant pg_read_all_data to $db_reader;
         create role $db_heir login inherit; grant $db_a to $db_heir;
         create role $db_watcher login noinherit; grant pg_monitor to $db_watcher",
    )
    .await;
    assert_eq!(
        powers(&db, &db.role("reader")).await,
        [Power::Predefined { role: "pg_read_all_data".into() }]
    );
    assert_eq!(powers(&db, &db.role("heir")).await, [Power::Inherits { role: db.role("a") }]);
    assert_eq!(powers(&db, &db.role("watcher")).await, []);
    let connection = Connection::connect(&Arc::new(db.config_of("velocity_owner"))).await.unwrap();
    let error = refuse_powerful_login(&connection).await.unwrap_err().to_string();
    assert!(error.contains("velocity_owner has SUPERUSER"), "{error}");
    assert!(error.contains("nosuperuser"), "{error}");
}
