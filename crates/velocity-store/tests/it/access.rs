//! Keys, revocations, sessions and access events: what the API's login can do with them, and what nobody can.

use serde_json::{Map, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;
use velocity_store::platform::{
    AccessEventKind, AccessEventRow, Acting, ApiKeyRotation, KeyUse, NewApiKey, NewRevocation,
    RotationOutcome, SessionRefresh, StoredSessionRow, api_key_by_id, create_api_key, create_session,
    cursor_key, end_session, find_api_key, find_session, lift_revocation, list_api_keys, list_revocations,
    mask_key, note_key_uses, refresh_session, revocations_since, revoke, revoke_api_key, rotate_api_key,
    session_key, sweep_revocations, sweep_sessions, write_access_events,
};
use velocity_testkit::{API, PLATFORM, TestDatabase};

const TABLES: [&str; 5] = ["api_keys", "revocations", "sessions", "access_events", "revocation_changes"];

struct World {
    database: TestDatabase,
    api: Client,
    owner: Client,
}

async fn world() -> World {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let (api, owner) = (database.client(API).await, database.owner().await);
    World { database, api, owner }
}

fn root() -> Acting {
    Acting { actor: "root".into(), path: "POST /platform/api-keys".into(), ..Acting::default() }
}

fn key(id: &str) -> NewApiKey {
    NewApiKey {
        id: id.to_owned(),
        hash: hash(id),
        name: Some("for tests".to_owned()),
        actor: "ravi".to_owned(),
        roles: vec!["reader".to_owned()],
        attributes: Map::from_iter([("region".to_owned(), json!("west"))]),
        scopes: json!([{ "schema": "acme/*/*/*/*" }]),
        expires_at: None,
    }
}

fn hash(of: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..of.len()].copy_from_slice(of.as_bytes());
    hash
}

fn revocation(id: &str, kind: &str, value: &str) -> NewRevocation {
    NewRevocation {
        id: id.to_owned(),
        kind: kind.to_owned(),
        value: value.to_owned(),
        reason: "left".to_owned(),
        expires_at: None,
    }
}

fn session(id: &str) -> StoredSessionRow {
    StoredSessionRow {
        id: id.to_owned(),
        hash: hash(id),
        strategy: "platform/oidc".to_owned(),
        actor: "mia".to_owned(),
        roles: vec!["reader".to_owned()],
        attributes: Map::new(),
        csrf: "csrf".to_owned(),
        expires_at: "2999-01-01T00:00:00Z".parse().unwrap(),
        refresh_at: Some("2998-01-01T00:00:00.123456Z".parse().unwrap()),
        refresh_token: Some(vec![0, 1, 255]),
    }
}

