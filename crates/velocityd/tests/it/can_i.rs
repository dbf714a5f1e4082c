//! `velocity can-i` on a server: what it says is what happens.

use serde_json::{Value, json};

use crate::harness::{Cli, Domain, Ran, Server};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: region, type: string, filterable: true}
  - {name: pay, type: number}
access:
  roles:
    create: [writer]
    read: [writer, regional]
    update: [writer, regional]
  abac:
    - {operations: [update], condition: \"actor.attributes.department == 'sales'\", message: only sales}
  rowFilter:
    - {role: regional, condition: 'record.region == actor.attributes.region'}
  fieldAccess:
    - {field: pay, read: [payroll], write: [payroll], masking: {strategy: redact}}
";

async fn can(cli: &Cli, domain: &Domain<'_>, operation: &str, options: &[&str]) -> Ran {
    let schema = domain.schema("book");
    let mut words = vec!["can-i", operation, &schema];
    words.extend(options);
    cli.run(&words).await
}

fn layer<'a>(explanation: &'a Value, name: &str) -> &'a Value {
    let layers = explanation["layers"].as_array().unwrap();
    layers.iter().find(|layer| layer["layer"] == name).unwrap_or_else(|| panic!("no {name}: {explanation}"))
}

#[tokio::test]
async fn the_answer_is_what_a_request_meets() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    let route = domain.route("book");
    let sales = json!({"department": "sales"});
    let writer = server.actor_with("w", &["writer"], &sales);
    let mut ids = Vec::new();
    for region in ["west", "east"] {
        let made = writer.post(&route, &json!({"title": region, "region": region})).await.expect(201).data();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let cases: [(&str, &[&str], Value); 6] = [
        ("read", &[], json!({})),
        ("read", &["writer"], json!({})),
        ("read", &["regional"], json!({"region": "west"})),
        ("update", &["writer"], json!({})),
        ("update", &["writer"], json!({"department": "sales"})),
        ("update", &["regional"], json!({"department": "sales", "region": "west"})),
    ];
    for (operation, roles, attributes) in cases {
        let actor = server.actor_with("ravi-c1", roles, &attributes);
        for id in &ids {
            let path = format!("{route}/{id}");
            let reply = match operation {
                "read" => actor.get(&path).await,
                _ => actor.patch(&path, &json!({"title": "x"})).await,
            };
            let mut options = vec!["--as".to_owned(), "ravi-c1".to_owned(), "--id".to_owned(), id.clone()];
            for role in roles {
                options.extend(["--role".to_owned(), (*role).to_owned()]);
            }
            for (name, value) in attributes.as_object().unwrap() {
                options.extend(["--attribute".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let ran = can(&cli, &domain, operation, &options).await;
            let wanted = if reply.status == 200 { (0, "yes") } else { (4, "no") };
            assert_eq!(
                (ran.code, ran.stdout.lines().next().unwrap_or_default()),
                wanted,
                "{operation} {roles:?} {attributes}: {reply:#?} {ran:#?}"
            );
        }
    }
}

#[tokio::test]
async fn it_names_the_layer_the_rule_and_the_way_out() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    let writer = server.actor_with("w", &["writer"], &json!({"department": "sales"}));
    let made =
        writer.post(&domain.route("book"), &json!({"title": "t", "region": "east"})).await.expect(201).data();
    let id = made["id"].as_str().unwrap().to_owned();

    let ran = can(&cli, &domain, "update", &["--as", "ravi-c2", "--role", "stranger", "-o", "json"]).await;
    assert_eq!(ran.code, 4, "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&told["allowed"], &layer(&told, "rbac")["verdict"]),
        (&json!(false), &json!("deny")),
        "{told}"
    );
    assert!(layer(&told, "rbac")["remedy"].as_str().unwrap().contains("writer"), "{told}");

    let ran = can(&cli, &domain, "update", &["--as", "ravi-c2", "--role", "writer"]).await;
    assert_eq!(ran.code, 4, "{ran:#?}");
    for piece in ["abac", "actor.attributes.department == 'sales'", "What would change it"] {
        assert!(ran.stdout.contains(piece), "{piece}: {ran:#?}");
    }

    // Without a record it depends on it; with one it does not.
    let west = ["--as", "ravi-c2", "--role", "regional", "--attribute", "region=west", "-o", "json"];
    let ran = can(&cli, &domain, "read", &west).await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&told["allowed"], &layer(&told, "rowFilter")["verdict"]),
        (&json!("depends"), &json!("partial")),
        "{told}"
    );
    let pay = told["fields"].as_array().unwrap().iter().find(|field| field["field"] == "pay").unwrap();
    assert_eq!(*pay, json!({"field": "pay", "read": "masked", "write": false, "mask": "redact"}));
    let mut with_id = west.to_vec();
    with_id.extend(["--id", &id]);
    let ran = can(&cli, &domain, "read", &with_id).await;
    assert_eq!(ran.code, 4, "the record is of the east: {ran:#?}");

    // Roles that bindings give are known.
    let namespace = domain.namespace();
    cli.run(&["grant", "mia-c2", "writer", "-n", &namespace, "--wait"]).await.ok();
    let told = crate::harness::eventually("the grant", async || {
        let ran = can(&cli, &domain, "read", &["--as", "mia-c2", "-o", "json"]).await;
        (ran.code == 0).then(|| ran.json())
    })
    .await;
    let from = told["roles"][0]["from"].as_str().unwrap();
    assert!(from.starts_with(&format!("RoleBinding {namespace}/mia-c2-")), "{told}");

    // And what a key is narrowed to.
    let scope = format!("{}:read", domain.schema("book"));
    let made = cli
        .run(&[
            "api-key", "create", "--actor", "sync-c2", "--roles", "writer", "--scope", &scope, "-o", "json",
        ])
        .await
        .json();
    let key = made["id"].as_str().unwrap();
    can(&cli, &domain, "read", &["--key", key]).await.ok();
    let ran = can(&cli, &domain, "create", &["--key", key]).await;
    assert!(ran.code == 4 && ran.stdout.contains("scope"), "{ran:#?}");
}

