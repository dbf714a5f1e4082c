//! Tokens that must not work, each for its own reason.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use velocity_access::{AuthError, Authenticator, ClaimError, IdentityError, TokenRefusal};

use crate::signer::{
    AUDIENCE, ISSUER, NOW, Signer, authenticate, authorize, claims, issuer, merged, now, refusal, start,
    trusting,
};

fn key() -> Signer {
    Signer::new(Algorithm::ES256, "k")
}

/// Why a token with these changed claims is refused, its signature being good.
async fn refusal_of(changes: Value) -> TokenRefusal {
    let key = key();
    refusal(&trusting(&key), &key.token_with(changes)).await
}

#[tokio::test]
async fn a_good_token_gives_the_whole_identity() {
    let key = key();
    let identity = authenticate(&trusting(&key), &key.token()).await.unwrap();
    assert_eq!(identity.actor(), "ravi");
    assert_eq!(identity.actor_type().name(), "user");
    assert_eq!(identity.roles().iter().collect::<Vec<_>>(), ["reader", "writer"]);
    assert_eq!(identity.attributes_json(), r#"{"region":"west"}"#);
    assert_eq!(identity.strategy(), "platform/test");
    assert_eq!(identity.token_id(), Some("t-1"));
    assert_eq!(identity.expires_at().as_second(), NOW + 600);
}

#[tokio::test]
async fn a_token_of_another_key_with_the_same_kid_is_refused() {
    let forged = key().token();
    assert_eq!(refusal(&trusting(&key()), &forged).await, TokenRefusal::BadSignature);
}

#[tokio::test]
async fn alg_none_is_refused_however_it_is_spelt_and_whatever_its_signature() {
    let key = key();
    let authenticator = trusting(&key);
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": name, "kid": "k" }).to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
        assert_eq!(
            refusal(&authenticator, &format!("{message}.AAAA")).await,
            TokenRefusal::AlgorithmNotAllowed
        );
        assert!(authenticate(&authenticator, &format!("{message}.")).await.is_err());
        assert!(authenticate(&authenticator, &message).await.is_err());
    }
}

#[tokio::test]
async fn a_public_key_is_never_taken_as_an_hmac_secret() {
    let key = Signer::new(Algorithm::RS256, "k");
    let jwk = key.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&modulus));
    // HS256 is even allowed here, for a secret of its own.
    let secret = Signer::new(Algorithm::HS256, "secret");
    let authenticator = start(&[issuer(&[&key, &secret], json!({}))]);
    for bytes in [
        modulus.as_slice(),
        jwk["n"].as_str().unwrap().as_bytes(),
        pem.as_bytes(),
        jwk.to_string().as_bytes(),
    ] {
        for kid in ["k", "secret"] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            let message = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(claims().to_string())
            );
            let secret = EncodingKey::from_secret(bytes);
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
            let refused = refusal(&authenticator, &format!("{message}.{signature}")).await;
            assert!(matches!(refused, TokenRefusal::UnknownKey | TokenRefusal::BadSignature), "{refused:?}");
        }
    }
    assert_eq!(refusal(&trusting(&key), &secret.token()).await, TokenRefusal::AlgorithmNotAllowed);
}

#[tokio::test]
async fn a_key_in_the_header_is_never_trusted() {
    let (key, mallory) = (key(), key());
    let authenticator = trusting(&key);
    let mut header = mallory.header();
    header["jwk"] = mallory.jwk();
    header["jku"] = json!("https://mallory.example/keys");
    header["x5u"] = json!("https://mallory.example/cert");
    assert_eq!(refusal(&authenticator, &mallory.sign(&header, &claims())).await, TokenRefusal::BadSignature);
    header["kid"] = json!("other");
    assert_eq!(refusal(&authenticator, &mallory.sign(&header, &claims())).await, TokenRefusal::UnknownKey);
}

