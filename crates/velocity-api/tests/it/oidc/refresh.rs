//! What is asked of the provider again, and what its answers and its silence do to a session.

use std::time::Duration;

use serde_json::json;

use super::agent::Agent;
use super::world::{Difference, World};

/// Long enough for a test to go on in, short enough to wait for.
const TTL: u32 = 4;

async fn world() -> World {
    World::with(Difference { access_token_ttl: TTL, ..Difference::default() }).await
}

async fn access_token_has_ended() {
    tokio::time::sleep(Duration::from_millis(u64::from(TTL) * 1000 + 500)).await;
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn roles_are_read_again_when_the_access_token_ends_also_with_a_rotated_refresh_token() {
    let world = world().await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    for roles in [&["writer"][..], &[], &["reader", "writer"]] {
        world.provider.user("ravi", roles).await;
        access_token_has_ended().await;
        let who = agent.whoami(&world.first.base).await;
        assert_eq!(who.status, 200, "{who:?}");
        assert_eq!(who.data()["roles"], json!(roles));
    }
    assert_eq!(world.provider.count("success", "refresh_token").await, 3);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn whoever_the_provider_no_longer_knows_is_out() {
    let world = world().await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    world.provider.forget("ravi").await;
    access_token_has_ended().await;
    let refused = agent.whoami(&world.first.base).await;
    assert!(refused.is_problem(401, "AUTH_INVALID_TOKEN").contains("has ended"), "{refused:?}");
    assert!(world.sql("select id from platform.sessions").await.is_empty());
    // Coming back does not bring the session back.
    world.provider.user("ravi", &["reader"]).await;
    agent.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_crowd_of_requests_on_two_replicas_uses_the_refresh_token_once() {
    let world = world().await;
    let second = world.replica().await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    for round in 1..=2 {
        access_token_has_ended().await;
        let bases = [&world.first.base, &second.base];
        let asked = (0..24).map(|n| {
            let (mut agent, base) = (agent.clone(), bases[n % 2].clone());
            tokio::spawn(async move { agent.whoami(&base).await })
        });
        for answer in asked.collect::<Vec<_>>() {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(world.provider.count("success", "refresh_token").await, round);
    }
    assert_eq!(world.provider.count("error", "refresh_token").await, 0);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_provider_that_is_down_stops_the_session_and_does_not_end_it() {
    let world = World::with(Difference { access_token_ttl: 20, ..Difference::default() }).await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    world.provider.down().await;
    // As long as the provider's last word holds, it is not missed, even when it is to be asked.
    world.sql("update platform.sessions set refresh_at = now()").await;
    let second = world.replica().await;
    assert_eq!(agent.whoami(&second.base).await.status, 200);
    tokio::time::sleep(Duration::from_secs(21)).await;
    let refused = agent.whoami(&world.first.base).await;
    assert!(refused.is_problem(401, "AUTH_INVALID_TOKEN").contains("does not answer"));
    world.provider.up().await;
    let until = std::time::Instant::now() + Duration::from_secs(40);
    while agent.whoami(&world.first.base).await.status != 200 {
        assert!(std::time::Instant::now() < until, "the session did not come back");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_session_whose_provider_gives_no_refresh_token_lasts_until_its_end() {
    let client = json!({ "grant_types": ["authorization_code"] });
    let oidc = json!({ "sessionTtl": "1m" });
    let world = World::with(Difference { access_token_ttl: 1, client, oidc, ..Difference::default() }).await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(agent.whoami(&world.first.base).await.status, 200);
    world.sql("update platform.sessions set expires_at = now()").await;
    // On a replica that has not seen it yet.
    let second = world.replica().await;
    agent.whoami(&second.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn what_is_kept_of_the_provider_opens_for_its_own_session_only() {
    let world = world().await;
    let (mut one, mut other) = (Agent::new(), Agent::new());
    world.provider.user("mallory", &[]).await;
    one.sign_in(&world.first.base, "ravi").await;
    other.sign_in(&world.first.base, "mallory").await;
    // Whoever may write the table but has not the key cannot give one session the rights of another.
    world
        .sql("update platform.sessions set refresh_token = (select refresh_token from platform.sessions where actor = 'ravi')")
        .await;
    access_token_has_ended().await;
    other.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
    assert_eq!(one.whoami(&world.first.base).await.data()["actor"], "ravi");
}
