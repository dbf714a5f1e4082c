//! What is wrong with a strategy is said at once, with its path; what is not supported yet is never ignored.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use velocity_access::AuthStrategy;

use crate::signer::{Signer, issuer, merged};

fn violations(spec: Value) -> Vec<(String, String)> {
    let spec = serde_json::from_value(spec).unwrap();
    match AuthStrategy::parse(&spec) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(|v| (v.path.clone(), v.message.clone())).collect(),
    }
}

fn paths(spec: Value) -> Vec<String> {
    violations(spec).into_iter().map(|(path, _)| path).collect()
}

fn jwt(issuers: &[Value]) -> Value {
    json!({ "type": "jwt", "jwt": { "issuers": issuers } })
}

fn good() -> Value {
    issuer(&[&Signer::new(Algorithm::ES256, "k")], json!({}))
}

/// The paths of what is wrong with one issuer, without the common beginning.
fn issuer_paths(changes: Value) -> Vec<String> {
    let found = paths(jwt(&[merged(good(), changes)]));
    found.iter().map(|path| path.strip_prefix("spec.jwt.issuers[0].").unwrap().to_owned()).collect()
}

#[test]
fn a_whole_strategy_is_taken() {
    let published =
        json!({ "issuer": "b", "jwks": null, "jwksUrl": "https://b.example/keys", "algorithms": ["RS256"] });
    assert_eq!(violations(jwt(&[good(), merged(good(), published)])), []);
}

#[test]
fn keys_and_composites_are_taken_with_what_they_say_about_revocations() {
    let composite = json!({ "type": "composite", "composite": { "strategies": [{ "name": "a" }, { "name": "a", "namespace": "b" }] } });
    for spec in [
        json!({ "type": "apiKey", "apiKey": {}, "revocation": { "failOpen": true } }),
        merged(jwt(&[good()]), json!({ "revocation": { "failOpen": false } })),
        composite.clone(),
    ] {
        assert_eq!(violations(spec), []);
    }
    let parsed = AuthStrategy::parse(&serde_json::from_value(composite.clone()).unwrap()).unwrap();
    let members: Vec<String> = parsed.members("home").unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(members, ["home/a", "b/a"]);
    assert_eq!(paths(merged(composite, json!({ "revocation": { "failOpen": true } }))), ["spec.revocation"]);
}

#[test]
fn the_members_of_a_composite_are_named_once_each() {
    let composite = |members: Value| json!({ "type": "composite", "composite": { "strategies": members } });
    let member = |name: &str| json!({ "name": name });
    for (members, path) in [
        (json!([]), "spec.composite.strategies"),
        (json!(vec![member("a"); 17]), "spec.composite.strategies"),
        (json!([member("a"), member("a")]), "spec.composite.strategies[1]"),
        (json!([member("")]), "spec.composite.strategies[0].name"),
        (json!([{ "name": "a", "namespace": "" }]), "spec.composite.strategies[0].namespace"),
    ] {
        assert_eq!(paths(composite(members.clone())), [path], "{members}");
    }
}

#[test]
fn the_block_named_by_type_is_there_and_no_other() {
    assert_eq!(paths(json!({ "type": "jwt" })), ["spec.jwt"]);
    assert_eq!(paths(merged(jwt(&[good()]), json!({ "apiKey": {} }))), ["spec.apiKey"]);
    assert_eq!(
        paths(json!({ "type": "apiKey", "jwt": { "issuers": [good()] } })),
        ["spec.jwt", "spec.apiKey"]
    );
}

#[test]
fn each_field_of_an_issuer_is_checked() {
    for (changes, path) in [
        (json!({ "issuer": "" }), "issuer"),
        (json!({ "audience": [] }), "audience"),
        (json!({ "audience": "" }), "audience"),
        (json!({ "audience": vec!["a"; 33] }), "audience"),
        (json!({ "jwks": null }), "jwks"),
        (json!({ "jwksUrl": "https://x.example/keys" }), "jwksUrl"),
        (json!({ "jwks": { "keys": [] } }), "jwks.keys"),
        (json!({ "clockSkew": "301s" }), "clockSkew"),
        (json!({ "clockSkew": "6m" }), "clockSkew"),
        (json!({ "clockSkew": "soon" }), "clockSkew"),
        (json!({ "algorithms": ["ES256", "ES256"] }), "algorithms"),
        (json!({ "algorithms": ["RS256"] }), "jwks.keys[0]"),
        (json!({ "claimMapping": { "roles": { "path": "roles" } } }), "claimMapping.roles.path"),
    ] {
        assert_eq!(issuer_paths(changes.clone()), [path], "{changes}");
    }
    for skew in ["0s", "300s", "5m"] {
        assert_eq!(issuer_paths(json!({ "clockSkew": skew })), Vec::<String>::new());
    }
}