#[tokio::test]
async fn a_kid_of_another_issuer_names_no_key() {
    let (a, b) = (Signer::new(Algorithm::ES256, "a"), Signer::new(Algorithm::ES256, "b"));
    let other = json!({ "issuer": "https://other.example" });
    let authenticator = start(&[issuer(&[&a], json!({})), issuer(&[&b], other.clone())]);
    // The second issuer's key speaks for the first issuer.
    assert_eq!(refusal(&authenticator, &b.token()).await, TokenRefusal::UnknownKey);
    assert_eq!(
        refusal(&authenticator, &a.token_with(json!({ "iss": "https://other.example" }))).await,
        TokenRefusal::UnknownKey
    );
    assert!(authenticate(&authenticator, &a.token()).await.is_ok());
    assert!(
        authenticate(&authenticator, &b.token_with(json!({ "iss": "https://other.example" }))).await.is_ok()
    );
    // Even where both call their keys the same.
    let (a, b) = (key(), key());
    let same_kid = start(&[issuer(&[&a], json!({})), issuer(&[&b], other)]);
    assert_eq!(refusal(&same_kid, &b.token()).await, TokenRefusal::BadSignature);
}

#[tokio::test]
async fn the_issuer_must_be_exactly_one_that_is_configured() {
    for iss in
        [json!("https://id.acme.com/"), json!("https://ID.acme.com"), json!(""), json!([ISSUER]), json!(7)]
    {
        assert_eq!(refusal_of(json!({ "iss": iss })).await, TokenRefusal::UnknownIssuer, "{iss}");
    }
    assert_eq!(refusal_of(json!({ "iss": null })).await, TokenRefusal::UnknownIssuer);
}

