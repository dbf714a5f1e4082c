use velocity_access::DevKey;

use crate::fake_api::FakeApi;
use crate::harness::Home;

#[test]
fn a_token_is_signed_by_the_key_beside_the_config_and_printed_alone() {
    let home = Home::new();
    let key = DevKey::generate().unwrap();
    home.write(".velocity/dev-key.pem", key.to_pem());
    home.write(".velocity/config.yaml", "contexts: []\n");
    let run = home.run("auth token --actor ravi --roles writer,reader --attribute region=west --attribute level=3 --expires 1h");
    let token = run.ok();
    let parts: Vec<&str> = token.trim_end().split('.').collect();
    assert_eq!((parts.len(), token.lines().count()), (3, 1));
    let claims = claims(parts[1]);
    assert_eq!(claims["sub"], "ravi");
    assert_eq!(claims["roles"], serde_json::json!(["writer", "reader"]));
    assert_eq!(claims["attributes"], serde_json::json!({ "region": "west", "level": 3 }));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

/// Base64url without a decoder of ours in the way.
fn claims(part: &str) -> serde_json::Value {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for chunk in part.as_bytes().chunks(4) {
        let bits =
            chunk.iter().fold(0u32, |bits, c| (bits << 6) | u32::from(value(*c))) << (6 * (4 - chunk.len()));
        bytes.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn without_a_key_the_error_says_where_one_comes_from() {
    let home = Home::new();
    let run = home.run("auth token --actor ravi");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("velocityd dev"), "{}", run.all());
}

#[test]
fn whoami_shows_what_the_server_says() {
    let api = FakeApi::start();
    api.can("GET /auth/whoami", 200, serde_json::json!({ "data": { "actor": "ravi", "type": "user", "roles": ["a", "b"],
        "attributes": { "region": "west" }, "strategy": "velocity/dev", "expiresAt": "2026-01-01T00:00:00Z" } }));
    insta::assert_snapshot!(Home::at(&api).run("auth whoami").ok(), @r"
    actor              ravi (user)
    roles              a, b
    attribute region   west
    strategy           velocity/dev
    expires            2026-01-01T00:00:00Z
    ");
}
