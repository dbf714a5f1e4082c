//! grant, revoke and role list over a real Kubernetes API with our CRDs.

use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::harness::{Home, TestCluster};

const BINDINGS: &str = "/apis/velocity.sh/v1/namespaces/acme-shop-sales/rolebindings";

struct Scene {
    _api: FakeApi,
    cluster: TestCluster,
    home: Home,
}

fn order(domain: &str, access: &str) -> String {
    format!(
        "apiVersion: velocity.sh/v1\nkind: SchemaDefinition\nmetadata: {{name: order}}\nspec:\n  org: acme\n  app: shop\n  domain: {domain}\n  object: order\n  version: v1\n  fields:\n    - {{ name: id, type: string }}\n    - {{ name: pay, type: number }}\n  access:\n    roles: {access}\n    fieldAccess: [{{ field: pay, read: [payroll] }}]\n"
    )
}

fn scene() -> Scene {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order("sales", "{ create: [writer], read: [writer, reader] }"));
    home.run("apply -f order.yaml").ok();
    Scene { _api: api, cluster, home }
}

impl Scene {
    fn bindings(&self) -> Vec<Value> {
        self.cluster.get(BINDINGS).unwrap()["items"].as_array().unwrap().clone()
    }

    fn specs(&self) -> Vec<Value> {
        self.bindings().into_iter().map(|binding| binding["spec"].clone()).collect()
    }

    fn apply_binding(&self, name: &str, spec: &Value) {
        let object = json!({ "apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": "acme-shop-sales" }, "spec": spec });
        self.home.write("binding.json", object.to_string());
        self.home.run("apply -f binding.json").ok();
    }
}

