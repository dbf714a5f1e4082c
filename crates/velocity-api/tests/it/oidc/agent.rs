//! What a browser does at the level of HTTP: cookies, redirects, forms. So that tests can stop it anywhere.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Url, redirect};
use serde_json::Value;

/// A browser of the test's own.
#[derive(Clone)]
pub(crate) struct Agent {
    http: Client,
    /// By name: all servers of a test are on one host.
    pub(crate) cookies: BTreeMap<String, String>,
}

/// An answer, its body read.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    pub(crate) fn location(&self) -> Option<Url> {
        self.headers.get(LOCATION).map(|to| self.url.join(to.to_str().unwrap()).unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// Where the page's form goes.
    fn form(&self) -> Url {
        let (_, rest) = self.body.split_once("action=\"").unwrap_or_else(|| panic!("no form: {self:?}"));
        self.url.join(rest.split('"').next().unwrap()).unwrap()
    }

    /// What a hidden field of the page says.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Agent {
    pub(crate) fn new() -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.send(Method::GET, url.as_ref(), |request| request).await
    }

    pub(crate) async fn form(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let fields = fields.to_vec();
        self.send(Method::POST, page.form().as_str(), |request| request.form(&fields)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.http.request(method, url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = with(request).send().await.unwrap();
        let page = Page {
            url: response.url().clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        };
        for cookie in page.set_cookies() {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }

    /// Follows redirects to the first page that is none, or until one leads to where `stop` says.
    pub(crate) async fn follow(&mut self, mut page: Page, stop: impl Fn(&Url) -> bool) -> Page {
        while let Some(to) = page.location().filter(|_| (300..400).contains(&page.status)) {
            if stop(&to) {
                break;
            }
            page = self.get(to).await;
        }
        page
    }

    /// Signs in at the provider until it sends the browser back; gives the address of the callback.
    pub(crate) async fn until_callback(&mut self, login: &str, user: &str) -> Url {
        let back = |url: &Url| url.path() == "/auth/callback";
        let start = self.get(login).await;
        let mut page = self.follow(start, back).await;
        for fields in
            [&[("prompt", "login"), ("login", user), ("password", "any")][..], &[("prompt", "consent")]]
        {
            // Whoever is known there already is not asked again.
            if page.status == 200 && page.body.contains(&format!("value=\"{}\"", fields[0].1)) {
                let answer = self.form(&page, fields).await;
                page = self.follow(answer, back).await;
            }
        }
        page.location().filter(back).unwrap_or_else(|| panic!("not sent back: {page:?}"))
    }

    /// Signs in; gives the answer of the callback.
    pub(crate) async fn sign_in(&mut self, base: &str, user: &str) -> Page {
        let callback = self.until_callback(&format!("{base}/auth/login"), user).await;
        let page = self.get(callback).await;
        assert_eq!(page.status, 303, "{page:?}");
        page
    }

    pub(crate) async fn whoami(&mut self, base: &str) -> Page {
        self.get(format!("{base}/auth/whoami")).await
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get("__Host-velocity_session")
    }
}
