//! What is shown, compared with what the test computes itself from the records that it wrote.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use velocity_api::Config;

use super::world::{CLERK, DOCTOR, LOST, SECRET_FIELDS, STRANGER, Secrets, WEST, Who, World};

/// The records as they were written, read by whoever sees everything.
async fn all(world: &World) -> Vec<Map<String, Value>> {
    let seen = world.client(DOCTOR).get("?limit=1000").await.is(200).data();
    let seen: Vec<_> =
        seen.as_array().unwrap().iter().map(|record| record.as_object().unwrap().clone()).collect();
    // Twelve less the deleted one: the doctor is no witness for the rest if this does not hold.
    assert_eq!(seen.len(), 11);
    assert!(seen.iter().all(|record| record.len() == 16 && !record["salary"].is_null()), "{seen:#?}");
    seen
}

/// What somebody may see of a record; `None` for nothing at all.
fn shown(who: Who, record: &Map<String, Value>) -> Option<Map<String, Value>> {
    let region = record["region"].as_str();
    let by_filter = !who.roles.contains(&"west") || (who.region.is_some() && region == who.region);
    let by_rule = region != Some("moon") || who.roles.contains(&"astronaut");
    if who == STRANGER || !by_filter || !by_rule {
        return None;
    }
    if who.roles.contains(&"doctor") {
        return Some(record.clone());
    }
    let mut left = record.clone();
    left.retain(|field, _| !SECRET_FIELDS.contains(&field.as_str()));
    let email = record["email"].as_str().unwrap();
    let stars = "*".repeat(email.len() - 3);
    left.insert("email".into(), json!(format!("{stars}{}", &email[email.len() - 3..])));
    left.insert("salary".into(), json!("1000..2000"));
    left.insert("iban".into(), json!("***"));
    Some(left)
}

async fn world() -> World {
    World::new(&Secrets::first(), 2, Config::default()).await
}

#[tokio::test]
async fn lists_reads_and_exports_show_everyone_exactly_what_is_theirs() {
    let world = world().await;
    let records = all(&world).await;
    for who in [DOCTOR, CLERK, WEST, LOST] {
        let wanted: Vec<Value> =
            records.iter().filter_map(|record| shown(who, record)).map(Value::Object).collect();
        let client = world.client(who);
        let listed = client.get("?limit=1000&count=exact").await.is(200).json();
        assert_eq!(listed["data"], json!(wanted), "{who:?}");
        assert_eq!(listed["pagination"]["total"], wanted.len(), "{who:?}");
        let exported = client.get("/export").await.is(200).body;
        let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(exported, wanted, "{who:?}");
        let sheet = client.get("/export?format=csv").await.is(200).body;
        let columns: BTreeSet<&str> = sheet.lines().next().unwrap().split(',').collect();
        let hidden = ["diagnosis", "details", "born", "grade", "codes"];
        assert_eq!(hidden.iter().any(|field| columns.contains(field)), who == DOCTOR, "{columns:?}");
        assert_eq!(sheet.lines().count(), wanted.len() + 1, "{sheet}");
        for record in &records {
            let reply = client.get(&format!("/{}", record["id"].as_str().unwrap())).await;
            match shown(who, record) {
                Some(wanted) => assert_eq!(reply.is(200).data(), Value::Object(wanted), "{who:?}"),
                None if record["region"] == "moon" && who == CLERK => {
                    drop(reply.is_problem(403, "ABAC_DENIED"));
                }
                None => drop(reply.is_problem(404, "ENTITY_NOT_FOUND")),
            }
        }
    }
    world.client(STRANGER).get("").await.is_problem(403, "RBAC_DENIED");
}

#[tokio::test]
async fn pages_walk_through_what_is_seen_and_nothing_else() {
    let world = world().await;
    let records = all(&world).await;
    for who in [CLERK, WEST] {
        let wanted = records.iter().filter(|record| shown(who, record).is_some()).count();
        let (mut seen, mut query) = (BTreeSet::new(), "?limit=2&sort=-name".to_owned());
        loop {
            let page = world.client(who).get(&query).await.is(200).json();
            for record in page["data"].as_array().unwrap() {
                assert!(seen.insert(record["id"].as_str().unwrap().to_owned()), "{record} came twice");
            }
            let Some(cursor) = page["pagination"]["nextCursor"].as_str() else { break };
            query = format!("?limit=2&sort=-name&cursor={cursor}");
        }
        assert_eq!(seen.len(), wanted, "{who:?}");
    }
    // A cursor that somebody else was given opens nothing: it belongs to what that one sees.
    let page = world.client(DOCTOR).get("?limit=2&sort=-diagnosis").await.is(200).json();
    let cursor = page["pagination"]["nextCursor"].as_str().unwrap();
    let stolen = world.client(CLERK).get(&format!("?limit=2&cursor={cursor}")).await;
    stolen.is_problem(400, "MALFORMED_REQUEST");
    world
        .client(CLERK)
        .get(&format!("?limit=2&sort=-diagnosis&cursor={cursor}"))
        .await
        .is_problem(403, "FIELD_FORBIDDEN");
}

