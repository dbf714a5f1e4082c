//! Somebody who calls the API over HTTP.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Map, Value, json};
use velocity_access::DevKey;

use super::server::Server;

/// A caller.
#[derive(Clone)]
pub(crate) struct Actor {
    client: Client,
    api: String,
    token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Server {
    /// The key of the development strategy.
    pub(crate) fn key(&self) -> DevKey {
        DevKey::from_pem(&std::fs::read_to_string(self.data().join("dev-key.pem")).unwrap()).unwrap()
    }

    /// A token as `velocity auth token` makes it.
    pub(crate) fn token(&self, name: &str, roles: &[&str], attributes: &Value) -> String {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        let attributes: &Map<String, Value> = attributes.as_object().unwrap();
        self.key().mint(name, &roles, attributes, jiff::Timestamp::now(), Duration::from_hours(1)).unwrap()
    }

    /// A caller with these roles.
    pub(crate) fn actor(&self, name: &str, roles: &[&str]) -> Actor {
        self.actor_with(name, roles, &json!({}))
    }

    /// A caller with roles and attributes.
    pub(crate) fn actor_with(&self, name: &str, roles: &[&str], attributes: &Value) -> Actor {
        self.bearer(Some(self.token(name, roles, attributes)))
    }

    /// Who may do everything.
    pub(crate) fn admin(&self) -> Actor {
        self.actor("dev-admin", &["platform-admin"])
    }

    /// A caller with any text for a token, or with none.
    pub(crate) fn bearer(&self, token: Option<String>) -> Actor {
        let client = Client::builder().no_proxy().build().unwrap();
        Actor { client, api: self.endpoints().api.clone(), token }
    }
}

impl Actor {
    /// A request to a path of the API.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.api));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    /// Posts any text as JSON.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        send(self.request(Method::POST, path).header("content-type", "application/json").body(body)).await
    }

    /// Every record of a list, page after page.
    pub(crate) async fn walk(&self, path: &str) -> Vec<Value> {
        let mut records = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                None => self.get(path).await,
                Some(cursor) => self.get(&format!("{path}{join}cursor={cursor}")).await,
            };
            let page = page.expect(200).json();
            records.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["pagination"]["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return records,
            }
        }
    }
}

/// A text as it stands in a URL.
pub(crate) fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Sends a request and reads the answer.
pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    Reply { status, headers, text: answer.text().await.unwrap() }
}

impl Reply {
    /// Itself, when the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The problem's code, when the status is this one and the body is a problem.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> String {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:#?}");
        reply.json()["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The record or the records.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
