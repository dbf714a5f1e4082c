//! can-i over HTTP.

use serde_json::{Value, json};
use velocity_contract::{Code, Problem};

use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::Home;

fn who(api: &FakeApi, roles: &[&str]) {
    api.can(
        "GET /auth/whoami",
        200,
        json!({ "data": { "actor": "me", "type": "user", "roles": roles, "attributes": { "region": "west" },
            "strategy": "velocity/dev", "expiresAt": null } }),
    );
}

fn explanation(allowed: &Value) -> Value {
    let layer = |layer: &str, verdict: &str, rule: Value, remedy: Value| {
        json!({ "layer": layer, "verdict": verdict,
        "rule": rule, "detail": format!("{layer} says so"), "remedy": remedy })
    };
    json!({ "data": { "allowed": allowed, "operation": "read", "schema": SCHEMA, "actor": "ravi",
        "roles": [{ "role": "west", "from": "RoleBinding acme-shop-sales/ravi" }], "attributes": { "level": 3 },
        "layers": [
            layer("rbac", "allow", json!("access.roles.read"), Value::Null),
            layer("abac", "deny", json!("access.abac[0]: actor.attributes.level > 3"), json!("give ravi a higher level")),
            layer("rowFilter", "partial", json!("record.region == 'west'"), json!("a role without a filter")),
            layer("masking", "notApplicable", Value::Null, Value::Null),
        ],
        "fields": [
            { "field": "id", "read": "clear", "write": true },
            { "field": "version", "read": "clear", "write": false },
            { "field": "amount", "read": "masked", "write": false, "mask": "range" },
        ] } })
}

#[test]
fn an_administrator_is_told_which_layer_decides_and_what_would_change_it() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can("GET /platform/explain", 200, explanation(&json!(false)));
    let run = home
        .run("can-i read order --as ravi --role west,east --attribute region=west --id O-1 --ip 10.0.0.1");
    assert_eq!(run.code, 4, "{}", run.all());
    insta::assert_snapshot!(run.stdout, @r"
    no

    actor             ravi
    roles             west (RoleBinding acme-shop-sales/ravi)
    attribute level   3
    operation         read
    schema            acme/shop/sales/order/v1

    LAYER       VERDICT   RULE                                         WHY
    rbac        allow     access.roles.read                            rbac says so
    abac        deny      access.abac[0]: actor.attributes.level > 3   abac says so
    rowFilter   partial   record.region == 'west'                      rowFilter says so
    masking     -                                                      masking says so

    What would change it
      abac   give ravi a higher level

    Fields
      FIELD    READ             WRITE
      amount   masked (range)   no
    ");
    let line = api.seen("GET /platform/explain").line;
    for piece in [
        "schema=acme%2Fshop%2Fsales%2Forder%2Fv1",
        "operation=read",
        "actor=ravi",
        "roles=west%2Ceast",
        "attributes=%7B%22region%22%3A%22west%22%7D",
        "id=O-1",
        "ip=10.0.0.1",
    ] {
        assert!(line.contains(piece), "{piece}: {line}");
    }
}

#[test]
fn only_a_yes_is_success() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    for (allowed, word, code) in
        [(json!(true), "yes", 0), (json!(false), "no", 4), (json!("depends"), "depends", 1)]
    {
        api.can("GET /platform/explain", 200, explanation(&allowed));
        let run = home.run("can-i read order --as ravi");
        assert_eq!((run.code, run.stdout.lines().next()), (code, Some(word)), "{}", run.all());
        assert_eq!(home.run("can-i read order --as ravi -o name").stdout, format!("{word}\n"));
        let run = home.run("can-i read order --as ravi -o json");
        let data: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((run.code, &data["allowed"]), (code, &allowed));
    }
}

#[test]
fn an_administrator_asks_about_themselves_with_what_the_server_knows() {
    let api = FakeApi::start();
    who(&api, &["platform-admin", "west"]);
    api.can("GET /platform/explain", 200, explanation(&json!(true)));
    Home::at(&api).run("can-i read order").ok();
    let line = api.seen("GET /platform/explain").line;
    for piece in ["actor=me", "roles=platform-admin%2Cwest", "attributes=%7B%22region%22%3A%22west%22%7D"] {
        assert!(line.contains(piece), "{piece}: {line}");
    }
}

#[test]
fn a_key_is_asked_about_by_its_id() {
    let api = FakeApi::start();
    api.can("GET /platform/explain", 200, explanation(&json!(true)));
    Home::at(&api).run("can-i read order --key k1 --ip 10.0.0.1").ok();
    let line = api.seen("GET /platform/explain").line;
    assert!(line.contains("keyId=k1") && line.contains("ip=10.0.0.1") && !line.contains("actor="), "{line}");
}

#[test]
fn everybody_else_gets_a_yes_or_a_no_about_themselves() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    who(&api, &["writer"]);
    let run = home.run("can-i read order");
    assert!(
        run.stderr.contains("for an administrator: velocity can-i read acme/shop/sales/order/v1 --as me"),
        "{}",
        run.all()
    );
    assert_eq!(run.ok(), "yes\n");
    for line in ["can-i delete order", "can-i read acme/shop/sales/hidden/v1"] {
        let run = home.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (4, "no\n"), "{line}: {}", run.all());
    }
    assert_eq!(home.run("can-i read order -o jsonpath={.allowed}").ok(), "true\n");
    assert_eq!(home.run("can-i read order --id O-1").code, 2);
    let denied = Problem::new(Code::RbacDenied, "this needs the role platform-admin");
    api.can("GET /platform/explain", 403, serde_json::to_value(&denied).unwrap());
    let run = home.run("can-i read order --as ravi");
    assert!(run.code == 4 && run.stdout.is_empty() && run.stderr.contains("without --as"), "{}", run.all());
}

#[test]
fn a_wrong_question_is_a_usage_error() {
    let home = Home::at(&FakeApi::start());
    for (line, why) in [
        ("can-i read order --key k1 --as ravi --role west", "--role"),
        ("can-i reed order", "did you mean `read`"),
        ("can-i read", "SCHEMA"),
        ("can-i read order --role west", "--as"),
        ("can-i read order --as ravi --role a,,b", "missing between the commas"),
        ("can-i read order --as ravi --ip nowhere", "--ip"),
    ] {
        let run = home.run(line);
        assert!(run.code == 2 && run.stderr.contains(why), "{line}: {}", run.all());
    }
}
