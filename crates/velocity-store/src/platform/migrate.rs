//! Brings the platform's own tables up to date: numbered SQL, each applied once, checked against what was applied.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

/// Any number; the lock that keeps two processes from migrating at once.
const LOCK: i64 = 0x7665_6c6f_6369_7479;

/// Number, name and text; never changed once released.
const MIGRATIONS: [(i32, &str, &str); 5] = [
    (1, "platform", include_str!("001_platform.sql")),
    (2, "evolution", include_str!("002_evolution.sql")),
    (3, "search", include_str!("003_search.sql")),
    (4, "access", include_str!("004_access.sql")),
    (5, "search_fields", include_str!("005_search_fields.sql")),
];

/// What runs before the first migration: roles belong to the cluster, not to the database.
const BOOTSTRAP: &str = "
do $$
begin
  begin
    create role velocity_domain nologin;
  exception when duplicate_object or unique_violation then null;
  end;
  begin
    create role velocity_api login noinherit;
  exception when duplicate_object or unique_violation then null;
  end;
end
$$;
create schema if not exists platform;
revoke all on schema platform from public;
create table if not exists platform.migrations (
  number integer primary key,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now()
)";

/// Settings of every session of the API, whatever its client asks for.
const API_SETTINGS: &str = "
do $$
declare
  wanted constant text[] := array['TimeZone=UTC', 'jit=off', 'idle_in_transaction_session_timeout=60s'];
begin
  if not exists (
    select from pg_roles r join pg_db_role_setting s on s.setrole = r.oid and s.setdatabase = 0
    where r.rolname = 'velocity_api' and s.setconfig @> wanted
  ) then
    alter role velocity_api set TimeZone = 'UTC';
    alter role velocity_api set jit = off;
    alter role velocity_api set idle_in_transaction_session_timeout = '60s';
  end if;
end
$$";

/// Why the platform's tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration that was applied is not the one in this binary.
    #[error(
        "migration {number} in the database is not the one in this binary; was it made by another build?"
    )]
    Changed {
        /// Its number.
        number: i32,
    },
    /// The database has migrations that this binary does not know.
    #[error("the database has migration {number}, which this binary does not know; run a newer velocityd")]
    Newer {
        /// Its number.
        number: i32,
    },
    /// Postgres refused.
    #[error("the platform's tables could not be brought up to date")]
    Postgres(#[from] tokio_postgres::Error),
}

/// Applies what is missing, as the owner. Safe to run from several processes at once, and again after any failure.
pub async fn migrate(client: &mut Client) -> Result<(), MigrateError> {
    let transaction = client.transaction().await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(BOOTSTRAP).await?;
    let applied =
        transaction.query("select number, checksum from platform.migrations order by number", &[]).await?;
    for row in &applied {
        let number: i32 = row.get(0);
        let known = MIGRATIONS.iter().find(|(own, _, _)| *own == number);
        match known {
            None => return Err(MigrateError::Newer { number }),
            Some((_, _, sql)) if checksum(sql) != row.get::<_, &str>(1) => {
                return Err(MigrateError::Changed { number });
            }
            Some(_) => {}
        }
    }
    for (number, name, sql) in &MIGRATIONS[applied.len().min(MIGRATIONS.len())..] {
        transaction.batch_execute(sql).await?;
        transaction
            .execute(
                "insert into platform.migrations (number, name, checksum) values ($1, $2, $3)",
                &[number, name, &checksum(sql)],
            )
            .await?;
        tracing::info!(
            migration.number = number,
            migration.name = name,
            "applied a migration of the platform"
        );
    }
    transaction.batch_execute(API_SETTINGS).await?;
    let superuser: bool = transaction
        .query_one("select rolsuper from pg_roles where rolname = current_user", &[])
        .await?
        .get(0);
    if superuser {
        transaction.batch_execute(include_str!("leakproof.sql")).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
