//! Callers who do it wrong, by accident or on purpose. None of it may be a fault of ours.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Map, Value, json};
use velocity_access::DevKey;

use crate::harness::{Domain, OPEN, Server, escaped, send};

const THING: &str = "
fields:
  - {name: code, type: string, required: true, maxLength: 40, filterable: true, sortable: true}
  - {name: amount, type: number, precision: 18, scale: 2, filterable: true, sortable: true}
  - {name: pieces, type: integer, filterable: true, sortable: true}
  - {name: kind, type: enum, enum: [a, b], filterable: true}
  - {name: 'on', type: date, filterable: true}
  - {name: at, type: timestamp, filterable: true}
  - {name: clock, type: time, filterable: true}
  - {name: 'yes', type: boolean, filterable: true}
  - {name: owner, type: uuid, filterable: true}
  - {name: tags, type: array, items: string, filterable: true}
  - {name: data, type: bytes, maxSize: 16}
  - {name: extra, type: json, filterable: true}
";

async fn things() -> (&'static Server, String) {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("thing", &format!("{THING}{OPEN}")).await;
    (server, domain.route("thing"))
}

/// The server has not lost its head.
async fn is_well(server: &Server, route: &str) {
    assert_eq!(server.admin().get("/readyz").await.status, 200);
    server.admin().get(route).await.expect(200);
    let log = server.stderr();
    assert!(!log.contains("panicked") && !log.contains("overflowed its stack"), "{log}");
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_the_callers_fault() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    let field = |text: &str| format!(r#"{{"code":"A",{text}}}"#);
    for body in [
        String::new(),
        " ".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"x\"".to_owned(),
        "{} {}".to_owned(),
        "{'code':'A'}".to_owned(),
        "{}".to_owned(),
        r#"{"code":null}"#.to_owned(),
        r#"{"code":1}"#.to_owned(),
        r#"{"code":"a\u0000b"}"#.to_owned(),
        r#"{"code":"\ud800"}"#.to_owned(),
        r#"{"code":"A","code":"B"}"#.to_owned(),
        format!(r#"{{"code":"{}"}}"#, "x".repeat(41)),
        field(r#""amount":1e400"#),
        field(r#""amount":1e999999999999"#),
        field(r#""amount":NaN"#),
        field(r#""amount":"Infinity""#),
        field(r#""amount":0.001"#),
        field(r#""amount":99999999999999999"#),
        field(&format!(r#""amount":{}"#, "9".repeat(10_000))),
        field(r#""amount":true"#),
        field(r#""pieces":9223372036854775808"#),
        field(r#""pieces":1.5"#),
        field(r#""pieces":1e30"#),
        field(r#""kind":"c""#),
        field(r#""on":"2026-02-30""#),
        field(r#""on":"tomorrow""#),
        field(r#""at":"2026-01-01T00:00:00""#),
        field(r#""at":"2026-13-01T00:00:00Z""#),
        field(r#""at":"999999-01-01T00:00:00Z""#),
        field(r#""clock":"25:00:00""#),
        field(r#""yes":"true!""#),
        field(r#""owner":"not-a-uuid""#),
        field(r#""tags":"a""#),
        field(r#""tags":[1]"#),
        field(r#""tags":["\u0000"]"#),
        field(r#""data":"***""#),
        field(r#""data":"AAAAAAAAAAAAAAAAAAAAAAAAAAAA""#),
        field(r#""extra":{"a":"\u0000"}"#),
        field(r#""id":"not-a-uuid""#),
        field(r#""created_by":"somebody else""#),
        field(r#""version":7"#),
        field(r#""deleted_at":"2026-01-01T00:00:00Z""#),
        field(r#""_head_hash":"x""#),
        field(r#""__proto__":{}"#),
    ] {
        let reply = writer.post_text(&route, body.clone()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(reply.status, 400, "{shown}: {reply:#?}");
        let code = reply.problem(400);
        assert!(["VALIDATION_ERROR", "MALFORMED_REQUEST"].contains(&&*code), "{shown}: {code}");
    }
    let invalid = writer.post_text(&route, b"{\"code\":\"\xff\xfe\"}".to_vec()).await;
    invalid.problem(400);
    assert!(writer.walk(&route).await.is_empty());
    is_well(server, &route).await;
}

#[tokio::test]
async fn a_body_beyond_all_bounds_is_turned_away() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    let large = format!(r#"{{"code":"{}"}}"#, "x".repeat(11 << 20));
    let request = writer.request(Method::POST, &route).header("content-type", "application/json");
    // The server may close while the client still sends: then there is no answer to read, and nothing was taken.
    if let Ok(answer) = request.body(large).send().await {
        assert_eq!(answer.status(), 413);
    }
    for deep in [
        "[".repeat(100_000),
        format!(r#"{{"code":"A","extra":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
        format!(r#"{{"code":"A","extra":{}1{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000)),
        format!(r#"{{"operations":[{{"create":{}"#, "[".repeat(100_000)),
    ] {
        writer.post_text(&route, deep.clone()).await.problem(400);
        writer.post_text(&format!("{route}/bulk"), deep).await.problem(400);
    }
    assert!(writer.walk(&route).await.is_empty());
    is_well(server, &route).await;
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_the_callers_fault() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&route, &json!({"code": "A"})).await.expect(201);
    for query in [
        "filter[amount]=abc",
        "filter[amount][gte]=NaN",
        "filter[amount][in]=1,x",
        "filter[amount][between]=1",
        "filter[pieces]=99999999999999999999",
        "filter[pieces]=1.5",
        "filter[kind]=c",
        "filter[on]=2026-02-30",
        "filter[at][lt]=yesterday",
        "filter[yes]=maybe",
        "filter[owner]=7",
        "filter[code]=%00",
        "filter[code]=%ff",
        "filter[code][gte][lte]=1",
        "filter[code",
        "filter[]=1",
        "filter=1",
        "limit=0",
        "limit=-1",
        "limit=1e3",
        "limit=99999999999999999999",
        "offset=-1",
        "offset=99999999999999999999",
        "sort=",
        "sort=code,code",
        "fields=",
        "count=all",
        "include=nothing",
        "q=words",
    ] {
        let reply = writer.get(&format!("{route}?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {reply:#?}");
        reply.problem(400);
    }
    for quote in ["'", "\"", "\\", "';select pg_sleep(9);--", "%25_%25", "A' or 'a'='a"] {
        let reply = writer.get(&format!("{route}?filter[code]={}", escaped(quote))).await.expect(200);
        assert_eq!(reply.data(), json!([]), "{quote}");
        let reply =
            writer.get(&format!("{route}?filter[code][contains]={}", escaped(quote))).await.expect(200);
        assert_eq!(reply.data(), json!([]), "{quote}");
    }
    is_well(server, &route).await;
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_the_callers_fault_in_every_operation() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    let long = "x".repeat(5000);
    for id in ["not-a-uuid", "1", "%00", "%ff", "%2e%2e", "..%2f..", "'", &long] {
        let path = format!("{route}/{id}");
        for reply in [
            writer.get(&path).await,
            writer.patch(&path, &json!({"code": "B"})).await,
            writer.put(&path, &json!({"code": "B"})).await,
            writer.delete(&path).await,
            writer.post(&format!("{path}/undelete"), &json!({})).await,
            writer.get(&format!("{path}/history")).await,
        ] {
            assert!(matches!(reply.status, 400 | 404 | 414), "{id}: {reply:#?}");
        }
    }
    for path in
        ["/api/x", "/api/a/b/c/d/v1", "/api/A/b/c/d/v1", "/api/../../etc/passwd", "/api//////", "/nothing"]
    {
        let reply = writer.get(path).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:#?}");
    }
    is_well(server, &route).await;
}

#[tokio::test]
async fn a_bulk_request_that_makes_no_sense_is_the_callers_fault() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    let create = json!({"create": {"code": "A"}});
    for body in [
        json!({}),
        json!({"operations": []}),
        json!({"operations": {}}),
        json!({"operations": [1]}),
        json!({"operations": [{}]}),
        json!({"operations": [{"destroy": {}}]}),
        json!({"operations": [{"create": []}]}),
        json!({"operations": [{"create": {"code": "A"}, "delete": {"id": "x"}}]}),
        json!({"operations": [create], "atomic": "perhaps"}),
        json!({"operations": [create], "atmoic": false}),
        json!({"operations": vec![create.clone(); 10_001]}),
        json!({"operations": [create, {"create": {"code": null}}]}),
    ] {
        let reply = writer.post(&format!("{route}/bulk"), &body).await;
        let shown: String = body.to_string().chars().take(120).collect();
        assert!(matches!(reply.status, 400 | 413), "{shown}: {reply:#?}");
    }
    assert!(writer.walk(&route).await.is_empty(), "an atomic request that fails leaves nothing");
    is_well(server, &route).await;
}

#[tokio::test]
async fn a_token_that_is_not_ours_opens_nothing() {
    let (server, route) = things().await;
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "velocity-dev", "aud": "velocity", "sub": "mallory", "roles": ["platform-admin"],
        "attributes": {}, "jti": "x", "iat": now, "exp": now + 3600,
    });
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        changed
    };
    let key = server.key();
    let pem = std::fs::read(server.data().join("dev-key.pem")).unwrap();
    let signed = |claims: &Value| {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid().to_owned());
        encode(&header, claims, &EncodingKey::from_ed_pem(&pem).unwrap()).unwrap()
    };
    // The control: signed and claimed like this, a token is good.
    server.bearer(Some(signed(&claims))).get(&route).await.expect(200);

    let good = signed(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |value: &Value| {
        let text = value.to_string();
        let pem = EncodingKey::from_secret(b"x");
        // The header and payload of a token that anybody can sign, for their encoding.
        let token =
            encode(&Header::new(Algorithm::HS256), &serde_json::from_str::<Value>(&text).unwrap(), &pem);
        token.unwrap().split('.').nth(1).unwrap().to_owned()
    };
    let stranger = DevKey::generate().unwrap();
    let forged = stranger
        .mint(
            "mallory",
            &["platform-admin".to_owned()],
            &Map::new(),
            jiff::Timestamp::now(),
            Duration::from_hours(1),
        )
        .unwrap();
    let public = key.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    let confused = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.kid().to_owned());
        encode(&header, &claims, &EncodingKey::from_secret(public.as_bytes())).unwrap()
    };
    let none = encoded(&json!({"alg": "none", "typ": "JWT"}));
    for (what, token) in [
        ("another key", forged),
        ("expired", signed(&with("exp", json!(now - 3600)))),
        ("without an end", signed(&with("exp", Value::Null))),
        ("not yet valid", signed(&with("nbf", json!(now + 3600)))),
        ("another audience", signed(&with("aud", json!("somebody-else")))),
        ("no audience", signed(&with("aud", Value::Null))),
        ("another issuer", signed(&with("iss", json!("https://evil.example")))),
        ("no actor", signed(&with("sub", Value::Null))),
        ("an empty actor", signed(&with("sub", json!("")))),
        ("alg none, no signature", format!("{none}.{}.", parts[1])),
        ("alg none, some signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("the public key as a secret", confused),
        ("another payload", format!("{}.{}.{}", parts[0], encoded(&with("sub", json!("admin"))), parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("no token", "x".to_owned()),
        ("a long one", "x".repeat(20_000)),
    ] {
        let caller = server.bearer(Some(token));
        for reply in [caller.get(&route).await, caller.post(&route, &json!({"code": "A"})).await] {
            assert_eq!(reply.status, 401, "{what}: {reply:#?}");
            assert!(!reply.text.contains("mallory"), "{what}: {reply:#?}");
            assert_eq!(reply.problem(401), "AUTH_INVALID_TOKEN", "{what}");
        }
    }
    let anybody = server.bearer(None);
    for path in [&route, "/api", "/api/nobody/knows/this/one/v1"] {
        assert_eq!(anybody.get(path).await.problem(401), "AUTH_REQUIRED", "{path}");
    }
    let basic = anybody.request(Method::GET, &route).basic_auth("dev-admin", Some("dev-admin"));
    send(basic).await.problem(401);
    assert!(server.admin().walk(&route).await.is_empty());
    is_well(server, &route).await;
}

#[tokio::test]
async fn odd_claims_open_nothing_and_break_nothing() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let spec = "
fields:
  - {name: code, type: string, filterable: true}
  - {name: region, type: string}
access:
  roles:
    create: [writer]
    read: [writer, local]
  rowFilter:
    - {role: local, condition: \"record.region == actor.attributes.region\"}
";
    domain.apply("thing", spec).await;
    let route = domain.route("thing");
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&route, &json!({"code": "A", "region": "west"})).await.expect(201);
    let pem = std::fs::read(server.data().join("dev-key.pem")).unwrap();
    let kid = server.key().kid().to_owned();
    let now = jiff::Timestamp::now().as_second();
    let with = |changes: Value| {
        let mut claims = json!({
            "iss": "velocity-dev", "aud": "velocity", "sub": "odd", "roles": ["local"],
            "attributes": {"region": "north"}, "jti": "x", "iat": now, "exp": now + 3600,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.clone());
        server.bearer(Some(encode(&header, &claims, &EncodingKey::from_ed_pem(&pem).unwrap()).unwrap()))
    };
    // The control: such a token works, and sees the rows of its region.
    assert_eq!(with(json!({"attributes": {"region": "west"}})).walk(&route).await.len(), 1);
    for changes in [
        json!({"sub": "a\u{0}b"}),
        json!({"sub": "x".repeat(9000)}),
        json!({"sub": ["a", "b"]}),
        json!({"sub": {"a": 1}}),
        json!({"sub": 7}),
        json!({"sub": "o'brien', true); --"}),
        json!({"roles": "platform-admin,writer"}),
        json!({"roles": ["local,writer"]}),
        json!({"roles": ["local,platform-admin"]}),
        json!({"roles": ["local", " writer"]}),
        json!({"roles": ["WRITER", "writer\u{0}", "*", ""]}),
        json!({"roles": [7, null, ["writer"], {"writer": true}]}),
        json!({"roles": {"writer": true}}),
        json!({"roles": null}),
        json!({"roles": vec!["local"; 2000]}),
        json!({"attributes": {"region": "west\u{0}"}}),
        json!({"attributes": {"region": "west' or '1'='1"}}),
        json!({"attributes": {"region": ["west"]}}),
        json!({"attributes": {"region": {"west": "west"}}}),
        json!({"attributes": {"region": true}}),
        json!({"attributes": {"region": 1}}),
        json!({"attributes": {"region": null}}),
        json!({"attributes": {"\u{0}": "west"}}),
        json!({"attributes": ["west"]}),
        json!({"attributes": "west"}),
        json!({"attributes": null}),
        json!({"attributes": {"region": "x".repeat(9000)}}),
    ] {
        let caller = with(changes.clone());
        let shown: String = changes.to_string().chars().take(90).collect();
        let read = caller.get(&route).await;
        assert!(matches!(read.status, 200 | 401 | 403), "{shown}: {read:#?}");
        assert!(!read.text.contains("\"code\":\"A\""), "{shown} sees a row: {read:#?}");
        let written = caller.post(&route, &json!({"code": "B"})).await;
        assert!(matches!(written.status, 401 | 403), "{shown} writes: {written:#?}");
    }
    assert_eq!(writer.walk(&route).await.len(), 1);
    is_well(server, &route).await;
}

#[tokio::test]
async fn odd_headers_are_the_callers_fault_or_nobodys() {
    let (server, route) = things().await;
    let writer = server.actor("ravi", &["writer"]);
    let long = "k".repeat(20_000);
    for (name, value) in [
        ("idempotency-key", ""),
        ("idempotency-key", "k\u{e9}"),
        ("idempotency-key", "'; drop table x; --"),
        ("idempotency-key", &long),
        ("x-request-id", ""),
        ("x-request-id", "\"quoted\" <b>"),
        ("x-request-id", &long),
        ("x-reason", "\u{6f22}\u{5b57}"),
        ("x-reason", &long),
        ("traceparent", "nonsense"),
        ("traceparent", "00-00000000000000000000000000000000-0000000000000000-00"),
        ("if-match", "nonsense"),
        ("if-none-match", "\"\"\"\""),
        ("accept", "nonsense"),
        ("accept", "application/json; numbers=perhaps"),
        ("accept-encoding", "nonsense;q=9"),
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-encoding", "gzip"),
        ("expect", "100-continue"),
        ("range", "bytes=0-1"),
        ("x-http-method-override", "DELETE"),
        ("x-idempotency-key", "misspelt"),
    ] {
        let shown: String = value.chars().take(40).collect();
        let request = writer.request(Method::POST, &route).body(r#"{"code":"A"}"#);
        let request =
            if name == "content-type" { request } else { request.header("content-type", "application/json") };
        let reply = send(request.header(name, value.as_bytes())).await;
        assert!(matches!(reply.status, 201 | 400..=499), "{name}: {shown}: {reply:#?}");
        let read = send(writer.request(Method::GET, &route).header(name, value.as_bytes())).await;
        assert!(matches!(read.status, 200 | 304 | 400..=499), "{name}: {shown}: {read:#?}");
        for echoed in read.header("x-request-id").into_iter().chain(reply.header("x-request-id")) {
            assert!(echoed.len() <= 256, "{name}: {shown}: {read:#?}");
        }
    }
    is_well(server, &route).await;
}

#[tokio::test]
async fn the_kubernetes_api_lets_nobody_in_without_its_token() {
    let server = Server::shared().await;
    let url = format!("{}/apis/velocity.sh/v1/schemadefinitions", server.endpoints().kubernetes);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for request in [client.get(&url), client.get(&url).bearer_auth("x"), client.get(&url).bearer_auth("")] {
        let answer = send(request).await;
        assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    }
}