#[tokio::test]
async fn an_administrator_may_and_others_learn_only_of_themselves() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", BOOK).await;
    let ran = can(&server.cli(), &domain, "delete", &[]).await;
    assert!(ran.stdout.starts_with("yes\n"), "{ran:#?}");
    let token = server.token("ravi-c3", &["regional"], &json!({}));
    let cli = server.cli_as("ravi-c3", &token);
    assert_eq!(can(&cli, &domain, "read", &[]).await.ok(), "yes\n");
    let ran = can(&cli, &domain, "create", &[]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (4, "no\n"), "{ran:#?}");
    for options in [&["--as", "ravi-c3"][..], &["--as", "dev-admin"], &["--key", "x"]] {
        let ran = can(&cli, &domain, "read", options).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:#?}");
    }
    // A schema that is not there and one that cannot be seen are told in the same words.
    let stranger = server.cli_as("stranger-c3", &server.token("stranger-c3", &["none"], &json!({})));
    let hidden = can(&stranger, &domain, "read", &[]).await;
    let missing = stranger.run(&["can-i", "read", "org0/shop/sales/book/v1"]).await;
    assert_eq!((hidden.code, missing.code), (4, 4), "{hidden:#?} {missing:#?}");
    let place = domain.schema("book");
    assert_eq!(hidden.stderr.replace(&place, "X"), missing.stderr.replace("org0/shop/sales/book/v1", "X"));
    let ran = can(&server.cli(), &domain, "read", &["--as", "ravi-c3", "--id", "no-such-record"]).await;
    assert_ne!(ran.code, 0, "{ran:#?}");
}
