//! An OpenID Connect provider of the test's own, with the device flow of RFC 8628. The person who decides is the test.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use velocity_access::DevKey;

/// The client that the server and the command line are here.
pub(crate) const CLIENT: &str = "velocity-test";

struct World {
    url: String,
    key: DevKey,
    /// Who has agreed, with their roles.
    agreed: Option<(String, Vec<String>)>,
    refresh_works: bool,
    /// Seconds that ID tokens live.
    lifetime: i64,
    renewals: usize,
}

/// A provider. It runs as long as the test's runtime does.
pub(crate) struct Provider {
    world: Arc<Mutex<World>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = DevKey::generate().unwrap();
        let world = World { url, key, agreed: None, refresh_works: true, lifetime: 3600, renewals: 0 };
        let world = Arc::new(Mutex::new(world));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { world }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn issuer(&self) -> String {
        self.world().url.clone()
    }

    /// The keys that its tokens are signed with.
    pub(crate) fn jwks(&self) -> Value {
        self.world().key.jwks()
    }

    /// Somebody signs in and agrees.
    pub(crate) fn agree(&self, name: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self.world().agreed = Some((name.to_owned(), roles));
    }

    /// From now on ID tokens live that long.
    pub(crate) fn lifetime(&self, seconds: i64) {
        self.world().lifetime = seconds;
    }

    /// How often a token was renewed.
    pub(crate) fn renewals(&self) -> usize {
        self.world().renewals
    }

    /// The session at the provider ends.
    pub(crate) fn end(&self) {
        self.world().refresh_works = false;
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = String::from_utf8(body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let mut world = world.lock().unwrap();
    let url = world.url.clone();
    match parts.uri.path() {
        "/.well-known/openid-configuration" => said(
            200,
            &json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/jwks"), "device_authorization_endpoint": format!("{url}/device"),
                "scopes_supported": ["openid", "offline_access"],
            }),
        ),
        "/jwks" => said(200, &world.key.jwks()),
        "/device" => said(
            200,
            &json!({ "device_code": "d3vice", "user_code": "WDJB-MJHT", "verification_uri": format!("{url}/person"),
                "expires_in": 600, "interval": 1 }),
        ),
        "/token" if form.contains("grant_type=refresh_token") && !world.refresh_works => {
            said(400, &json!({ "error": "invalid_grant" }))
        }
        "/token" => token(&mut world, form.contains("grant_type=refresh_token")),
        other => panic!("nothing is at {other}"),
    }
}

fn token(world: &mut World, renews: bool) -> Response {
    let Some((name, roles)) = world.agreed.clone() else {
        return said(400, &json!({ "error": "authorization_pending" }));
    };
    world.renewals += usize::from(renews);
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({ "iss": world.url, "aud": CLIENT, "sub": name, "roles": roles, "iat": now,
        "exp": now + world.lifetime });
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(world.key.kid().to_owned());
    let key = EncodingKey::from_ed_pem(world.key.to_pem().as_bytes()).unwrap();
    let id_token = encode(&header, &claims, &key).unwrap();
    said(
        200,
        &json!({ "id_token": id_token, "access_token": "opaque", "token_type": "Bearer", "expires_in": 60,
            "refresh_token": format!("refresh-{}", world.renewals) }),
    )
}

fn said(status: u16, body: &Value) -> Response {
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}
