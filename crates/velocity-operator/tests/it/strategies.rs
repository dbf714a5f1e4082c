//! What is said of AuthStrategies, and of schemas that name one.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value as Json, json};
use velocity_contract::AuthStrategy;
use velocity_operator::Config;
use velocity_schema::schema::StrategyRef;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::world::{World, condition};

const HOME: &str = "platform";

fn keys() -> Json {
    json!({"type": "apiKey", "apiKey": {"headerName": "X-API-Key"}})
}

fn composite(members: &[(&str, &str)]) -> Json {
    let member = |(namespace, name): &(&str, &str)| json!({"namespace": namespace, "name": name});
    json!({"type": "composite", "composite": {"strategies": members.iter().map(member).collect::<Vec<_>>()}})
}

async fn until(world: &World, name: &str, reason: &str) -> Json {
    let status = world
        .until_other::<AuthStrategy>(HOME, name, |status| condition(status, "Ready")["reason"] == reason)
        .await;
    condition(&status, "Ready").clone()
}

#[tokio::test]
async fn a_composite_is_ready_while_all_its_members_are_there() {
    let world = World::new().await;
    world.create_other::<AuthStrategy>(HOME, "all", &composite(&[(HOME, "one"), (HOME, "two")])).await;
    let missing = until(&world, "all", "StrategyMissing").await;
    assert!(missing["message"].as_str().unwrap().contains("platform/one, platform/two"), "{missing}");
    world.create_other::<AuthStrategy>(HOME, "one", &keys()).await;
    world.create_other::<AuthStrategy>(HOME, "two", &keys()).await;
    assert_eq!(until(&world, "all", "Accepted").await["status"], "True");
    world.others::<AuthStrategy>(HOME).delete("two", &DeleteParams::default()).await.unwrap();
    let missing = until(&world, "all", "StrategyMissing").await;
    assert!(missing["message"].as_str().unwrap().ends_with("platform/two"), "{missing}");
}

#[tokio::test]
async fn composites_in_a_circle_are_refused_until_one_of_them_lets_go() {
    let world = World::new().await;
    world.create_other::<AuthStrategy>(HOME, "keys", &keys()).await;
    world.create_other::<AuthStrategy>(HOME, "a", &composite(&[(HOME, "b")])).await;
    world.create_other::<AuthStrategy>(HOME, "b", &composite(&[(HOME, "keys"), (HOME, "a")])).await;
    for name in ["a", "b"] {
        let refused = until(&world, name, "Cycle").await;
        assert!(refused["message"].as_str().unwrap().contains("->"), "{refused}");
    }
    let patch = json!({"spec": composite(&[(HOME, "keys")])});
    let api = world.others::<AuthStrategy>(HOME);
    api.patch("b", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until(&world, "b", "Accepted").await;
    until(&world, "a", "NestedComposite").await;
}

#[tokio::test]
async fn a_composite_that_relies_on_a_domains_strategy_is_refused() {
    let world = World::new().await;
    let evil = "evil-shop-sales";
    world.create_other::<AuthStrategy>(evil, "own", &keys()).await;
    world.create_other::<AuthStrategy>(HOME, "all", &composite(&[(evil, "own")])).await;
    let refused = until(&world, "all", "ForeignStrategy").await;
    assert!(refused["message"].as_str().unwrap().contains("evil-shop-sales"), "{refused}");
}

#[tokio::test]
async fn a_strategy_whose_secret_is_missing_is_not_ready_until_it_is_there() {
    let world = World::new().await;
    let oidc = json!({"type": "oidc", "oidc": {
        "discoveryUrl": "https://id.invalid/.well-known/openid-configuration", "clientId": "velocity",
        "clientSecretRef": {"name": "provider", "key": "secret"}, "redirectUri": "https://v.invalid/auth/callback"}});
    world.create_other::<AuthStrategy>(HOME, "sign-in", &oidc).await;
    let missing = until(&world, "sign-in", "SecretMissing").await;
    assert!(missing["message"].as_str().unwrap().contains("no Secret `provider`"), "{missing}");

    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), HOME);
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "provider"}, "stringData": {"other": "x"}}))
            .unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    world
        .until_other::<AuthStrategy>(HOME, "sign-in", |status| {
            condition(status, "Ready")["message"]
                .as_str()
                .is_some_and(|text| text.contains("nothing under `secret`"))
        })
        .await;
    let patch = json!({"stringData": {"secret": "correct-horse"}});
    secrets.patch("provider", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until(&world, "sign-in", "Accepted").await;
    let object = world.others::<AuthStrategy>(HOME).get("sign-in").await.unwrap();
    assert!(!object.data.to_string().contains("correct-horse"), "a status never has a secret");
}

#[tokio::test]
async fn a_schema_that_names_another_domains_strategy_is_never_provisioned() {
    let mut world = World::without_operator(TestDatabase::create_from(&PLATFORM).await);
    let default = StrategyRef { namespace: "velocity-auth-main".into(), name: "default".into() };
    world.start(Config { default_strategy: Some(default), ..Config::default() });
    let naming = |object: &str, namespace: &str| {
        let mut spec = world.plain(object);
        spec["auth"] = json!({"strategyRef": {"name": "own", "namespace": namespace}});
        spec
    };
    world.create("stolen", &naming("stolen", "evil-shop-sales")).await;
    let failed = world.until_reason("stolen", "InvalidSpec").await;
    let status = &failed.data["status"];
    assert_eq!(status["phase"], "Failed");
    assert!(status["specHash"].is_null(), "{status}");
    let message = condition(status, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("auth.strategyRef.namespace"), "{message}");
    for (object, namespace) in
        [("own", world.namespace()), ("main", "velocity-auth-main".into()), ("plain", HOME.into())]
    {
        world.create(object, &naming(object, &namespace)).await;
        world.until_ready(object).await;
    }
    world.stop().await;
}
