//! `velocity grant`, `revoke` and `role list` on a server: what a binding gives, where, and until when.

use serde_json::{Value, json};

use crate::harness::{Cli, Domain, Server, eventually};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: region, type: string, filterable: true}
access:
  roles:
    create: [writer]
    read: [writer, regional]
    update: [writer]
    delete: [writer]
  rowFilter:
    - {role: regional, condition: 'record.region == actor.attributes.region'}
";

/// A command about the domain's namespace.
async fn run(cli: &Cli, domain: &Domain<'_>, line: &str) -> crate::harness::Ran {
    let namespace = domain.namespace();
    let words: Vec<&str> = line.split(' ').chain(["-n", &namespace]).collect();
    cli.run(&words).await
}

#[tokio::test]
async fn a_grant_lets_somebody_in_and_a_revocation_shuts_them_out_again() {
    let server = Server::shared().await;
    let (domain, other) = (Domain::new(server), Domain::new(server));
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    other.apply("book", BOOK).await;
    let (route, elsewhere) = (domain.route("book"), other.route("book"));
    let ravi = server.actor("ravi-g1", &[]);
    assert_eq!(ravi.get(&route).await.problem(403), "RBAC_DENIED");

    let told = run(&cli, &domain, "grant ravi-g1 writer --wait").await.ok();
    assert!(told.contains("writer") && told.contains("everything"), "{told}");
    eventually("the grant", async || (ravi.get(&route).await.status == 200).then_some(())).await;
    let made = ravi.post(&route, &json!({"title": "t"})).await.expect(201).data();
    assert_eq!(made["created_by"], "ravi-g1");
    // It holds in its domain, and for nobody else.
    assert_eq!(ravi.get(&elsewhere).await.problem(403), "RBAC_DENIED");
    assert_eq!(server.actor("mia-g1", &[]).get(&route).await.problem(403), "RBAC_DENIED");
    assert_eq!(server.actor("Ravi-g1", &[]).get(&route).await.problem(403), "RBAC_DENIED");

    run(&cli, &domain, "revoke ravi-g1 writer").await.ok();
    eventually("the end of it", async || (ravi.get(&route).await.status == 403).then_some(())).await;
    run(&cli, &domain, "revoke ravi-g1").await.failed(3);
}

#[tokio::test]
async fn a_grant_is_as_narrow_as_its_scope_and_carries_its_attributes() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    domain.apply("shelf", BOOK).await;
    let writer = server.actor("w", &["writer"]);
    for region in ["west", "east"] {
        writer.post(&domain.route("book"), &json!({"title": region, "region": region})).await.expect(201);
    }
    let ravi = server.actor("ravi-g2", &[]);
    run(&cli, &domain, "grant ravi-g2 writer --scope book/v1:read,create --wait").await.ok();
    let route = domain.route("book");
    eventually("the grant", async || (ravi.get(&route).await.status == 200).then_some(())).await;
    let id = ravi.post(&route, &json!({"title": "mine"})).await.expect(201).data()["id"].clone();
    let one = format!("{route}/{}", id.as_str().unwrap());
    assert_eq!(ravi.patch(&one, &json!({"title": "x"})).await.problem(403), "RBAC_DENIED");
    assert_eq!(ravi.delete(&one).await.problem(403), "RBAC_DENIED");
    assert_eq!(ravi.get(&domain.route("shelf")).await.problem(403), "RBAC_DENIED");

    // Attributes come with the binding where the token has none of that name.
    run(&cli, &domain, "grant mia-g2 regional --attribute region=west --wait").await.ok();
    let titles = async |actor: &crate::harness::Actor| -> Option<Vec<String>> {
        let reply = actor.get(&route).await;
        if reply.status != 200 {
            return None;
        }
        let records = reply.data();
        Some(
            records
                .as_array()
                .unwrap()
                .iter()
                .map(|book| book["title"].as_str().unwrap().to_owned())
                .collect(),
        )
    };
    let mia = server.actor("mia-g2", &[]);
    let seen = eventually("the grant to mia", async || titles(&mia).await).await;
    assert_eq!(seen, ["west"]);
    let east = server.actor_with("mia-g2", &[], &json!({"region": "east"}));
    assert_eq!(titles(&east).await.unwrap(), ["east"], "the token's own value counts");

    let listed: Value = run(&cli, &domain, "role list -o json").await.json();
    let writers = listed.as_array().unwrap().iter().find(|role| role["role"] == "writer").unwrap();
    assert_eq!(writers["heldBy"][0]["actor"], "ravi-g2");
    assert_eq!(
        writers["heldBy"][0]["scopes"],
        json!([{"object": "book", "version": "v1", "operations": ["create", "read"]}])
    );
    assert_eq!(writers["schemas"].as_array().unwrap().len(), 2);
    let page = run(&cli, &domain, "role list --actor mia-g2").await.ok();
    assert!(
        page.contains("regional") && page.contains("read (some rows)") && !page.contains("ravi"),
        "{page}"
    );
}