#[tokio::test]
async fn two_issuers_in_one_token_are_refused() {
    let key = key();
    let twice = format!(r#"{{"iss":"https://mallory.example",{}"#, &claims().to_string()[1..]);
    let token = key.sign_text(&key.header().to_string(), &twice);
    assert_eq!(refusal(&trusting(&key), &token).await, TokenRefusal::UnknownIssuer);
}

#[tokio::test]
async fn a_token_for_another_audience_or_for_none_is_refused() {
    for aud in
        [json!("other"), json!(["other"]), json!([]), json!("VELOCITY"), json!(7), json!({ "velocity": 1 })]
    {
        assert_eq!(refusal_of(json!({ "aud": aud })).await, TokenRefusal::WrongAudience, "{aud}");
    }
    assert_eq!(refusal_of(json!({ "aud": null })).await, TokenRefusal::WrongAudience);
    let key = key();
    let authenticator = start(&[issuer(&[&key], json!({ "audience": ["a", "b"] }))]);
    assert!(authenticate(&authenticator, &key.token_with(json!({ "aud": ["x", "b"] }))).await.is_ok());
    assert_eq!(
        refusal(&authenticator, &key.token_with(json!({ "aud": AUDIENCE }))).await,
        TokenRefusal::WrongAudience
    );
}

#[tokio::test]
async fn expiry_is_demanded_and_holds_to_the_second_with_the_clock_skew() {
    assert_eq!(refusal_of(json!({ "exp": null })).await, TokenRefusal::NoExpiry);
    assert_eq!(refusal_of(json!({ "exp": NOW - 30 })).await, TokenRefusal::Expired);
    assert_eq!(refusal_of(json!({ "exp": 0 })).await, TokenRefusal::Expired);
    assert_eq!(refusal_of(json!({ "exp": -1 })).await, TokenRefusal::Expired);
    for exp in [json!((NOW + 600).to_string()), json!(1e300), json!(-1.5), json!(true), json!([NOW + 600])] {
        assert_eq!(refusal_of(json!({ "exp": exp })).await, ClaimError::Registered("exp").into(), "{exp}");
    }
    // Milliseconds instead of seconds: a year that does not exist.
    assert_eq!(refusal_of(json!({ "exp": NOW * 1000 })).await, ClaimError::Registered("exp").into());
    let key = key();
    let authenticator = trusting(&key);
    assert!(authenticate(&authenticator, &key.token_with(json!({ "exp": NOW - 29 }))).await.is_ok());
    #[expect(clippy::cast_precision_loss, reason = "seconds fit a double")]
    let fraction = (NOW + 600) as f64 + 0.5;
    assert!(authenticate(&authenticator, &key.token_with(json!({ "exp": fraction }))).await.is_ok());
}

#[tokio::test]
async fn a_token_from_the_future_is_not_valid_yet() {
    for claim in ["nbf", "iat"] {
        assert_eq!(refusal_of(json!({ claim: NOW + 31 })).await, TokenRefusal::NotYetValid, "{claim}");
        assert_eq!(refusal_of(json!({ claim: "soon" })).await, ClaimError::Registered(claim).into());
        let key = key();
        assert!(authenticate(&trusting(&key), &key.token_with(json!({ claim: NOW + 30 }))).await.is_ok());
    }
}

#[tokio::test]
async fn extensions_that_must_be_understood_are_refused() {
    let key = key();
    let authenticator = trusting(&key);
    for extension in
        [json!({ "crit": ["exp"] }), json!({ "crit": [] }), json!({ "b64": false }), json!({ "b64": true })]
    {
        let token = key.sign(&merged(key.header(), extension.clone()), &claims());
        assert_eq!(refusal(&authenticator, &token).await, TokenRefusal::CriticalExtension, "{extension}");
    }
    let null = key.sign_text(r#"{"alg":"ES256","kid":"k","crit":null}"#, &claims().to_string());
    assert_eq!(refusal(&authenticator, &null).await, TokenRefusal::CriticalExtension);
}

#[tokio::test]
async fn other_kinds_of_signed_tokens_are_no_access_tokens() {
    let key = key();
    let authenticator = trusting(&key);
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "JWE", ""] {
        let token = key.sign(&merged(key.header(), json!({ "typ": typ })), &claims());
        assert_eq!(refusal(&authenticator, &token).await, TokenRefusal::WrongType, "{typ}");
    }
    for typ in [json!("jwt"), json!("at+jwt"), json!("application/at+JWT"), Value::Null] {
        let token = key.sign(&merged(key.header(), json!({ "typ": typ })), &claims());
        assert!(authenticate(&authenticator, &token).await.is_ok(), "{typ}");
    }
}

#[tokio::test]
async fn a_header_with_two_algorithms_is_malformed() {
    let key = key();
    for header in [r#"{"alg":"none","alg":"ES256","kid":"k"}"#, r#"{"alg":"ES256","kid":"k","kid":"x"}"#] {
        let token = key.sign_text(header, &claims().to_string());
        assert_eq!(refusal(&trusting(&key), &token).await, TokenRefusal::Malformed);
    }
}

#[tokio::test]
async fn what_is_no_token_is_malformed() {
    let key = key();
    let (authenticator, token) = (trusting(&key), key.token());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for garbage in [
        "a".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        format!("{token}.{signature}"),
        format!(".{token}"),
        format!("{token}."),
        format!("{token}="),
        format!("{token}, Bearer {token}"),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature} x"),
        format!("{header}.{payload}.{signature}\u{e9}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":7}"#)),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{")),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("\u{0}")),
        format!("{}.{payload}.{signature}", "A".repeat(4000)),
    ] {
        assert_eq!(refusal(&authenticator, &garbage).await, TokenRefusal::Malformed, "{garbage}");
    }
    let deep =
        key.sign_text(&key.header().to_string(), &format!(r#"{{"iss":"{ISSUER}","a":{}"#, "[".repeat(9000)));
    assert_eq!(refusal(&authenticator, &deep).await, TokenRefusal::Malformed);
}

#[tokio::test]
async fn a_token_of_more_than_sixteen_kib_is_refused_unread() {
    let key = key();
    let big = key.token_with(json!({ "padding": "x".repeat(16 * 1024) }));
    assert_eq!(refusal(&trusting(&key), &big).await, TokenRefusal::TooLong);
}

#[tokio::test]
async fn no_credential_another_scheme_and_two_headers_are_told_apart() {
    let key = key();
    let authenticator = trusting(&key);
    let header = format!("Bearer {}", key.token());
    let ask = async |headers: Vec<&'static [u8]>| authorize(&authenticator, &headers, now()).await;
    assert_eq!(ask(vec![]).await, Err(AuthError::Required));
    assert_eq!(ask(vec![b"Basic dXNlcjpwYXNz"]).await, Err(TokenRefusal::NotBearer.into()));
    let twice = authorize(&authenticator, &[header.as_bytes(), header.as_bytes()], now()).await;
    assert_eq!(twice, Err(TokenRefusal::Ambiguous.into()));
    let codes = [AuthError::Required, TokenRefusal::Ambiguous.into()].map(|error| error.code().as_str());
    assert_eq!(codes, ["AUTH_REQUIRED", "AUTH_INVALID_TOKEN"]);
}

#[tokio::test]
async fn claims_that_do_not_map_are_refused_not_guessed() {
    let text = |name: &str| TokenRefusal::from(ClaimError::NotText(name.to_owned()));
    assert_eq!(refusal_of(json!({ "sub": null })).await, ClaimError::NoActor.into());
    assert_eq!(refusal_of(json!({ "sub": 7 })).await, text("actorId"));
    assert_eq!(refusal_of(json!({ "sub": "" })).await, IdentityError::Actor.into());
    assert_eq!(refusal_of(json!({ "sub": "a\u{0}" })).await, IdentityError::Actor.into());
    assert_eq!(refusal_of(json!({ "roles": { "platform-admin": true } })).await, text("roles"));
    assert_eq!(refusal_of(json!({ "roles": 7 })).await, text("roles"));
    assert_eq!(refusal_of(json!({ "attributes": ["x"] })).await, ClaimError::NotAnObject(0).into());
    assert_eq!(refusal_of(json!({ "jti": 7 })).await, ClaimError::Registered("jti").into());
    let roles: Vec<_> = (0..257).map(|i| format!("r{i}")).collect();
    assert_eq!(refusal_of(json!({ "roles": roles })).await, IdentityError::TooManyRoles.into());
    let attributes = json!({ "a": "x".repeat(9000) });
    assert_eq!(refusal_of(json!({ "attributes": attributes })).await, IdentityError::AttributesTooBig.into());
    assert_eq!(
        refusal_of(json!({ "attributes": { "a": "\u{0}" } })).await,
        IdentityError::NullInAttributes.into()
    );
}

#[tokio::test]
async fn roles_cannot_be_smuggled_in_one_name() {
    let key = key();
    let token =
        key.token_with(json!({ "roles": ["reader,platform-admin", "platform-admin\n", "*", "reader"] }));
    let identity = authenticate(&trusting(&key), &token).await.unwrap();
    assert_eq!(identity.roles().iter().collect::<Vec<_>>(), ["reader"]);
    assert!(!identity.is_platform_admin());
}

#[tokio::test]
async fn a_path_that_finds_no_roles_gives_none() {
    let key = key();
    let mapping = json!({ "claimMapping": { "roles": { "path": "$.realm_access.roles[*]" } } });
    let authenticator: Authenticator = start(&[issuer(&[&key], mapping)]);
    let identity = authenticate(&authenticator, &key.token()).await.unwrap();
    assert!(identity.roles().is_empty());
}

#[tokio::test]
async fn no_error_repeats_anything_of_the_token() {
    let key = key();
    let authenticator = trusting(&key);
    let secret = "s3cr3t-in-the-token";
    for token in [
        secret.to_owned(),
        key.token_with(json!({ "iss": secret })),
        key.token_with(json!({ "aud": secret })),
        key.token_with(json!({ "sub": { "a": secret } })),
        key.token_with(json!({ "roles": { secret: 1 } })),
        key.token_with(json!({ "exp": secret })),
        key.sign(&json!({ "alg": secret }), &claims()),
        key.sign(&json!({ "alg": "ES256", "kid": secret }), &claims()),
        key.sign(&json!({ "alg": "ES256", "typ": secret }), &claims()),
    ] {
        let error = authenticate(&authenticator, &token).await.unwrap_err();
        let texts = format!("{error} {error:?} {}", error.challenge());
        assert!(!texts.contains(secret) && !texts.contains(&token), "{texts}");
    }
}