#[test]
fn a_grant_makes_a_binding_and_another_adds_to_it() {
    let scene = scene();
    let told = scene.home.run("grant Ravi@acme.com writer --attribute region=west").ok();
    assert!(
        told.starts_with("rolebinding.velocity.sh/ravi-acme-com-") && told.contains(" created\n"),
        "{told}"
    );
    assert!(told.contains("held in acme-shop-sales by bindings:"), "{told}");
    let told =
        scene.home.run("grant Ravi@acme.com reader,writer --attribute level=3 -n acme-shop-sales").ok();
    assert!(told.contains(" configured\n") && told.contains("level=3, region=west"), "{told}");
    assert_eq!(
        scene.specs(),
        [json!({ "actor": "Ravi@acme.com", "roles": ["writer", "reader"],
            "attributes": { "level": 3, "region": "west" } })]
    );
    // An attribute is what it is set to, not what it was before besides.
    scene.home.run(r#"grant Ravi@acme.com writer --attribute 'level={"a":1}'"#).ok();
    scene.home.run(r#"grant Ravi@acme.com writer --attribute 'level={"b":2}' --attribute region=null"#).ok();
    assert_eq!(scene.specs()[0]["attributes"], json!({ "level": { "b": 2 }, "region": null }));
    let again = scene.home.run("grant Ravi@acme.com writer").ok();
    assert!(again.contains(" unchanged\n"), "{again}");
    // Another actor whose name reads the same is another.
    scene.home.run("grant ravi.acme.com writer").ok();
    assert_eq!(scene.bindings().len(), 2);
    let held: Value =
        serde_json::from_str(&scene.home.run("grant ravi.acme.com reader -o json").ok()).unwrap();
    assert_eq!(
        (&held["actor"], &held["result"], &held["held"][0]["roles"]),
        (&json!("ravi.acme.com"), &json!("configured"), &json!(["writer", "reader"]))
    );
    let name = scene.home.run("grant ravi.acme.com reader -o name").ok();
    assert_eq!(name.trim(), format!("rolebinding.velocity.sh/{}", held["binding"].as_str().unwrap()));
}

#[test]
fn what_ends_and_what_is_narrower_stands_in_bindings_of_its_own() {
    let scene = scene();
    scene.home.run("grant ravi reader").ok();
    scene.home.run("grant ravi writer --scope order/v1:read,create").ok();
    scene.home.run("grant ravi writer --expires 2099-01-01T00:00:00Z").ok();
    scene.home.run("grant ravi writer --expires 2098-01-01T01:00:00+01:00").ok();
    let mut specs = scene.specs();
    specs.sort_by_key(ToString::to_string);
    let mut expected = [
        json!({ "actor": "ravi", "roles": ["reader"] }),
        json!({ "actor": "ravi", "roles": ["writer"],
            "scopes": [{ "object": "order", "version": "v1", "operations": ["create", "read"] }] }),
        json!({ "actor": "ravi", "roles": ["writer"], "expiresAt": "2098-01-01T00:00:00Z" }),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(specs, expected, "the same grant again moves its end");
    let told = scene.home.run("grant ravi reader").ok();
    assert!(told.contains("order/v1:create,read") && told.contains("2098-01-01T00:00:00Z"), "{told}");
}

#[test]
fn a_role_that_no_schema_names_is_granted_and_told_of() {
    let scene = scene();
    let run = scene.home.run("grant ravi writter");
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(
        run.stderr.contains("no schema in acme-shop-sales names the role `writter` yet"),
        "{}",
        run.all()
    );
    assert!(run.stderr.contains("did you mean `writer`"), "{}", run.all());
    let known = scene.home.run("grant ravi payroll");
    assert_eq!((known.code, known.stderr.as_str()), (0, ""), "a role of a field is one: {}", known.all());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let scene = scene();
    for (line, why) in [
        ("grant ravi platform-admin", "never granted"),
        ("grant ravi writer,,reader", "missing between the commas"),
        ("grant * writer", "one actor"),
        ("grant ravi", "ROLE"),
        ("grant ravi writer --scope order:reed", "did you mean `read`"),
        ("grant ravi writer --expires yesterday", "30d"),
        ("grant ravi writer --expires 2001-01-01T00:00:00Z", "over already"),
        ("grant ravi writer --attribute a=1 --attribute a=2", "given twice"),
        ("grant ravi writer --timeout 1s", "--wait"),
    ] {
        let run = scene.home.run(line);
        assert_eq!(run.code, 2, "{line}: {}", run.all());
        assert!(run.stderr.contains(why), "{line}: {}", run.all());
    }
    // What only the server knows comes from the server.
    let run = scene.home.run("grant ravi 'no role'");
    assert!(run.code == 1 && run.stderr.contains("spec.roles"), "{}", run.all());
    assert_eq!(scene.home.run("grant ravi writer -n acme-shop-nowhere").code, 3);
    assert_eq!(scene.bindings(), Vec::<Value>::new());
    scene.home.write("other.yaml", order("stock", "{ read: [writer] }"));
    scene.home.run("apply -f other.yaml").ok();
    let run = scene.home.run("grant ravi writer");
    assert!(run.code == 2 && run.stderr.contains("acme-shop-sales\n  acme-shop-stock"), "{}", run.all());
}

#[test]
fn a_grant_waits_until_it_is_in_force_and_tells_why_it_is_not() {
    let scene = scene();
    let path =
        |scene: &Scene| format!("{BINDINGS}/{}", scene.bindings()[0]["metadata"]["name"].as_str().unwrap());
    let run = scene.home.run("grant ravi writer --wait --timeout 0s");
    assert_eq!(run.code, 6, "no operator has looked: {}", run.all());
    let status = |phase: &str, ready: &str, message: &str| {
        json!({ "phase": phase, "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": ready,
            "reason": "R", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z" }] })
    };
    scene.cluster.set_status(&path(&scene), &status("Ready", "True", "in force"));
    scene.home.run("grant ravi writer --wait").ok();
    scene.cluster.set_status(&path(&scene), &status("Refused", "False", "the namespace is no domain's"));
    let run = scene.home.run("grant ravi writer --wait");
    assert!(run.code == 1 && run.stderr.contains("Refused: the namespace is no domain's"), "{}", run.all());
    let mut early = status("Refused", "False", "no domain has the namespace");
    early["conditions"][0]["reason"] = json!("NoDomain");
    scene.cluster.set_status(&path(&scene), &early);
    let run = scene.home.run("grant ravi writer --wait --timeout 0s");
    assert!(run.code == 6 && run.stderr.contains("not in force yet: no domain has"), "{}", run.all());
    scene.cluster.set_status(&path(&scene), &status("Refused", "False", "the namespace is no domain's"));
    let told = scene.home.run("grant ravi writer").ok();
    assert!(told.contains("refused: the namespace is no domain's"), "{told}");
    scene.home.write(
        "binding.json",
        json!({ "apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": { "name": scene.bindings()[0]["metadata"]["name"], "namespace": "acme-shop-sales" },
        "spec": { "actor": "ravi", "roles": ["writer"] } })
        .to_string(),
    );
    let run = scene.home.run("apply -f binding.json --wait");
    assert!(
        run.code == 1 && run.stderr.contains("no domain's"),
        "apply waits for bindings too: {}",
        run.all()
    );
}

#[test]
fn roles_are_taken_back_and_an_empty_binding_goes() {
    let scene = scene();
    scene.home.run("grant ravi writer,reader --attribute region=west").ok();
    scene.home.run("grant ravi writer --scope order").ok();
    scene.home.run("grant mia writer").ok();
    let told = scene.home.run("revoke ravi writer").ok();
    assert!(told.contains(" configured\n") && told.contains(" deleted\n"), "{told}");
    assert!(told.contains("still held in acme-shop-sales by bindings:") && told.contains("reader"), "{told}");
    let mut specs = scene.specs();
    specs.sort_by_key(ToString::to_string);
    assert_eq!(
        specs,
        [
            json!({ "actor": "mia", "roles": ["writer"] }),
            json!({ "actor": "ravi", "roles": ["reader"], "attributes": { "region": "west" } }),
        ]
    );
    let told = scene.home.run("revoke ravi").ok();
    assert!(told.contains("nothing is held in acme-shop-sales"), "{told}");
    assert_eq!(scene.bindings().len(), 1, "others keep theirs");
    assert_eq!(scene.home.run("revoke ravi").code, 3);
    assert_eq!(scene.home.run("revoke mia reader").code, 3);
    let changed: Value = serde_json::from_str(&scene.home.run("revoke mia writer -o json").ok()).unwrap();
    assert_eq!((&changed["changed"][0]["result"], &changed["held"]), (&json!("deleted"), &json!([])));
}

#[test]
fn a_binding_from_elsewhere_is_left_alone_and_named() {
    let scene = scene();
    scene.home.run("grant ravi writer").ok();
    scene.apply_binding("from-git", &json!({ "actor": "ravi", "roles": ["writer", "reader"] }));
    let run = scene.home.run("revoke ravi writer");
    assert_eq!(run.code, 1, "it still holds the role: {}", run.all());
    assert!(run.stderr.contains("rolebinding.velocity.sh/from-git gives writer"), "{}", run.all());
    assert_eq!(scene.specs(), [json!({ "actor": "ravi", "roles": ["writer", "reader"] })]);
    scene.home.run("revoke ravi writer --all-bindings").ok();
    assert_eq!(scene.specs(), [json!({ "actor": "ravi", "roles": ["reader"] })]);
}

#[test]
fn a_binding_that_was_made_another_by_hand_is_not_added_to() {
    let scene = scene();
    scene.home.run("grant ravi reader").ok();
    let name = scene.bindings()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    scene.home.run(&format!("delete rolebinding {name}")).ok();
    scene.apply_binding(&name, &json!({ "actor": "mallory", "roles": ["reader"] }));
    let run = scene.home.run("grant ravi writer");
    assert_eq!(run.code, 5, "{}", run.all());
    assert_eq!(scene.specs(), [json!({ "actor": "mallory", "roles": ["reader"] })]);
}

#[test]
fn roles_are_listed_with_what_they_may_do_and_who_holds_them() {
    let scene = scene();
    scene.home.run("grant ravi writer").ok();
    scene.home.run("grant mia writer --scope order/v1:read --expires 2099-01-01T00:00:00Z").ok();
    scene.home.run("grant old reader,ghost").ok();
    scene.apply_binding(
        "over",
        &json!({ "actor": "old", "roles": ["payroll"], "expiresAt": "2001-01-01T00:00:00Z" }),
    );
    insta::assert_snapshot!(scene.home.run("role list").ok(), @r"
    NAMESPACE         ROLE      SCHEMA          OPERATIONS         HELD BY
    acme-shop-sales   ghost     none names it                      old
    acme-shop-sales   payroll   order/v1        only fields: pay   old (over since 2001-01-01T00:00:00Z)
    acme-shop-sales   reader    order/v1        read               old
    acme-shop-sales   writer    order/v1        create, read       mia (in order/v1:read, until 2099-01-01T00:00:00Z), ravi
    ");
    insta::assert_snapshot!(scene.home.run("role list -o name").ok(), @r"
    ghost
    payroll
    reader
    writer
    ");
    let of_mia = scene.home.run("role list --actor mia").ok();
    assert!(of_mia.contains("order/v1   read  ") && !of_mia.contains("create"), "{of_mia}");
    let listed: Value = serde_json::from_str(&scene.home.run("role list -o json").ok()).unwrap();
    let payroll = listed.as_array().unwrap().iter().find(|role| role["role"] == "payroll").unwrap();
    assert_eq!(payroll["schemas"][0]["fields"], json!(["pay"]));
    assert_eq!(payroll["heldBy"][0]["inForce"], json!(false));
    assert_eq!(scene.home.run("role list --actor nobody").ok(), "");
}
