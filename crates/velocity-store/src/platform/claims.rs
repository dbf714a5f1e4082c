//! Claims: a path belongs to one resource, a namespace to one domain.

use tokio_postgres::{Client, Error};

/// A resource that wants a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `org/app/domain/object/version`.
    pub path: String,
    /// `org/app/domain`.
    pub domain: String,
    /// The resource's namespace.
    pub namespace: String,
    /// The resource's name.
    pub name: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The path is the resource's.
    Held,
    /// Another resource holds the path: `namespace/name`.
    PathTaken(String),
    /// Another domain holds the namespace: `org/app/domain`.
    NamespaceTaken(String),
}

/// Claims a path for a resource; the first claim wins, whoever asks at the same time.
pub async fn claim(client: &mut Client, claim: &Claim) -> Result<ClaimOutcome, Error> {
    // A claim that is held stays held: every reconcile but the first needs no lock.
    let held = client
        .query_opt(
            "select from platform.claims where path = $1 and namespace = $2 and name = $3",
            &[&claim.path, &claim.namespace, &claim.name],
        )
        .await?;
    if held.is_some() {
        return Ok(ClaimOutcome::Held);
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute("set local lock_timeout = '5s'").await?;
    // Claims are rare and short: one at a time, so that two new domains cannot both take a namespace.
    transaction.execute("lock table platform.claims in share row exclusive mode", &[]).await?;
    let other = transaction
        .query_opt(
            "select domain from platform.claims where namespace = $1 and domain <> $2 limit 1",
            &[&claim.namespace, &claim.domain],
        )
        .await?;
    if let Some(row) = other {
        return Ok(ClaimOutcome::NamespaceTaken(row.get(0)));
    }
    let holder = transaction
        .query_opt("select namespace, name from platform.claims where path = $1", &[&claim.path])
        .await?
        .map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)));
    match holder {
        Some((namespace, name)) if namespace == claim.namespace && name == claim.name => {
            Ok(ClaimOutcome::Held)
        }
        Some((namespace, name)) => Ok(ClaimOutcome::PathTaken(format!("{namespace}/{name}"))),
        None => {
            transaction
                .execute(
                    "insert into platform.claims (path, namespace, name, domain) values ($1, $2, $3, $4)",
                    &[&claim.path, &claim.namespace, &claim.name, &claim.domain],
                )
                .await?;
            transaction.commit().await?;
            Ok(ClaimOutcome::Held)
        }
    }
}

/// The domain (`org/app/domain`) that a namespace belongs to: that of the resources there which hold a path.
pub async fn domain_of_namespace(client: &Client, namespace: &str) -> Result<Option<String>, Error> {
    let found = client
        .query_opt("select domain from platform.claims where namespace = $1 limit 1", &[&namespace])
        .await?;
    Ok(found.map(|row| row.get(0)))
}

/// Gives up everything that a resource holds: its claims, and what was served for it. The data stays.
pub async fn release(client: &mut Client, namespace: &str, name: &str) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute(
            "delete from platform.schemas s using platform.claims c
             where c.path = s.path and c.namespace = $1 and c.name = $2",
            &[&namespace, &name],
        )
        .await?;
    transaction
        .execute("delete from platform.claims where namespace = $1 and name = $2", &[&namespace, &name])
        .await?;
    transaction.commit().await
}
