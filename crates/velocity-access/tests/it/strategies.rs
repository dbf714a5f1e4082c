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
fn types_and_blocks_that_are_not_supported_yet_are_refused_by_name() {
    let oidc = json!({ "discoveryUrl": "https://x", "clientId": "c", "redirectUri": "https://y" });
    for (spec, path) in [
        (json!({ "type": "oidc", "oidc": oidc }), "spec.type"),
        (json!({ "type": "apiKey", "apiKey": {} }), "spec.type"),
        (json!({ "type": "composite", "composite": { "strategies": [{ "name": "a" }] } }), "spec.type"),
        (merged(jwt(&[good()]), json!({ "revocation": { "failOpen": false } })), "spec.revocation"),
    ] {
        let found = violations(spec);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, path);
        assert!(found[0].1.contains("not supported yet"), "{found:?}");
    }
}

#[test]
fn the_block_named_by_type_is_there_and_no_other() {
    assert_eq!(paths(json!({ "type": "jwt" })), ["spec.jwt"]);
    assert_eq!(paths(merged(jwt(&[good()]), json!({ "apiKey": {} }))), ["spec.apiKey"]);
    assert_eq!(
        paths(json!({ "type": "apiKey", "jwt": { "issuers": [good()] } })),
        ["spec.jwt", "spec.apiKey", "spec.type"]
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
    let found = paths(merged(jwt(&[merged(good(), bad), good(), good()]), json!({ "revocation": {} })));
    assert_eq!(
        found,
        [
            "spec.revocation",
            "spec.jwt.issuers[0].issuer",
            "spec.jwt.issuers[0].audience",
            "spec.jwt.issuers[0].clockSkew",
            "spec.jwt.issuers[0].jwks",
            "spec.jwt.issuers[2].issuer",
        ]
    );
}