impl World {
    async fn events(&self) -> Vec<String> {
        let sql = "select concat_ws(' ', kind, count, actor, operation, array_to_string(record_ids, ','))
             from platform.access_events order by occurred_at, operation, id";
        self.owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn count(&self, table: &str) -> i64 {
        self.owner.query_one(&format!("select count(*) from platform.{table}"), &[]).await.unwrap().get(0)
    }
}

async fn state(client: &Client, sql: &str) -> Option<SqlState> {
    client.batch_execute(sql).await.err().and_then(|error| error.code().cloned())
}

/// Everything that somebody might try by hand.
fn attacks() -> Vec<String> {
    let mut attacks = Vec::new();
    for table in TABLES {
        if table != "revocations" {
            attacks.push(format!("select * from platform.{table}"));
        }
        attacks.push(format!("delete from platform.{table}"));
        attacks.push(format!("truncate platform.{table}"));
        attacks.push(format!("create index on platform.{table} ((1))"));
        attacks.push(format!("alter table platform.{table} disable row level security"));
        attacks.push(format!("alter table platform.{table} disable trigger all"));
        attacks.push(format!("create trigger t before insert on platform.{table} for each row execute function platform.number_revocation()"));
    }
    for sql in [
        "select hash from platform.api_keys",
        "select id from platform.api_keys where hash is not null",
        "select id from platform.api_keys order by hash",
        "copy platform.api_keys to stdout",
        "table platform.sessions",
        "select refresh_token from platform.sessions",
        "update platform.api_keys set roles = '{platform-admin}'",
        "update platform.api_keys set revoked_at = null",
        "update platform.api_keys set last_used_at = null",
        "insert into platform.api_keys (id, hash, actor, roles, attributes, scopes, created_by) values ('x', sha256('x'), 'x', '{}', '{}', '[]', 'x')",
        "update platform.revocations set lifted_at = now()",
        "insert into platform.revocations (id, kind, value, reason, created_by) values ('x', 'actor', 'x', 'x', 'x')",
        "update platform.revocation_changes set last = 0",
        "update platform.sessions set roles = '{platform-admin}'",
        "insert into platform.sessions (id, hash, strategy, actor, roles, attributes, csrf, expires_at) values ('x', sha256('x'), 'x', 'x', '{}', '{}', 'x', now())",
        "update platform.access_events set actor = 'somebody else'",
        "insert into platform.access_events (kind, actor) values ('ADMINISTRATION', 'somebody else')",
        "insert into platform.access_events (kind) values ('DENIED') on conflict (id) do update set actor = 'x'",
        "insert into platform.access_events (kind) values ('DENIED') returning *",
        "merge into platform.access_events e using (select 1) s on false when not matched then insert (kind) values ('ADMINISTRATION')",
        "select platform.acting('{}')",
        "select platform.administered('{\"actor\": \"x\"}', 'x', 'x', '{}')",
        "select platform.forget_credential('actor', 'x', 'x', 'x')",
    ] {
        attacks.push(sql.to_owned());
    }
    attacks
}

#[tokio::test]
async fn the_apis_login_reads_no_hashes_and_changes_nothing_by_itself() {
    let world = world().await;
    create_api_key(&world.api, &root(), &key("k1")).await.unwrap();
    revoke(&world.api, &root(), &revocation("r1", "actor", "mallory")).await.unwrap();
    create_session(&world.api, &session("s1")).await.unwrap();
    let before = world.events().await;
    for sql in attacks() {
        let refused = state(&world.api, &sql).await;
        assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    assert_eq!(world.events().await, before);
    // What it may: a list without hashes, and events of its own.
    assert_eq!(state(&world.api, "select id, roles from platform.api_keys").await, None);
    assert_eq!(state(&world.api, "insert into platform.access_events (kind) values ('DENIED')").await, None);
}

#[tokio::test]
async fn a_domains_role_can_do_nothing_with_any_of_it() {
    let world = world().await;
    let role = format!("access_{}", Uuid::now_v7().simple());
    world.owner.query_one("select platform.ensure_domain_role($1)", &[&role]).await.unwrap();
    world.api.batch_execute(&format!("set role {role}")).await.unwrap();
    let calls = [
        "select platform.create_api_key('{\"actor\": \"x\"}', 'x', sha256('x'), null, 'x', '{}', '{}', '[]', null)",
        "select platform.rotate_api_key('{\"actor\": \"x\"}', 'x', 'y', sha256('x'), '0', null)",
        "select platform.revoke_api_key('{\"actor\": \"x\"}', 'x')",
        "select platform.find_api_key(sha256('x'))",
        "select platform.note_key_uses('[]')",
        "select platform.revoke('{\"actor\": \"x\"}', 'x', 'actor', 'x', 'x', null)",
        "select platform.lift_revocation('{\"actor\": \"x\"}', 'x')",
        "select platform.create_session('x', sha256('x'), 'x', 'x', '{}', '{}', 'x', now(), null, null)",
        "select platform.find_session(sha256('x'))",
        "select platform.refresh_session('x', 0, '{}', '{}', now(), null, null)",
        "select platform.end_session('x')",
        "select * from platform.keys",
        "select * from platform.revocations",
        "select id from platform.api_keys",
        "insert into platform.access_events (kind) values ('DENIED')",
    ];
    for sql in attacks().iter().map(String::as_str).chain(calls) {
        let refused = state(&world.api, sql).await;
        assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    world.owner.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn what_runs_as_the_owner_looks_only_where_it_should_and_is_called_by_no_one_else() {
    let world = world().await;
    let sql = "select p.oid::regprocedure::text, coalesce(array_to_string(p.proconfig, ';'), ''),
         has_function_privilege('public', p.oid, 'execute')
       from pg_proc p where p.pronamespace = 'platform'::regnamespace and p.prosecdef order by 1";
    let rows = world.owner.query(sql, &[]).await.unwrap();
    assert!(rows.len() >= 12, "{}", rows.len());
    for row in rows {
        let (name, config, public): (&str, &str, bool) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((config, public), ("search_path=pg_catalog, pg_temp", false), "{name}");
    }
}

#[tokio::test]
async fn nobody_administers_nothing_is_done_for_nobody() {
    let world = world().await;
    create_api_key(&world.api, &root(), &key("k1")).await.unwrap();
    revoke(&world.api, &root(), &revocation("r1", "actor", "mallory")).await.unwrap();
    let before = world.events().await;
    for by in [r"'{}'", r#"'{"actor": ""}'"#, r#"'{"actor": null}'"#, "'null'", "null", "'[]'"] {
        for sql in [
            format!(
                "select platform.create_api_key({by}, 'k2', sha256('x'), null, 'x', '{{}}', '{{}}', '[]', null)"
            ),
            format!("select platform.rotate_api_key({by}, 'k1', 'k2', sha256('x'), '0', null)"),
            format!("select platform.revoke_api_key({by}, 'k1')"),
            format!("select platform.revoke({by}, 'r2', 'actor', 'x', 'x', null)"),
            format!("select platform.lift_revocation({by}, 'r1')"),
        ] {
            let refused = state(&world.api, &sql).await;
            assert_eq!(refused.as_ref().map(SqlState::code), Some("VL001"), "{sql}");
        }
    }
    assert_eq!(world.events().await, before);
    assert_eq!((world.count("api_keys").await, world.count("revocations").await), (1, 1));
    assert!(find_api_key(&world.api, &hash("k1")).await.unwrap().is_some());
    assert_eq!(list_revocations(&world.api, None, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_act_and_its_event_are_there_together_or_not_at_all() {
    let world = world().await;
    create_api_key(&world.api, &root(), &key("k1")).await.unwrap();
    create_api_key(&world.api, &root(), &key("k1")).await.unwrap_err();
    world.api.batch_execute("begin").await.unwrap();
    create_api_key(&world.api, &root(), &key("k2")).await.unwrap();
    revoke(&world.api, &root(), &revocation("r1", "actor", "mallory")).await.unwrap();
    world.api.batch_execute("rollback").await.unwrap();
    assert!(revoke_api_key(&world.api, &root(), "k1").await.unwrap());
    // It has ended: there is nothing more to do, and to tell.
    assert!(revoke_api_key(&world.api, &root(), "k1").await.unwrap());
    assert!(!revoke_api_key(&world.api, &root(), "k2").await.unwrap());
    assert!(!lift_revocation(&world.api, &root(), "r1").await.unwrap());
    assert_eq!(
        world.events().await,
        ["ADMINISTRATION 1 root createApiKey k1", "ADMINISTRATION 1 root revokeApiKey k1"]
    );
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_until_it_is_revoked() {
    let world = world().await;
    let expires_at = Some("2999-01-01T00:00:00.5Z".parse().unwrap());
    create_api_key(&world.api, &root(), &NewApiKey { expires_at, ..key("k1") }).await.unwrap();
    let found = find_api_key(&world.api, &hash("k1")).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.actor.as_str(), found.expires_at), ("k1", "ravi", expires_at));
    assert_eq!((found.scopes, found.attributes), (key("k1").scopes, key("k1").attributes));
    assert!(find_api_key(&world.api, &hash("k2")).await.unwrap().is_none());

    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let ip = Some("10.0.0.7".parse().unwrap());
    note_key_uses(&world.api, &[KeyUse { id: "k1".into(), at, ip }]).await.unwrap();
    let earlier = KeyUse { id: "k1".into(), at: "2025-01-01T00:00:00Z".parse().unwrap(), ip: None };
    note_key_uses(&world.api, &[earlier]).await.unwrap();
    let listed = api_key_by_id(&world.api, "k1").await.unwrap().unwrap();
    assert_eq!((listed.last_used_at, listed.last_used_ip.as_deref()), (Some(at), Some("10.0.0.7")));

    revoke_api_key(&world.api, &root(), "k1").await.unwrap();
    assert!(find_api_key(&world.api, &hash("k1")).await.unwrap().is_none());
    // Whoever remembers the key learns of its end.
    let changes = revocations_since(&world.api, 0).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].kind.as_str(), changes[0].value.as_str()), ("key", "k1"));
    assert!(list_api_keys(&world.api, Some("ravi")).await.unwrap()[0].revoked_at.is_some());
    assert!(list_api_keys(&world.api, Some("mia")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_is_rotated_once_and_only_while_it_works() {
    let world = world().await;
    let rotation = |old: &str, new: &str, overlap_seconds| ApiKeyRotation {
        old_id: old.to_owned(),
        new_id: new.to_owned(),
        new_hash: hash(new),
        overlap_seconds,
        expires_at: None,
    };
    let rotate =
        async |rotation: &ApiKeyRotation| rotate_api_key(&world.api, &root(), rotation).await.unwrap();
    create_api_key(&world.api, &root(), &key("k1")).await.unwrap();
    assert_eq!(rotate(&rotation("k1", "k2", 3600)).await, RotationOutcome::Rotated);
    let (old, new) = (
        find_api_key(&world.api, &hash("k1")).await.unwrap().unwrap(),
        find_api_key(&world.api, &hash("k2")).await.unwrap().unwrap(),
    );
    assert!(old.ends_at.is_some() && new.ends_at.is_none());
    assert_eq!((new.actor, new.roles, new.scopes), (old.actor, old.roles, old.scopes));
    assert_eq!(rotate(&rotation("k1", "k3", 0)).await, RotationOutcome::Replaced);
    assert_eq!(rotate(&rotation("k9", "k3", 0)).await, RotationOutcome::Unknown);
    assert!(revocations_since(&world.api, 0).await.unwrap().is_empty(), "both go on");

    // Without an overlap, also whoever remembers the old one stops.
    assert_eq!(rotate(&rotation("k2", "k3", 0)).await, RotationOutcome::Rotated);
    let changes = revocations_since(&world.api, 0).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.value.as_str()).collect::<Vec<_>>(), ["k2"]);

    revoke_api_key(&world.api, &root(), "k3").await.unwrap();
    assert_eq!(rotate(&rotation("k3", "k4", 0)).await, RotationOutcome::Revoked);
    let expires_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    create_api_key(&world.api, &root(), &NewApiKey { expires_at, ..key("k5") }).await.unwrap();
    assert_eq!(rotate(&rotation("k5", "k6", 0)).await, RotationOutcome::Expired);
}

#[tokio::test]
async fn changes_of_revocations_are_numbered_in_the_order_of_their_commits() {
    let world = world().await;
    let other = world.database.client(API).await;
    world.api.batch_execute("begin").await.unwrap();
    revoke(&world.api, &root(), &revocation("r1", "actor", "first")).await.unwrap();
    // A second one gets no number before the first is there to be seen.
    other.batch_execute("set lock_timeout = '50ms'").await.unwrap();
    let blocked = revoke(&other, &root(), &revocation("r2", "actor", "second")).await.unwrap_err();
    assert!(format!("{blocked:?}").contains("55P03"), "{blocked:?}");
    assert!(revocations_since(&other, 0).await.unwrap().is_empty());
    world.api.batch_execute("commit").await.unwrap();
    revoke(&other, &root(), &revocation("r2", "actor", "second")).await.unwrap();

    let seen = revocations_since(&other, 0).await.unwrap();
    assert_eq!(seen.iter().map(|change| change.value.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    let last = seen[1].change;
    assert!(revocations_since(&other, last).await.unwrap().is_empty());
    assert!(lift_revocation(&other, &root(), "r1").await.unwrap());
    let lifted = revocations_since(&other, last).await.unwrap();
    assert_eq!(lifted.len(), 1);
    assert!(lifted[0].lifted && lifted[0].value == "first" && lifted[0].change > last);
    assert!(!lift_revocation(&other, &root(), "r1").await.unwrap(), "only once");
}

#[tokio::test]
async fn a_database_that_was_set_back_gives_out_no_number_twice() {
    let world = world().await;
    revoke(&world.api, &root(), &revocation("r1", "actor", "first")).await.unwrap();
    let seen = revocations_since(&world.api, 0).await.unwrap()[0].change;
    // What a failover may leave: the last commits are gone.
    let lost = "delete from platform.revocations; update platform.revocation_changes set last = 0";
    world.owner.batch_execute(lost).await.unwrap();
    revoke(&world.api, &root(), &revocation("r2", "actor", "second")).await.unwrap();
    assert_eq!(revocations_since(&world.api, seen).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_revoked_twice_is_revoked_once_and_until_the_later_end() {
    let world = world().await;
    let until = |id: &str, at: Option<&str>| NewRevocation {
        expires_at: at.map(|at| at.parse().unwrap()),
        ..revocation(id, "token", "t-1")
    };
    let end = async || list_revocations(&world.api, Some("token"), Some("t-1")).await.unwrap()[0].expires_at;
    assert_eq!(revoke(&world.api, &root(), &until("r1", Some("2998-01-01T00:00:00Z"))).await.unwrap(), "r1");
    assert_eq!(revoke(&world.api, &root(), &until("r2", Some("2997-01-01T00:00:00Z"))).await.unwrap(), "r1");
    assert_eq!(end().await, Some("2998-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(revoke(&world.api, &root(), &until("r3", None)).await.unwrap(), "r1");
    assert_eq!(revoke(&world.api, &root(), &until("r4", Some("2999-01-01T00:00:00Z"))).await.unwrap(), "r1");
    assert_eq!(end().await, None);
    assert!(lift_revocation(&world.api, &root(), "r1").await.unwrap());
    assert_eq!(revoke(&world.api, &root(), &until("r5", None)).await.unwrap(), "r5");
}

#[tokio::test]
async fn a_session_is_found_refreshed_by_one_and_ended_for_all() {
    let world = world().await;
    create_session(&world.api, &session("s1")).await.unwrap();
    let found = find_session(&world.api, &hash("s1")).await.unwrap().unwrap();
    assert_eq!((found.actor.as_str(), found.csrf.as_str(), found.generation), ("mia", "csrf", 0));
    assert_eq!(
        (found.refresh_token, found.refresh_at),
        (session("s1").refresh_token, session("s1").refresh_at)
    );
    let refresh = SessionRefresh {
        generation: 0,
        roles: vec!["writer".to_owned()],
        attributes: Map::new(),
        expires_at: "2999-06-01T00:00:00Z".parse().unwrap(),
        refresh_at: None,
        refresh_token: None,
    };
    assert!(refresh_session(&world.api, "s1", &refresh).await.unwrap());
    assert!(!refresh_session(&world.api, "s1", &refresh).await.unwrap(), "the other was faster");
    let found = find_session(&world.api, &hash("s1")).await.unwrap().unwrap();
    assert_eq!((found.roles, found.generation), (vec!["writer".to_owned()], 1));

    end_session(&world.api, "s1").await.unwrap();
    end_session(&world.api, "s1").await.unwrap();
    assert!(find_session(&world.api, &hash("s1")).await.unwrap().is_none());
    let refresh = SessionRefresh { generation: 1, ..refresh };
    assert!(!refresh_session(&world.api, "s1", &refresh).await.unwrap(), "it is over");
    let changes = revocations_since(&world.api, 0).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].kind.as_str(), changes[0].value.as_str()), ("session", "s1"));

    let over = StoredSessionRow { expires_at: "2026-01-01T00:00:00Z".parse().unwrap(), ..session("s2") };
    create_session(&world.api, &over).await.unwrap();
    assert!(find_session(&world.api, &hash("s2")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_sweep_drops_what_is_over_and_keeps_what_happened() {
    let world = world().await;
    let over = "2026-01-01T00:00:00Z".parse().unwrap();
    create_session(&world.api, &StoredSessionRow { expires_at: over, ..session("s1") }).await.unwrap();
    create_session(&world.api, &session("s2")).await.unwrap();
    for (id, value) in [("r1", "a"), ("r2", "b"), ("r3", "c")] {
        revoke(&world.api, &root(), &revocation(id, "token", value)).await.unwrap();
    }
    lift_revocation(&world.api, &root(), "r3").await.unwrap();
    world
        .owner
        .batch_execute("update platform.revocations set expires_at = '2026-01-01' where id = 'r1'")
        .await
        .unwrap();
    let events = world.events().await;
    assert_eq!(sweep_sessions(&world.owner).await.unwrap(), 1);
    assert_eq!(sweep_revocations(&world.owner).await.unwrap(), 1);
    assert_eq!(world.count("sessions").await, 1);
    // The lifted one stays until every replica knows of it.
    assert_eq!(revocations_since(&world.api, 0).await.unwrap().len(), 2);
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn a_batch_of_events_may_be_sent_twice_and_one_that_the_database_refuses_is_not_half_written() {
    let world = world().await;
    let event = |kind, actor: &str| AccessEventRow {
        id: Uuid::now_v7().to_string(),
        occurred_at: "2026-03-04T05:06:07.123456Z".parse().unwrap(),
        kind,
        count: 3,
        actor: Some(actor.to_owned()),
        actor_type: Some("user".to_owned()),
        strategy: None,
        path: None,
        operation: Some("read".to_owned()),
        code: None,
        layer: None,
        detail: Some("a, \"b\" {c}".to_owned()),
        record_ids: vec!["1".to_owned(), "a,b".to_owned()],
        fields: vec!["note".to_owned()],
        request_id: None,
        trace_id: None,
        ip: Some("::1".to_owned()),
    };
    let batch = [event(AccessEventKind::Denied, "ravi"), event(AccessEventKind::SensitiveRead, "mia")];
    write_access_events(&world.api, &batch).await.unwrap();
    write_access_events(&world.api, &batch).await.unwrap();
    assert_eq!(world.events().await, ["DENIED 3 ravi read 1,a,b", "SENSITIVE_READ 3 mia read 1,a,b"]);
    let half = [event(AccessEventKind::AdminUse, "root"), AccessEventRow { count: 0, ..batch[0].clone() }];
    let half = [half[0].clone(), AccessEventRow { id: Uuid::now_v7().to_string(), ..half[1].clone() }];
    let error = write_access_events(&world.api, &half).await.unwrap_err();
    assert!(error.is_of_the_data() && !error.is_unavailable());
    assert_eq!(world.count("access_events").await, 2);
}

#[tokio::test]
async fn the_installation_has_three_keys_of_its_own() {
    let world = world().await;
    let mut keys = vec![
        cursor_key(&world.api).await.unwrap().unwrap(),
        mask_key(&world.api).await.unwrap().unwrap(),
        session_key(&world.api).await.unwrap().unwrap(),
    ];
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    let empty = TestDatabase::create().await;
    assert_eq!(mask_key(&empty.owner().await).await.unwrap(), None);
}
