use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use velocity_operator::{Config, DEFAULT_LEASE_NAMESPACE, LEASE_NAME, Terms};
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::World;

fn named(identity: &str, terms: Terms) -> Config {
    let mut config = Config::default();
    identity.clone_into(&mut config.lease.identity);
    config.lease.terms = terms;
    config
}

/// So short that a test can wait for it to run out.
fn short() -> Terms {
    Terms {
        duration: Duration::from_secs(3),
        renew: Duration::from_millis(500),
        give_up: Duration::from_millis(1500),
    }
}

/// So long that a test never does.
fn long() -> Terms {
    Terms { duration: Duration::from_hours(1), ..Terms::default() }
}

async fn world() -> World {
    World::without_operator(TestDatabase::create_from(&PLATFORM).await)
}

fn leases(world: &World) -> Api<Lease> {
    Api::namespaced(world.client.clone(), DEFAULT_LEASE_NAMESPACE)
}

async fn until_holder(world: &World, wanted: &str) -> Lease {
    let found = tokio::time::timeout(Duration::from_mins(2), async {
        loop {
            if let Some(lease) = leases(world).get_opt(LEASE_NAME).await.unwrap() {
                let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
                if holder.unwrap_or_default() == wanted {
                    return lease;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("`{wanted}` never held the lease"))
}

#[tokio::test]
async fn an_operator_that_is_killed_is_followed_by_the_other_once_its_lease_has_run_out() {
    let mut world = world().await;
    world.start(named("first", short()));
    until_holder(&world, "first").await;
    world.start(named("second", short()));
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.kill().await;
    world.create("late", &world.plain("late")).await;
    world.until_ready("late").await;
    let lease = until_holder(&world, "second").await;
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(1));
    world.stop().await;
}

#[tokio::test]
async fn an_operator_that_is_stopped_gives_its_lease_up() {
    let mut world = world().await;
    world.start(named("first", long()));
    until_holder(&world, "first").await;
    world.stop().await;
    until_holder(&world, "").await;
    world.start(named("second", long()));
    until_holder(&world, "second").await;
    world.stop().await;
}

#[tokio::test]
async fn a_killed_operator_that_comes_back_under_its_name_does_not_wait_for_itself() {
    let mut world = world().await;
    world.start(named("same", long()));
    until_holder(&world, "same").await;
    world.kill().await;
    world.start(named("same", long()));
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    world.stop().await;
}

#[tokio::test]
async fn an_operator_whose_lease_is_taken_stops_working_and_stands_by() {
    let mut world = world().await;
    world.start(named("first", short()));
    world.create("order", &world.plain("order")).await;
    world.until_ready("order").await;
    // Someone takes it, as an operator would that has not seen it renewed for long.
    let params = PostParams::default();
    loop {
        let mut lease = until_holder(&world, "first").await;
        let spec = lease.spec.as_mut().unwrap();
        (spec.holder_identity, spec.lease_duration_seconds) = (Some("thief".to_owned()), Some(5));
        if leases(&world).replace(LEASE_NAME, &params, &lease).await.is_ok() {
            break;
        }
    }
    // Its watches end with its work; nothing that was asked for after that is seen.
    let before = world.calls.take();
    assert!(!before.is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.calls.take();
    world.create("late", &world.plain("late")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = world.calls.take();
    assert!(!calls.iter().any(|call| call.starts_with("PATCH")), "{calls:?}");
    assert_eq!(world.count("select count(*) from platform.schemas").await, 1);
    // The thief is silent: its lease runs out.
    world.until_ready("late").await;
    until_holder(&world, "first").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_never_run_the_same_plan() {
    let mut world = world().await;
    world.start(named("first", short()));
    world.start(named("second", short()));
    for n in 0..10 {
        let name = format!("object-{n}");
        world.create(&name, &world.plain(&name)).await;
        if n == 5 {
            world.kill().await;
            world.start(named("third", short()));
        }
    }
    for n in 0..10 {
        world.until_ready(&format!("object-{n}")).await;
    }
    let twice = "select count(*) from (select path from platform.plans where state = 'done' group by path, plan_hash having count(*) > 1) p";
    assert_eq!(world.count(twice).await, 0);
    world.stop().await;
}
