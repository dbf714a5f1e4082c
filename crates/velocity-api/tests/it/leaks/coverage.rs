//! Probes for every endpoint: each is asked by everyone who is restricted, in both worlds.

use reqwest::Method;
use serde_json::json;
use velocity_api::Config;

use super::world::{Ask, CLERK, LOST, SECRET_FIELDS, STRANGER, Secrets, WEST, Who, World, get, same, send};

/// What is asked of an endpoint; `None` for one that this suite does not know.
#[expect(clippy::match_same_arms, reason = "each arm has a reason of its own")]
fn probes(method: &str, template: &str) -> Option<Vec<Ask>> {
    let tail = template.strip_prefix("/api/{org}/{app}/{domain}/{object}/{version}");
    Some(match (method, tail.unwrap_or(template)) {
        ("GET", "") => lists(),
        ("GET", "/export") => exports(),
        ("GET", "/{id}") => each_record(&["", "?fields=name"]),
        ("GET", "/{id}/history") => histories(),
        ("GET", "/schema.json" | "/openapi.json") if tail.is_some() => vec![get(tail?)],
        ("GET", "/api/openapi.json" | "/api" | "/auth/whoami" | "/auth/login" | "/auth/callback") => {
            vec![get(format!("/{template}"))]
        }
        ("POST", "") => creates(),
        ("PATCH", "/{id}") => patches(),
        ("PUT", "/{id}") => replacements(),
        ("POST", "/bulk") => bulks(),
        ("DELETE", "/{id}") => vec![
            send(Method::DELETE, "/P-08", json!(null)),
            send(Method::DELETE, "/P-07", json!(null)),
            send(Method::DELETE, "/P-99", json!(null)),
        ],
        ("POST", "/{id}/undelete") => vec![
            send(Method::POST, "/P-09/undelete", json!({})),
            send(Method::POST, "/P-08/undelete", json!({})),
            send(Method::POST, "/P-01/undelete", json!({})),
        ],
        // Nothing about records, or for administrators only: what others are told is the refusal, the same in both worlds.
        ("GET", "/platform/drift" | "/platform/api-keys" | "/platform/revocations" | "/platform/explain") => {
            vec![get(format!("/{template}"))]
        }
        (
            "POST",
            "/platform/plan"
            | "/platform/api-keys"
            | "/platform/revocations"
            | "/platform/api-keys/{id}/rotate",
        ) => vec![send(Method::POST, format!("/{template}").replace("{id}", "k"), json!({}))],
        ("DELETE", "/platform/api-keys/{id}" | "/platform/revocations/{id}") => {
            vec![send(Method::DELETE, format!("/{template}").replace("{id}", "1"), json!(null))]
        }
        ("POST", "/auth/logout" | "/auth/device") => {
            vec![send(Method::POST, format!("/{template}"), json!({}))]
        }
        ("GET", "/healthz" | "/readyz" | "/version") => Vec::new(),
        _ => return None,
    })
}

fn lists() -> Vec<Ask> {
    let mut all: Vec<Ask> = [
        "",
        "?limit=3",
        "?limit=2&sort=-name",
        "?count=exact",
        "?count=estimated",
        "?sort=region,-name&limit=5&offset=2",
        "?filter[region]=west",
        "?filter[name][contains]=Person",
        "?filter[name][gte]=Person 3&count=exact",
        "?fields=id,name",
        "?filter[region]=moon",
    ]
    .into_iter()
    .map(get)
    .collect();
    let secrets: Vec<&str> =
        ["zebra", "bison", "lemur", "walrus", "fever", "flu", "DE89370400440532013000", "person"].to_vec();
    for word in secrets {
        all.push(get(format!("?q={word}")));
        all.push(get(format!("?q={word}&count=exact&sort=-name")));
        all.push(get(format!("?q=person+-{word}&count=exact")));
        all.push(get(format!("?q=person+or+{word}&count=exact")));
        all.push(get(format!("?q=%22person+{word}%22")));
    }
    for field in SECRET_FIELDS {
        all.push(get(format!("?sort={field}")));
        all.push(get(format!("?sort=-{field}&limit=1")));
        all.push(get(format!("?fields=id,{field}")));
        for operator in [
            "",
            "[ne]",
            "[gt]",
            "[lt]",
            "[in]",
            "[like]",
            "[contains]",
            "[startsWith]",
            "[isNull]",
            "[exists]",
        ] {
            let value = match field {
                "born" => "1971-02-03",
                "salary" => "1500",
                _ if operator == "[isNull]" || operator == "[exists]" => "true",
                _ => "a",
            };
            all.push(get(format!("?filter[{field}]{operator}={value}&count=exact")));
        }
        all.push(get(format!("?filter[{field}.ward]=bison")));
        // Not even the way it is nearly called.
        all.push(get(format!("?filter[{field}x]=a")));
        all.push(get(format!("?sort={}", &field[..field.len() - 1])));
    }
    all
}

fn exports() -> Vec<Ask> {
    let mut all: Vec<Ask> = [
        "",
        "?format=csv",
        "?format=ndjson",
        "?sort=-name",
        "?filter[region]=west",
        "?format=csv&fields=id,name",
        "?q=zebra",
        "?q=person+-zebra",
    ]
    .into_iter()
    .map(|query| get(format!("/export{query}")))
    .collect();
    for field in SECRET_FIELDS {
        for query in ["sort=", "fields=id,", "filter[x]=a&sort="] {
            all.push(get(format!("/export?{}{field}", query.replace('x', field))));
        }
    }
    all
}

