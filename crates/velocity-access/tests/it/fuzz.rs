//! Whatever arrives, the answer is an identity or an error.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use velocity_access::Authenticator;

use crate::signer::{Signer, authorize, claims, merged, now, trusting};

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