#[test]
fn key_urls_are_https_or_on_this_machine() {
    let url_paths = |url: &str| issuer_paths(json!({ "jwks": null, "jwksUrl": url }));
    for url in [
        "https://id.example/keys",
        "http://localhost:8080/keys",
        "http://127.0.0.1/keys",
        "http://[::1]:1/keys",
    ] {
        assert_eq!(url_paths(url), Vec::<String>::new(), "{url}");
    }
    for url in [
        "http://id.example/keys",
        "http://localhost.example/keys",
        "http://127.0.0.1.example/keys",
        "http://10.0.0.1/keys",
        "ftp://id.example/keys",
        "file:///etc/passwd",
        "https://user:secret@id.example/keys",
        "id.example/keys",
        "",
    ] {
        assert_eq!(url_paths(url), ["jwksUrl"], "{url}");
    }
}

#[test]
fn hmac_is_refused_with_published_keys_and_taken_with_an_inline_secret() {
    let published =
        json!({ "jwks": null, "jwksUrl": "https://x.example/keys", "algorithms": ["RS256", "HS256"] });
    assert_eq!(issuer_paths(published), ["algorithms"]);
    let secret = Signer::new(Algorithm::HS256, "s");
    assert_eq!(violations(jwt(&[issuer(&[&secret], json!({}))])), []);
}

#[test]
fn inline_keys_that_cannot_work_are_named_by_their_member() {
    let key = || Signer::new(Algorithm::ES256, "k").jwk();
    let rsa = || Signer::new(Algorithm::RS256, "k").jwk();
    for (jwk, member) in [
        (merged(key(), json!({ "kty": null })), ".kty"),
        (merged(key(), json!({ "kty": "XX" })), ".kty"),
        (merged(key(), json!({ "crv": "P-521" })), ".crv"),
        (merged(key(), json!({ "x": "not base64!" })), ".x"),
        (merged(key(), json!({ "x": "AAAA" })), ""),
        (merged(key(), json!({ "y": key()["x"] })), ""),
        (merged(key(), json!({ "d": "AAAA" })), ".d"),
        (merged(key(), json!({ "use": "enc" })), ".use"),
        (merged(key(), json!({ "key_ops": ["sign"] })), ".key_ops"),
        (merged(key(), json!({ "alg": "RS256" })), ".alg"),
        (merged(key(), json!({ "alg": "none" })), ".alg"),
        (merged(key(), json!({ "kid": 7 })), ".kid"),
        (merged(rsa(), json!({ "n": "AQAB" })), ".n"),
        (merged(rsa(), json!({ "e": "AQ" })), ""),
        (merged(rsa(), json!({ "e": "AAAA" })), ""),
        (json!({ "kty": "oct", "k": "c2hvcnQ" }), ".k"),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }), ""),
    ] {
        let changes =
            json!({ "jwks": { "keys": [jwk] }, "algorithms": ["ES256", "RS256", "EdDSA", "HS256"] });
        assert_eq!(issuer_paths(changes), [format!("jwks.keys[0]{member}")], "{jwk}");
    }
}

#[test]
fn nobody_becomes_an_administrator_whatever_their_token_says() {
    let roles = |transforms: Value| {
        issuer_paths(json!({ "claimMapping": { "roles": { "path": "$.roles", "transforms": transforms } } }))
    };
    let append = |role: &str| json!({ "type": "staticAppend", "values": ["employee", role] });
    let at = |index: usize| vec![format!("claimMapping.roles.transforms[{index}]")];
    assert_eq!(roles(json!([append("platform-admin")])), at(0));
    assert_eq!(
        roles(json!([{ "type": "identity" }, append("PLATFORM-admin"), { "type": "lowercase" }])),
        at(1)
    );
    let table = json!({ "type": "lookup", "table": { "boss": ["platform-admin"] } });
    assert_eq!(roles(json!([append("boss"), table])), at(0));
    // Who is an administrator may be for the token to say.
    assert_eq!(roles(json!([table, append("reader")])), Vec::<String>::new());
}

#[test]
fn issuers_and_key_ids_are_unique() {
    assert_eq!(paths(jwt(&[good(), good()])), ["spec.jwt.issuers[1].issuer"]);
    assert_eq!(paths(jwt(&[])), ["spec.jwt.issuers"]);
    let key = Signer::new(Algorithm::ES256, "k");
    assert_eq!(issuer_paths(json!({ "jwks": { "keys": [key.jwk(), key.jwk()] } })), ["jwks.keys[1].kid"]);
    let nameless = merged(key.jwk(), json!({ "kid": null }));
    assert_eq!(issuer_paths(json!({ "jwks": { "keys": [key.jwk(), nameless] } })), ["jwks.keys"]);
}

#[test]
fn all_violations_come_at_once() {
    let bad = json!({ "issuer": "", "audience": [], "clockSkew": "x", "jwks": null });
    let found = paths(merged(jwt(&[merged(good(), bad), good(), good()]), json!({ "apiKey": {} })));
    assert_eq!(
        found,
        [
            "spec.apiKey",
            "spec.jwt.issuers[0].issuer",
            "spec.jwt.issuers[0].audience",
            "spec.jwt.issuers[0].clockSkew",
            "spec.jwt.issuers[0].jwks",
            "spec.jwt.issuers[2].issuer",
        ]
    );
}