#[tokio::test]
async fn a_grant_ends_by_itself() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    let route = domain.route("book");
    let ravi = server.actor("ravi-g3", &[]);
    run(&cli, &domain, "grant ravi-g3 writer --expires 1h --wait").await.ok();
    eventually("the grant", async || (ravi.get(&route).await.status == 200).then_some(())).await;
    // The same grant again moves the end of the same binding.
    let told = run(&cli, &domain, "grant ravi-g3 writer --expires 2s").await.ok();
    assert!(told.contains(" configured"), "{told}");
    eventually("its end", async || (ravi.get(&route).await.status == 403).then_some(())).await;
    let page = eventually("the list to say so", async || {
        let page = run(&cli, &domain, "role list --actor ravi-g3").await.ok();
        page.contains("over since").then_some(page)
    })
    .await;
    assert!(page.contains("writer"), "{page}");
}

#[tokio::test]
async fn nobody_is_made_an_administrator_by_a_grant() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    let told = run(&cli, &domain, "grant ravi-g4 platform-admin").await.failed(2);
    assert!(told.contains("never granted"), "{told}");
    // Past the command line, the Kubernetes API says no by itself.
    let binding = json!({"apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": {"name": "sly", "namespace": domain.namespace()},
        "spec": {"actor": "ravi-g4", "roles": ["platform-admin"]}});
    let file = server.folder().join("sly.json");
    std::fs::write(&file, binding.to_string()).unwrap();
    let told = cli.run(&["apply", "-f", file.to_str().unwrap()]).await.failed(1);
    assert!(told.contains("platform-admin"), "{told}");
    let told = cli.run(&["validate", "-f", file.to_str().unwrap()]).await;
    assert!(told.code == 1 && told.stdout.contains("spec.roles"), "{told:#?}");
}

#[tokio::test]
async fn a_binding_and_the_first_schema_of_its_domain_are_applied_together() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    let binding = json!({"apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": {"name": "ravi", "namespace": domain.namespace()},
        "spec": {"actor": "ravi-g5", "roles": ["writer"]}});
    let folder = server.folder().join(domain.namespace());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a-binding.json"), binding.to_string()).unwrap();
    std::fs::write(folder.join("b-schema.json"), domain.definition("book", BOOK).to_string()).unwrap();
    let folder = folder.to_str().unwrap();
    let told = cli.run(&["apply", "-f", folder, "--wait"]).await.ok();
    assert!(told.contains("rolebinding.velocity.sh/ravi ready"), "{told}");
    let ravi = server.actor("ravi-g5", &[]);
    eventually("the binding", async || (ravi.get(&domain.route("book")).await.status == 200).then_some(()))
        .await;
    // What a manifest gives, revoke leaves alone and names.
    let told = run(&cli, &domain, "revoke ravi-g5 writer").await.failed(1);
    assert!(told.contains("rolebinding.velocity.sh/ravi gives writer"), "{told}");
    ravi.get(&domain.route("book")).await.expect(200);
    cli.run(&["diff", "-f", folder]).await.ok();
    cli.run(&["delete", "-f", folder]).await.ok();
}
