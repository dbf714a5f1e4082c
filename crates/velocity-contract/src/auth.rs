//! Signing in and out: the bodies of `POST /auth/device` and `POST /auth/logout`.
//!
//! A program without a browser signs in in two steps. `POST /auth/device` with `{}` gives a [`DeviceLogin`]: an address
//! and a code to show to a person. Then, every `interval` seconds, `POST /auth/device` with the `deviceCode` gives a
//! [`DeviceProgress`]; when that is `complete` it carries a session token, which goes into `Authorization: Bearer`. A
//! login that failed is a problem: `AUTH_INVALID_TOKEN` when it was refused or has expired, `MALFORMED_REQUEST` for a
//! device code that this server did not give out.

use serde::{Deserialize, Serialize};

/// What session tokens for programs begin with; the rest is 43 letters and digits.
pub const SESSION_TOKEN_PREFIX: &str = "vels_";

/// The body of `POST /auth/device`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceRequest {
    /// Absent: start a login. Present: how far is the login with this code?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_code: Option<String>,
    /// With which AuthStrategy to sign in, `namespace/name`, when it starts. Without it the one that decides by default,
    /// or its first member that can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// A login that waits for a person (RFC 8628, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceLogin {
    /// What to ask with; it names the login and is not for people.
    pub device_code: String,
    /// What the person types at `verification_uri`.
    pub user_code: String,
    /// Where the person goes with a browser.
    pub verification_uri: String,
    /// The same with the code in it, where the provider has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
    /// In how many seconds the codes expire.
    pub expires_in: u64,
    /// How many seconds to wait between two questions.
    pub interval: u64,
}

/// How far a login has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProgress {
    /// What to do next.
    pub status: DeviceStatus,
    /// When complete: the session token, `vels_…`. It is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When complete: when the session ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When complete: who has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// Where a login stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceStatus {
    /// The person has not decided yet: ask again after the interval.
    Pending,
    /// The same, and from now on wait 5 seconds longer between two questions.
    SlowDown,
    /// Signed in: the token is there.
    Complete,
}

/// What `POST /auth/logout` answers: the session has ended here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logout {
    /// Where a browser goes to end the session at the provider too, where the provider has such a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_logout_url: Option<String>,
}

/// What kind of credential a request came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialKind {
    /// A signed token of an issuer.
    Token,
    /// A session, in a cookie or as a bearer token.
    Session,
    /// A key that the platform issued.
    Key,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_the_code_alone_and_a_start_is_an_empty_object() {
        assert_eq!(serde_json::to_value(DeviceRequest::default()).unwrap(), json!({}));
        let question: DeviceRequest = serde_json::from_value(json!({ "deviceCode": "c" })).unwrap();
        assert_eq!(question.device_code.as_deref(), Some("c"));
        assert!(serde_json::from_value::<DeviceRequest>(json!({ "device_code": "c" })).is_err());
    }

    #[test]
    fn progress_without_a_token_says_only_where_it_stands() {
        let progress = |status| DeviceProgress { status, token: None, expires_at: None, actor: None };
        assert_eq!(
            serde_json::to_value(progress(DeviceStatus::Pending)).unwrap(),
            json!({ "status": "pending" })
        );
        assert_eq!(
            serde_json::to_value(progress(DeviceStatus::SlowDown)).unwrap(),
            json!({ "status": "slowDown" })
        );
    }
}
