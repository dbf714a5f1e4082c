//! Sign-in of a program without a browser: the device authorisation grant (RFC 8628).
//!
//! The server talks with the provider, so that a program needs to know neither the provider nor the client's secret. The
//! device code that a program holds is the provider's, sealed: nobody can have this server ask for codes of others.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use velocity_contract::auth::{DeviceLogin, DeviceProgress, DeviceStatus};

use super::Oidc;
use super::calls::CallError;
use super::error::SignInError;
use super::id_token::Expected;
use super::provider::endpoint;
use super::seal::Kind;
use super::secret::Holder;
use crate::strategy::is_loopback;

/// The grant type of RFC 8628, section 3.4.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How many seconds to wait between two questions where the provider does not say (RFC 8628, section 3.2).
const DEFAULT_INTERVAL: u64 = 5;
/// Longest wait for a person, in seconds.
const MAX_SECONDS: u64 = 3600;
/// Longest text of a code or an address that is passed on.
const MAX_TEXT: usize = 2048;

/// The provider's answer (RFC 8628, section 3.2).
#[derive(Deserialize)]
struct Authorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// What a sealed device code holds.
#[derive(Serialize, Deserialize)]
struct DeviceCode {
    code: String,
    /// Seconds since 1970.
    ends: i64,
}

impl Oidc {
    /// Begins a sign-in that a person goes on with in a browser elsewhere.
    pub async fn begin_device_login(&self, now: Timestamp) -> Result<DeviceLogin, SignInError> {
        let provider = self.provider.discovered().await?;
        let url = provider.device.as_ref().ok_or(SignInError::ProviderUnfit("it has no device login"))?;
        let _place = self.place().await?;
        let scopes = self.strategy.scopes.join(" ");
        let answer: Result<Authorization, _> =
            self.provider.caller.post(url, &[("scope", &scopes)], &provider.proof).await;
        let answer = answer.map_err(|error| error.told("device login", &self.strategy.issuer))?;
        let expires_in = answer.expires_in.clamp(1, MAX_SECONDS);
        let ends = now.saturating_add(SignedDuration::from_secs(i64::try_from(expires_in).unwrap_or(1)));
        let code = DeviceCode { code: answer.device_code, ends: ends.unwrap_or(now).as_second() };
        let plain = serde_json::to_vec(&code).map_err(|_| SignInError::Fault)?;
        let shown = |text: String, what: &'static str| {
            let is_plain = text.len() <= MAX_TEXT && !text.is_empty() && !text.chars().any(char::is_control);
            if is_plain { Ok(text) } else { Err(SignInError::Incomplete(what)) }
        };
        Ok(DeviceLogin {
            device_code: self.sealer.seal_text(Kind::Device, &self.name, &plain)?,
            user_code: shown(answer.user_code, "user_code")?,
            verification_uri: self.page(&answer.verification_uri)?,
            verification_uri_complete: answer
                .verification_uri_complete
                .map(|uri| self.page(&uri))
                .transpose()?,
            expires_in,
            interval: answer.interval.unwrap_or(DEFAULT_INTERVAL).clamp(1, 60),
        })
    }

    /// An address that a person may be sent to.
    fn page(&self, text: &str) -> Result<String, SignInError> {
        let page = endpoint(text, is_loopback(&self.strategy.discovery_url));
        page.filter(|_| text.len() <= MAX_TEXT)
            .map(Into::into)
            .ok_or(SignInError::Incomplete("verification_uri"))
    }

    /// How far the login with this device code is.
    pub async fn poll_device_login(&self, code: &str, now: Timestamp) -> Result<DeviceProgress, SignInError> {
        let plain =
            self.sealer.open_text(Kind::Device, &self.name, code).ok_or(SignInError::UnknownDeviceCode)?;
        let code: DeviceCode = serde_json::from_slice(&plain).map_err(|_| SignInError::UnknownDeviceCode)?;
        if now.as_second() >= code.ends {
            return Err(SignInError::DeviceLoginExpired);
        }
        let provider = self.provider.discovered().await?;
        let _place = self.place().await?;
        let form = [("grant_type", GRANT), ("device_code", code.code.as_str())];
        let tokens = match self.provider.tokens(&provider, &form).await {
            Ok(tokens) => tokens,
            Err(CallError::Refused("authorization_pending")) => return Ok(waiting(DeviceStatus::Pending)),
            Err(CallError::Refused("slow_down")) => return Ok(waiting(DeviceStatus::SlowDown)),
            Err(CallError::Refused("expired_token")) => return Err(SignInError::DeviceLoginExpired),
            Err(error) => return Err(error.told("device code", &self.strategy.issuer)),
        };
        let expected = Expected { access_token: tokens.access_token.as_deref(), ..Expected::default() };
        let signed_in = self.sign_in(&provider, &tokens, expected, Holder::Program, now).await?;
        Ok(DeviceProgress {
            status: DeviceStatus::Complete,
            token: Some(signed_in.secret),
            expires_at: Some(signed_in.expires_at.to_string()),
            actor: Some(signed_in.actor),
        })
    }
}

fn waiting(status: DeviceStatus) -> DeviceProgress {
    DeviceProgress { status, token: None, expires_at: None, actor: None }
}
