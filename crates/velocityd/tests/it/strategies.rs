//! Who is let in when a schema names an AuthStrategy, and when access changes.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use velocity_access::DevKey;

use crate::harness::{Actor, Domain, OPEN, Server, eventually, send};

const PLAIN: &str = "
fields:
  - {name: text, type: string, filterable: true}
  - {name: region, type: string, filterable: true}
";

/// A caller with a token of another key.
fn holder(server: &Server, key: &DevKey, roles: &[&str]) -> Actor {
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let token = key.mint("olga", &roles, &Map::new(), jiff::Timestamp::now(), Duration::from_hours(1));
    server.bearer(Some(token.unwrap()))
}

fn strategy(domain: &Domain<'_>, key: &DevKey) -> Value {
    json!({
        "apiVersion": "velocity.sh/v1",
        "kind": "AuthStrategy",
        "metadata": {"name": "own", "namespace": domain.namespace()},
        "spec": key.strategy(),
    })
}

#[tokio::test]
async fn a_schemas_own_strategy_lets_in_its_callers_and_no_others() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let (key, other) = (DevKey::generate().unwrap(), DevKey::generate().unwrap());
    let own =
        format!("{PLAIN}{OPEN}auth: {{strategyRef: {{name: own, namespace: {}}}}}\n", domain.namespace());
    domain.apply("open", &format!("{PLAIN}{OPEN}")).await;
    // The schema comes before its strategy: until that is there, nobody is let in.
    domain.put("closed", &own).await;
    domain.settled("closed", &["Ready"]).await;
    let (open, closed) = (domain.route("open"), domain.route("closed"));
    let olga = holder(server, &key, &["writer"]);
    assert!(matches!(olga.get(&closed).await.status, 401 | 404));

    let reply = server.apply_object(&strategy(&domain, &key)).await;
    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
    eventually("the strategy to be in force", async || (olga.get(&closed).await.status == 200).then_some(()))
        .await;

    olga.post(&closed, &json!({"text": "mine"})).await.expect(201);
    let refused = [
        ("the installation's strategy here", server.actor("ravi", &["writer"]).get(&closed).await),
        ("its administrator", server.admin().get(&closed).await),
        ("this strategy elsewhere", olga.get(&open).await),
        ("a third key", holder(server, &other, &["writer"]).get(&closed).await),
        ("nobody", server.bearer(None).get(&closed).await),
    ];
    for (who, reply) in refused {
        assert_eq!(reply.status, 401, "{who}: {reply:#?}");
    }
    assert_eq!(holder(server, &key, &["stranger"]).get(&closed).await.problem(403), "RBAC_DENIED");

    // Its key is replaced: who held the old one is out.
    server.apply_object(&strategy(&domain, &other)).await.expect(200);
    let new = holder(server, &other, &["writer"]);
    eventually("the new key", async || (new.get(&closed).await.status == 200).then_some(())).await;
    assert_eq!(olga.get(&closed).await.problem(401), "AUTH_INVALID_TOKEN");

    // It is deleted: everybody is out.
    let path = format!("/apis/velocity.sh/v1/namespaces/{}/authstrategies/own", domain.namespace());
    send(server.kubernetes(Method::DELETE, &path)).await.expect(200);
    eventually("nobody to be let in", async || (new.get(&closed).await.status == 401).then_some(())).await;
    assert_eq!(server.admin().get(&closed).await.status, 401);
    server.actor("ravi", &["writer"]).get(&open).await.expect(200);
}

#[tokio::test]
async fn access_that_is_taken_away_is_gone() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let access = |read: &str, filters: &str| {
        format!(
            "{PLAIN}access:\n  roles:\n    create: [writer]\n    read: [{read}]\n    update: [writer]\n{filters}"
        )
    };
    let filter =
        |condition: &str| format!("  rowFilter:\n    - {{role: local, condition: \"{condition}\"}}\n");
    let by_region = filter("record.region == actor.attributes.region");
    domain.apply("note", &access("writer, reader, local", &by_region)).await;
    let route = domain.route("note");
    let writer = server.actor("ravi", &["writer"]);
    for region in ["west", "east"] {
        writer.post(&route, &json!({"text": region, "region": region})).await.expect(201);
    }
    let reader = server.actor("rosa", &["reader"]);
    let local = server.actor_with("lena", &["local"], &json!({"region": "west"}));
    let both = server.actor_with("bo", &["local", "reader"], &json!({"region": "west"}));
    let seen = async |actor: &Actor| actor.walk(&route).await.len();
    assert_eq!((seen(&reader).await, seen(&local).await, seen(&both).await), (2, 1, 2));

    domain.apply("note", &access("writer, local", &by_region)).await;
    assert_eq!(reader.get(&route).await.problem(403), "RBAC_DENIED");
    assert_eq!((seen(&local).await, seen(&both).await), (1, 1), "a role that may not read opens no row");

    domain.apply("note", &access("writer, local", &filter("record.text == 'east'"))).await;
    let found = local.walk(&route).await;
    assert_eq!((found.len(), &found[0]["text"]), (1, &json!("east")));

    let everyone = format!("{by_region}    - {{role: '*', condition: \"record.text != 'west'\"}}\n");
    domain.apply("note", &access("writer, local", &everyone)).await;
    assert_eq!((seen(&writer).await, seen(&local).await), (1, 0), "a filter of everyone holds on top");
    assert_eq!(seen(&server.admin()).await, 2, "the administrator sees every row");

    domain.apply("note", &access("writer, local", "")).await;
    assert_eq!((seen(&writer).await, seen(&local).await), (2, 2));
}
