//! Whatever arrives, the answer is an identity or an error.
//!
//! `make fuzz` runs the last test here for ten minutes instead of two seconds (`VELOCITY_FUZZ_SECONDS`), from a new seed
//! each time (`VELOCITY_FUZZ_SEED`), which it prints when something is found.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use velocity_access::api_key::{NewKey, is_key};
use velocity_access::oidc::{ReturnPath, SESSION_COOKIE, named_strategy};
use velocity_access::{
    AuthStrategy, Authenticator, Context, CredentialScope, Credentials, TrustedProxies, parse_duration,
};

use crate::mutate::{Dice, mutated};
use crate::signer::{Signer, authorize, claims, merged, now, trusting};
use crate::store::{KeyStore, stored};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn fixture() -> (Signer, Authenticator) {
    let key = Signer::new(jsonwebtoken::Algorithm::EdDSA, "k");
    let authenticator = trusting(&key);
    (key, authenticator)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..5).prop_map(|m| Value::Object(Map::from_iter(m))),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_as_header_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (_, authenticator) = fixture();
        let with_scheme = [b"Bearer ".as_slice(), &bytes].concat();
        for header in [bytes.as_slice(), &with_scheme] {
            prop_assert!(run(authorize(&authenticator, &[header], now())).is_err());
        }
    }

    #[test]
    fn arbitrary_parts_that_look_like_a_token_are_refused(parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..6)) {
        let (_, authenticator) = fixture();
        let header = format!("Bearer {}", parts.join("."));
        prop_assert!(run(authorize(&authenticator, &[header.as_bytes()], now())).is_err());
    }

    #[test]
    fn arbitrary_signed_claims_give_an_identity_within_the_limits_or_an_error(
        name in prop::sample::select(vec!["sub", "roles", "attributes", "exp", "nbf", "iat", "aud", "jti", "x"]),
        value in any_json(),
    ) {
        let (key, authenticator) = fixture();
        let header = format!("Bearer {}", key.sign(&key.header(), &merged(claims(), json!({ name: value }))));
        if let Ok(identity) = run(authorize(&authenticator, &[header.as_bytes()], now())) {
            prop_assert!(!identity.actor().is_empty() && !identity.actor().contains('\0'));
            prop_assert!(identity.roles().iter().all(|role| !role.contains(',')));
            prop_assert!(!identity.attributes_json().contains("\\u0000"));
        }
    }

    #[test]
    fn arbitrary_signed_headers_never_panic(header in any_json()) {
        let (key, authenticator) = fixture();
        let token = format!("Bearer {}", key.sign(&header, &claims()));
        prop_assert!(run(authorize(&authenticator, &[token.as_bytes()], now())).is_err());
    }
}

/// Everything that reads what strangers send, with what it is fed.
struct Targets {
    runtime: tokio::runtime::Runtime,
    key: Signer,
    token: String,
    tokens: Authenticator,
    api_key: String,
    keys: Authenticator,
    proxies: TrustedProxies,
}

const NAMES: [&str; 8] =
    ["token", "claims", "header", "cookie", "forwarded for", "api key", "scope", "return path"];

