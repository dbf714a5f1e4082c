//! What a definition's schema and rules refuse, in which words.

use serde_json::{Value, json};

use crate::harness::{parcel, server};

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = parcel("a");
    change(&mut object["spec"]);
    object
}

#[tokio::test]
async fn schema_violations_name_field_value_and_rule() {
    let space = server().namespace().await;
    let cases: Vec<(Value, &str, &str)> = vec![
        (
            with(|spec| spec["fields"][0]["type"] = json!("strng")),
            "spec.fields[0].type",
            "Unsupported value: \"strng\": supported values: \"string\", \"integer\", \"number\"",
        ),
        (
            with(|spec| spec["version"] = json!("1")),
            "spec.version",
            "Invalid value: \"1\": spec.version in body should match '^v[1-9][0-9]*$'",
        ),
        (
            with(|spec| spec["replicas"] = json!("x")),
            "spec.replicas",
            "Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        ),
        (
            with(|spec| spec["replicas"] = json!(11)),
            "spec.replicas",
            "Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        (
            with(|spec| spec["ratio"] = json!(0)),
            "spec.ratio",
            "Invalid value: 0: spec.ratio in body should be greater than 0",
        ),
        (
            with(|spec| spec["since"] = json!("yesterday")),
            "spec.since",
            "Invalid value: \"yesterday\": spec.since in body must be of type date-time: \"yesterday\"",
        ),
        (with(|spec| spec["tags"] = json!(["a", "b", "a"])), "spec.tags[2]", "Duplicate value: \"a\""),
        (
            with(|spec| spec["tags"] = json!(["1", "2", "3", "4", "5", "6"])),
            "spec.tags",
            "Too many: 6: must have at most 5 items",
        ),
        (
            with(|spec| spec["fields"] = json!([])),
            "spec.fields",
            "Invalid value: 0: spec.fields in body should have at least 1 items",
        ),
        (
            with(|spec| {
                spec["fields"] = json!([{"name": "x", "type": "string"}, {"name": "x", "type": "number"}]);
            }),
            "spec.fields[1]",
            "Duplicate value: {\"name\":\"x\"}",
        ),
        (with(|spec| drop(spec.as_object_mut().unwrap().remove("object"))), "spec.object", "Required value"),
        (
            with(|spec| spec["object"] = json!("a".repeat(41))),
            "spec.object",
            "Too long: may not be more than 40 bytes",
        ),
        (
            with(|spec| spec["port"] = json!(true)),
            "spec.port",
            "Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
    ];
    for (object, field, message) in cases {
        let reply = space.server.post(&space.parcels(), &object).await;
        let (code, reason, text) = reply.failure();
        assert_eq!((code, reason), (422, "Invalid"), "{field}");
        let expected = format!("{field}: {message}");
        assert!(text.starts_with("Parcel.test.velocity.sh \"a\" is invalid: "), "{text}");
        assert!(text.contains(&expected), "{text}\nlacks\n{expected}");
        let details = &reply.body["details"];
        assert_eq!(
            (&details["name"], &details["group"], &details["kind"]),
            (&json!("a"), &json!("test.velocity.sh"), &json!("Parcel"))
        );
        let cause = &details["causes"][0];
        assert_eq!((&cause["field"], &cause["message"]), (&json!(field), &json!(message)));
    }
}

#[tokio::test]
async fn several_violations_are_reported_together() {
    let space = server().namespace().await;
    let object = with(|spec| {
        spec["replicas"] = json!(-1);
        spec["ratio"] = json!(-1);
    });
    let reply = space.server.post(&space.parcels(), &object).await;
    let (_, _, text) = reply.failure();
    assert!(text.contains("is invalid: [spec."), "{text}");
    assert_eq!(reply.body["details"]["causes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn rules_are_checked_on_create_and_on_change() {
    let space = server().namespace().await;
    let object =
        with(|spec| spec["fields"] = json!([{"name": "order", "type": "number", "min": 5, "max": 3}]));
    let reply = space.server.post(&space.parcels(), &object).await;
    let causes = &reply.body["details"]["causes"];
    assert_eq!(reply.failure().0, 422);
    assert_eq!(causes[0]["field"], "spec");
    assert_eq!(causes[0]["message"], "Invalid value: no field may be named order");
    assert_eq!(causes[1]["field"], "spec.fields[0]");
    assert_eq!(causes[1]["message"], "Invalid value: min must not be above max");
    space.create_parcel("a").await;
    let reply = space.server.patch(&space.parcel("a"), "merge", &json!({"spec": {"version": "v2"}})).await;
    assert_eq!(
        reply.failure().2,
        "Parcel.test.velocity.sh \"a\" is invalid: spec: Invalid value: version is immutable"
    );
    let patch = json!({"spec": {"access": {"read": ["a", "b", "c", "d"]}}});
    let reply = space.server.patch(&space.parcel("a"), "merge", &patch).await;
    assert_eq!(
        reply.failure().2,
        "Parcel.test.velocity.sh \"a\" is invalid: spec.access: Forbidden: at most three roles each"
    );
}

#[tokio::test]
async fn rules_wait_until_the_schema_is_satisfied() {
    let space = server().namespace().await;
    let object = with(|spec| spec["fields"][0]["type"] = json!("strng"));
    let reply = space.server.post(&space.parcels(), &object).await;
    let text = reply.failure().2;
    assert!(
        text.contains(
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
             correct the existing errors to complete validation"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn unknown_fields_are_dropped_warned_of_or_refused() {
    let space = server().namespace().await;
    let object = with(|spec| {
        spec["bogus"] = json!(1);
        spec["anything"] = json!({"free": {"as": "a bird"}});
    });
    let ignored = space.server.post(&format!("{}?fieldValidation=Ignore", space.parcels()), &object).await;
    assert!(!ignored.headers.contains_key("warning"));
    let ignored = ignored.ok();
    assert!(ignored["spec"]["bogus"].is_null());
    assert_eq!(ignored["spec"]["anything"]["free"]["as"], "a bird");
    space.server.delete(&space.parcel("a")).await.ok();
    let warned = space.server.post(&space.parcels(), &object).await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"spec.bogus\\\"\"");
    warned.ok();
    let strict = space.server.post(&format!("{}?fieldValidation=Strict", space.parcels()), &object).await;
    assert_eq!(
        strict.failure(),
        (
            400,
            "BadRequest",
            "Parcel in version \"v1\" cannot be handled as a Parcel: strict decoding error: unknown field \"spec.bogus\""
        )
    );
    let doubled = parcel("b").to_string().replace("\"object\":", "\"object\":\"x\",\"object\":");
    let request = space
        .server
        .request(reqwest::Method::POST, &format!("{}?fieldValidation=Strict", space.parcels()))
        .header("content-type", "application/json")
        .body(doubled);
    let reply = space.server.send(request).await;
    assert!(reply.failure().2.contains("duplicate field \"spec.object\""), "{}", reply.body);
}

#[tokio::test]
async fn metadata_has_rules_of_its_own() {
    let space = server().namespace().await;
    let reply = space.server.post(&space.parcels(), &parcel("Not_A_Name")).await;
    assert!(
        reply
            .failure()
            .2
            .contains("metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain must"),
        "{}",
        reply.body
    );
    let mut labelled = parcel("a");
    labelled["metadata"]["labels"] = json!({"ok": "not ok"});
    let reply = space.server.post(&space.parcels(), &labelled).await;
    assert!(
        reply.failure().2.contains("metadata.labels: Invalid value: \"not ok\": a valid label must"),
        "{}",
        reply.body
    );
    let mut numbered = parcel("a");
    numbered["metadata"]["labels"] = json!({"n": 1});
    assert_eq!(space.server.post(&space.parcels(), &numbered).await.failure().0, 400);
    let mut nameless = parcel("a");
    nameless["metadata"] = json!({});
    let reply = space.server.post(&space.parcels(), &nameless).await;
    assert!(reply.failure().2.contains("metadata.name: Required value: name or generateName is required"));
}

#[tokio::test]
async fn bodies_that_are_too_big_deep_or_broken_are_refused() {
    let space = server().namespace().await;
    let send = |body: String| {
        let request = space.server.request(reqwest::Method::POST, &space.parcels());
        space.server.send(request.header("content-type", "application/json").body(body))
    };
    let mut big = parcel("a");
    big["spec"]["anything"] = json!({"x": "y".repeat(4 * 1024 * 1024)});
    assert_eq!(send(big.to_string()).await.failure().0, 413);
    assert_eq!(send(format!("{}{}", "[".repeat(50_000), "]".repeat(50_000))).await.code, 400);
    assert_eq!(send("{\"apiVersion\": ".to_owned()).await.code, 400);
    assert_eq!(send(String::new()).await.code, 400);
    let request = space.server.request(reqwest::Method::POST, &space.parcels());
    let reply = space.server.send(request.header("content-type", "text/plain").body("x")).await;
    assert_eq!(reply.failure().0, 415);
}