#[tokio::test]
async fn a_history_shows_the_same_fields_as_the_record_and_no_hash_to_guess_with() {
    let world = world().await;
    let whole = world.client(DOCTOR).get("/P-00/history").await.is(200).data();
    assert_eq!(whole[0]["changed"].as_array().unwrap().len(), 2, "{whole}");
    assert!(whole[0]["hash"].as_str().is_some_and(|hash| hash.len() == 64), "{whole}");
    for who in [CLERK, WEST] {
        let seen = world.client(who).get("/P-00/history").await.is(200).data();
        let (events, others) = (seen.as_array().unwrap(), whole.as_array().unwrap());
        assert_eq!(events.len(), others.len());
        for (event, other) in events.iter().zip(others) {
            assert_eq!(event["hash"], Value::Null, "{event}");
            assert_eq!(event["after"], json!(shown(who, other["after"].as_object().unwrap())), "{event}");
            let changed: Vec<&str> =
                event["changed"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
            for field in ["diagnosis", "details", "born", "grade", "codes"] {
                assert!(!changed.contains(&field), "{event}");
            }
        }
    }
}

#[tokio::test]
async fn descriptions_have_no_hidden_field_and_tell_of_masks() {
    let world = world().await;
    for tail in ["/schema.json", "/openapi.json", "//api/openapi.json"] {
        let (all, some) = (world.client(DOCTOR).get(tail).await, world.client(CLERK).get(tail).await);
        for field in ["diagnosis", "born", "grade", "codes"] {
            let name = format!("\"{field}\"");
            assert!(all.body.contains(&name), "{tail} does not know {field}");
            assert!(!some.body.contains(&name), "{tail} tells of {field}: {}", some.body);
        }
        assert!(some.body.contains("\"iban\""), "{}", some.body);
        if !tail.starts_with("//") {
            assert_ne!(
                all.header("etag"),
                some.header("etag"),
                "a description belongs to those who see as much"
            );
        }
    }
    let record = world.client(CLERK).get("/schema.json").await.json();
    assert!(record["properties"]["salary"]["type"].to_string().contains("string"), "{record}");
}

#[tokio::test]
async fn hashes_and_tokens_join_equal_values_and_give_none_away() {
    let spec = super::world::PERSONS
        .replace("TIER", "1")
        .replace("{ strategy: partial, visibleChars: 3 }", "{ strategy: hash }")
        .replace("{ strategy: redact }", "{ strategy: tokenise }")
        .replace("unique: true }", "}");
    let world = World::of(&spec, &Secrets::first(), Config::default()).await;
    let doctor = world.client(DOCTOR);
    // The same text in both fields.
    doctor.patch("/P-01", &json!({"email": "same", "iban": "same"})).await.is(200);
    doctor.patch("/P-02", &json!({"email": "same", "iban": null})).await.is(200);
    let clerk = world.client(CLERK);
    let of = async |id: &str| clerk.get(&format!("/{id}")).await.is(200).data();
    let (first, second, other) = (of("P-01").await, of("P-02").await, of("P-03").await);
    let hash = first["email"].as_str().unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
    assert_eq!(first["email"], second["email"]);
    assert_ne!(first["email"], other["email"]);
    let token = first["iban"].as_str().unwrap();
    assert!(token.len() == 36 && token.starts_with("tok_"), "{token}");
    assert_ne!(first["iban"], other["iban"]);
    assert!(!token.contains(hash), "a token is made under a key of its field");
    assert_eq!(second["iban"], Value::Null);
}

#[tokio::test]
async fn naming_what_is_not_seen_in_clear_is_403_that_names_the_field() {
    let world = world().await;
    for field in SECRET_FIELDS {
        for query in
            [format!("?sort={field}"), format!("?fields={field}"), format!("?filter[{field}][isNull]=true")]
        {
            for route in ["", "/export"] {
                let problem = world.client(CLERK).get(&format!("{route}{query}")).await;
                let problem = problem.is_problem(403, "FIELD_FORBIDDEN");
                assert!(problem.to_string().contains(field), "{problem}");
            }
        }
        let patched = world.client(CLERK).patch("/P-01", &json!({"name": "x", (field): null})).await;
        let problem = patched.is_problem(403, "FIELD_FORBIDDEN");
        assert!(problem.to_string().contains(field), "{problem}");
    }
    assert_eq!(world.client(DOCTOR).get("/P-01").await.data()["version"], 1, "nothing half-applied");
}

#[tokio::test]
async fn a_replacement_keeps_what_its_caller_may_not_write() {
    let world = world().await;
    let before = world.client(DOCTOR).get("/P-04").await.is(200).data();
    let put =
        world.client(CLERK).put("/P-04", &json!({"name": "Put", "region": "west"})).await.is(200).data();
    assert!(put.get("diagnosis").is_none() && put["iban"] == "***", "{put}");
    let after = world.client(DOCTOR).get("/P-04").await.is(200).data();
    for field in SECRET_FIELDS {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!((&after["name"], &after["region"]), (&json!("Put"), &json!("west")));
}