impl Targets {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let key = Signer::new(jsonwebtoken::Algorithm::EdDSA, "k");
        let tokens = trusting(&key);
        let store = KeyStore::new();
        let api_key = NewKey::mint("live").unwrap();
        store.add(api_key.hash(), stored("k1"));
        let spec = serde_json::from_value(json!({ "type": "apiKey", "apiKey": {} })).unwrap();
        let context = Context { store: Arc::new(store), ..Context::default() };
        let keys =
            Authenticator::start("platform/keys", AuthStrategy::parse(&spec).unwrap(), context).unwrap();
        let networks = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let (token, api_key) = (key.token(), api_key.text().to_owned());
        Self { runtime, key, token, tokens, api_key, keys, proxies: TrustedProxies::new(&networks) }
    }

    fn corpus(&self, target: usize) -> Vec<String> {
        let texts: &[&str] = match NAMES[target] {
            "token" => {
                return vec![
                    self.token.clone(),
                    self.key.token_with(json!({ "aud": ["a", crate::signer::AUDIENCE] })),
                ];
            }
            "claims" => return vec![claims().to_string(), r#"{"iss":"x","exp":1e9,"aud":[]}"#.to_owned()],
            "header" => {
                return vec![
                    format!("Bearer {}", self.token),
                    "Basic dTpw".to_owned(),
                    "bearer  x".to_owned(),
                ];
            }
            "api key" => return vec![self.api_key.clone(), "vel_dev_0".to_owned()],
            "cookie" => &["__Host-velocity_session=abc; a=b", "a=b;__Host-velocity_session=\"x\"; c", ";=;"],
            "forwarded for" => {
                &["203.0.113.9, 10.0.0.1", "[2001:db9::1]:443,2001:db8::2", "::ffff:10.0.0.9, 10.0.0.1"]
            }
            "scope" => &[
                "acme/*/*/order/v1:read,export:id,amount",
                r#"{"schema":"acme/*/*/order/v1","operations":["read"],"fields":["id"]}"#,
                "*/*/*/*/*",
            ],
            _ => &["/orders?status=open#x", "/a/../b", "8h", "cGxhdGZvcm0vb2lkYw.AAAA"],
        };
        texts.iter().map(ToString::to_string).collect()
    }

    fn ask(&self, authenticator: &Authenticator, name: HeaderName, bytes: &[u8]) -> bool {
        let identified = with_header(name, bytes, |credentials| {
            let outcome = self.runtime.block_on(authenticator.authenticate(credentials, now()));
            let _ = authenticator.why_not(credentials).to_string();
            matches!(outcome, Ok(Some(_)))
        });
        identified.unwrap_or(false)
    }

    fn feed(&self, target: usize, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match NAMES[target] {
            "token" => {
                let header = [b"Bearer ".as_slice(), bytes].concat();
                let known = self.corpus(target).iter().any(|token| token.as_bytes() == bytes.trim_ascii());
                let known = known && HeaderValue::from_bytes(bytes).is_ok();
                assert_eq!(self.ask(&self.tokens, AUTHORIZATION, &header), known);
            }
            "claims" => {
                let header = format!("Bearer {}", self.key.sign_text(&self.key.header().to_string(), &text));
                self.ask(&self.tokens, AUTHORIZATION, header.as_bytes());
            }
            "header" => drop(self.ask(&self.tokens, AUTHORIZATION, bytes)),
            "api key" => {
                let identified = self.ask(&self.keys, HeaderName::from_static("x-api-key"), bytes);
                // The good one may have to wait its turn, as all from this address do.
                assert!(!identified || bytes.trim_ascii() == self.api_key.as_bytes());
                assert!(!is_key(bytes) || bytes.is_ascii());
            }
            "cookie" => {
                let found = with_header(COOKIE, bytes, |credentials| {
                    credentials
                        .cookie(SESSION_COOKIE)
                        .ok()
                        .flatten()
                        .is_some_and(|value| value.contains(&b';'))
                });
                assert_ne!(found, Some(true));
            }
            "forwarded for" => {
                let client = with_header(HeaderName::from_static("x-forwarded-for"), bytes, |credentials| {
                    let peer = |peer: &str| self.proxies.client(peer.parse().unwrap(), credentials.headers);
                    assert_eq!(peer("192.0.2.1"), Some("192.0.2.1".parse().unwrap()));
                    peer("10.0.0.1")
                });
                assert!(client.flatten().is_none_or(|ip| ip.to_canonical() == ip));
            }
            "scope" => {
                if let Ok(scope) = text.parse::<CredentialScope>() {
                    assert_eq!(scope.to_string().parse(), Ok(scope));
                }
                if let Ok(scope) = serde_json::from_slice::<CredentialScope>(bytes) {
                    assert_eq!(
                        serde_json::from_value(serde_json::to_value(&scope).unwrap()).ok(),
                        Some(scope)
                    );
                }
            }
            _ => {
                if let Ok(path) = ReturnPath::parse(&text) {
                    assert!(path.as_str().starts_with('/') && !path.as_str().starts_with("//"));
                }
                let _ = (named_strategy(&text), parse_duration(&text));
            }
        }
    }
}

fn with_header<T>(name: HeaderName, bytes: &[u8], read: impl Fn(&Credentials<'_>) -> T) -> Option<T> {
    // What no header can hold does not reach us.
    let value = HeaderValue::from_bytes(bytes).ok()?;
    let headers = HeaderMap::from_iter([(name, value)]);
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    Some(read(&Credentials { headers: &headers, method: &Method::POST, ip: Some(ip) }))
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn nothing_that_strangers_send_makes_a_parser_panic_or_lets_anyone_in() {
    let seed = setting("VELOCITY_FUZZ_SEED", 1);
    let end = Instant::now() + Duration::from_secs(setting("VELOCITY_FUZZ_SECONDS", 2));
    let (targets, mut dice, mut inputs) = (Targets::new(), Dice::new(seed), 0_u64);
    let corpora: Vec<Vec<String>> = (0..NAMES.len()).map(|target| targets.corpus(target)).collect();
    while Instant::now() < end {
        for (target, corpus) in corpora.iter().enumerate() {
            let corpus: Vec<&[u8]> = corpus.iter().map(String::as_bytes).collect();
            let bytes = mutated(&corpus, &mut dice);
            inputs += 1;
            let fed = catch_unwind(AssertUnwindSafe(|| targets.feed(target, &bytes)));
            assert!(fed.is_ok(), "{} (seed {seed}, input {inputs}): {}", NAMES[target], bytes.escape_ascii());
        }
    }
    assert!(inputs > 0);
    println!("{inputs} inputs from seed {seed}");
}
