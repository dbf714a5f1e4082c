//! An OpenID Connect provider of this process, with the device flow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use base64::Engine;
use http::StatusCode;
use serde_json::{Value, json};

#[derive(Default)]
struct World {
    issuer: String,
    url: String,
    /// What the token endpoint says next; then it grants.
    answers: VecDeque<String>,
    /// Seconds that new ID tokens live.
    lifetime: i64,
    granted: usize,
    last_token: String,
    refreshes: Vec<String>,
    revoked: Vec<String>,
    forms: Vec<String>,
}

pub(crate) struct FakeProvider {
    world: Arc<Mutex<World>>,
    _runtime: tokio::runtime::Runtime,
}

impl FakeProvider {
    pub(crate) fn start() -> Self {
        let world = Arc::new(Mutex::new(World { lifetime: 3600, ..World::default() }));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        let provider = Self { world, _runtime: runtime };
        {
            let mut world = provider.world();
            world.issuer.clone_from(&url);
            world.url = url;
        }
        provider
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.world().url.clone()
    }

    pub(crate) fn answers<const N: usize>(&self, answers: [&str; N]) {
        self.world().answers = answers.iter().map(|&answer| answer.to_owned()).collect();
    }

    pub(crate) fn lifetime(&self, seconds: i64) {
        self.world().lifetime = seconds;
    }

    pub(crate) fn claims_to_be(&self, issuer: &str) {
        issuer.clone_into(&mut self.world().issuer);
    }

    pub(crate) fn last_token(&self) -> String {
        self.world().last_token.clone()
    }

    pub(crate) fn refreshes(&self) -> Vec<String> {
        self.world().refreshes.clone()
    }

    pub(crate) fn revoked(&self) -> Vec<String> {
        self.world().revoked.clone()
    }

    /// Every form that was sent.
    pub(crate) fn forms(&self) -> Vec<String> {
        self.world().forms.clone()
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = String::from_utf8(body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let field = |name: &str| {
        let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    };
    let mut world = world.lock().unwrap();
    if parts.uri.path() == "/.well-known/openid-configuration" {
        let url = &world.url;
        return said(
            200,
            &json!({ "issuer": world.issuer, "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device"), "revocation_endpoint": format!("{url}/revoke"),
            "scopes_supported": ["openid", "offline_access"] }),
        );
    }
    world.forms.push(form.clone());
    assert_eq!(field("client_id").as_deref(), Some("cli"), "{form}");
    match parts.uri.path() {
        "/device" => {
            assert_eq!(field("scope").as_deref(), Some("openid+offline_access"));
            said(
                200,
                &json!({ "device_code": "d3vice", "user_code": "WDJB-MJHT", "verification_uri": "https://id/device",
                "expires_in": 600, "interval": 0 }),
            )
        }
        "/revoke" => {
            world.revoked.extend(field("token"));
            StatusCode::OK.into_response()
        }
        "/token" => token(&mut world, field("refresh_token")),
        other => panic!("nothing is at {other}"),
    }
}

fn token(world: &mut World, refresh: Option<String>) -> Response {
    match world.answers.pop_front().as_deref() {
        Some(error) if error != "grant" => return said(400, &json!({ "error": error })),
        _ => {}
    }
    world.refreshes.extend(refresh);
    world.granted += 1;
    let end = jiff::Timestamp::now().as_second() + world.lifetime;
    let claims = json!({ "sub": "ravi", "exp": end, "n": world.granted }).to_string();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    world.last_token = format!("e30.{payload}.c2ln");
    said(
        200,
        &json!({ "id_token": world.last_token, "access_token": "a", "token_type": "Bearer",
        "refresh_token": format!("refresh-{}", world.granted) }),
    )
}

fn said(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}