fn each_record(queries: &[&str]) -> Vec<Ask> {
    let ids = (0..12).map(|n| format!("P-{n:02}")).chain(["P-99".to_owned(), "x".to_owned()]);
    let mut all = Vec::new();
    for id in ids {
        for query in queries {
            all.push(get(format!("/{id}{query}")));
        }
        let mut known = get(format!("/{id}"));
        known.headers.push(("if-none-match", "\"1\"".to_owned()));
        all.push(known);
    }
    all
}

fn histories() -> Vec<Ask> {
    let mut all: Vec<Ask> = (0..12).map(|n| get(format!("/P-{n:02}/history"))).collect();
    all.extend(
        ["?limit=1", "?at=2020-01-01T00:00:00Z", "?fields=diagnosis"]
            .map(|query| get(format!("/P-00/history{query}"))),
    );
    all
}

fn creates() -> Vec<Ask> {
    let mut all = vec![send(Method::POST, "", json!({"id": "P-50", "name": "New", "region": "west"}))];
    // An id that is taken, by one that is seen and by one that is not; a value that is taken.
    for id in ["P-00", "P-01", "P-11"] {
        all.push(send(Method::POST, "", json!({"id": id, "name": "New"})));
    }
    for field in SECRET_FIELDS {
        for value in [json!("a"), json!(null), json!("zebra00@b.org"), json!(7)] {
            all.push(send(Method::POST, "", json!({"id": "P-51", "name": "New", (field): value})));
        }
    }
    all
}

fn patches() -> Vec<Ask> {
    let mut all = Vec::new();
    for id in ["P-02", "P-01", "P-11", "P-99"] {
        all.push(send(Method::PATCH, format!("/{id}"), json!({"name": "Renamed"})));
        all.push(send(Method::PATCH, format!("/{id}"), json!({"name": 7})));
        all.push(send(Method::PATCH, format!("/{id}"), json!({"region": "east", "version": 77})));
        for field in SECRET_FIELDS {
            all.push(send(Method::PATCH, format!("/{id}"), json!({(field): null})));
            all.push(send(Method::PATCH, format!("/{id}"), json!({"name": "x", (field): "a"})));
        }
    }
    all
}

fn replacements() -> Vec<Ask> {
    let mut all = Vec::new();
    for id in ["P-03", "P-04", "P-11", "P-60"] {
        all.push(send(Method::PUT, format!("/{id}"), json!({"name": "Put", "region": "west"})));
        for field in SECRET_FIELDS {
            all.push(send(Method::PUT, format!("/{id}"), json!({"name": "Put", (field): null})));
        }
    }
    all
}

fn bulks() -> Vec<Ask> {
    let bulk = |atomic: bool, rule: &str, operations: serde_json::Value| {
        send(Method::POST, "/bulk", json!({"atomic": atomic, "onConflict": rule, "operations": operations}))
    };
    let mut all = Vec::new();
    for atomic in [true, false] {
        for rule in ["fail", "skip", "update"] {
            all.push(bulk(
                atomic,
                rule,
                json!([{"create": {"id": "P-05", "name": "B"}}, {"create": {"id": "P-70", "name": "C"}}]),
            ));
        }
        all.push(bulk(atomic, "fail", json!([{"upsert": {"id": "P-06", "name": "U"}}, {"update": {"id": "P-07", "data": {"name": "V"}}}])));
        all.push(bulk(atomic, "fail", json!([{"delete": {"id": "P-10"}}, {"delete": {"id": "P-98"}}])));
        for field in SECRET_FIELDS {
            all.push(bulk(
                atomic,
                "update",
                json!([{"create": {"id": "P-71", "name": "C", (field): "zebra00@b.org"}}]),
            ));
            all.push(bulk(atomic, "fail", json!([{"update": {"id": "P-02", "data": {(field): null}}}])));
        }
    }
    all
}

/// How many of an endpoint's probes those send who get nothing at all.
const FEW: usize = 12;

/// Asks everything of both worlds.
async fn attack(worlds: &[World; 2], attackers: &[Who]) {
    let mut leaks = Vec::new();
    // What reads comes before what writes, so that it reads what the worlds were made of.
    let mut endpoints: Vec<_> = velocity_api::endpoints().collect();
    endpoints.sort_by_key(|(method, _)| *method != "GET");
    for (method, template) in endpoints {
        let asks = probes(method, template).unwrap_or_else(|| {
            panic!("{method} {template} is new: give it probes here, so that what it shows is attacked too")
        });
        for (index, ask) in asks.iter().enumerate() {
            for who in attackers {
                if index < FEW || ![LOST, STRANGER].contains(who) {
                    leaks.extend(same(worlds, *who, ask).await.err());
                }
            }
        }
    }
    let count = leaks.len();
    leaks.truncate(10);
    assert!(leaks.is_empty(), "{count} leaks, of which\n{}", leaks.join("\n\n"));
}

#[tokio::test]
async fn two_worlds_that_differ_in_secrets_only_are_one_to_whoever_may_not_know_them() {
    let worlds = [
        World::new(&Secrets::first(), 2, Config::default()).await,
        World::new(&Secrets::second(), 2, Config::default()).await,
    ];
    attack(&worlds, &[CLERK, WEST, LOST, STRANGER]).await;
}

#[tokio::test]
async fn records_that_filters_hide_may_be_anything_to_whoever_does_not_see_them() {
    let worlds = [
        World::new(&Secrets::first().in_the_east("Lemur East"), 1, Config::default()).await,
        World::new(&Secrets::second().in_the_east("Aardvark"), 1, Config::default()).await,
    ];
    attack(&worlds, &[WEST, LOST, STRANGER]).await;
}
