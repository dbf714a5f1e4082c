//! Chromium without a window, driven by ChromeDriver over the WebDriver protocol (W3C).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a page may take. Generous: it bounds a test that fails and nothing else.
const PATIENCE: Duration = Duration::from_mins(1);
/// The name of an element in answers, as the standard fixes it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own, closed with this value.
pub(crate) struct Browser {
    port: u16,
    session: String,
    http: reqwest::Client,
    driver: Child,
}

fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run make test-oidc"))
}

impl Browser {
    pub(crate) async fn open() -> Self {
        let mut driver = Command::new(program("VELOCITY_CHROMEDRIVER"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|_| panic!("chromedriver cannot be started: run make test-oidc"));
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("chromedriver ended"));
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = reqwest::Client::builder().timeout(PATIENCE * 2).no_proxy().build().unwrap();
        let mut browser = Self { port, session: String::new(), http, driver };
        let made = browser.ask(Method::POST, "session", capabilities()).await;
        made["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        self.try_to(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_to(&self, method: Method, path: &str, body: Value) -> Result<Value, Value> {
        let mut request = self.http.request(method.clone(), format!("http://127.0.0.1:{}/{path}", self.port));
        if method == Method::POST {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let good = response.status().is_success();
        let value = response.json::<Value>().await.unwrap()["value"].take();
        if good { Ok(value) } else { Err(value) }
    }

    async fn in_session(&self, method: Method, path: &str, body: Value) -> Value {
        self.ask(method, &format!("session/{}/{path}", self.session), body).await
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.in_session(Method::POST, "url", json!({ "url": url })).await;
    }

    pub(crate) async fn url(&self) -> String {
        self.in_session(Method::GET, "url", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Waits until the address is one that begins like this.
    pub(crate) async fn arrives_at(&self, begin: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let url = self.url().await;
            if url.starts_with(begin) {
                return;
            }
            assert!(Instant::now() < until, "still at {url}: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The element, once it is there.
    async fn find(&self, css: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let path = format!("session/{}/element", self.session);
            let found =
                self.try_to(Method::POST, &path, json!({ "using": "css selector", "value": css })).await;
            if let Ok(found) = found {
                return found[ELEMENT].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "no {css} at {}: {}", self.url().await, self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.in_session(Method::POST, &format!("element/{element}/click"), json!({})).await;
    }

    pub(crate) async fn write(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.in_session(Method::POST, &format!("element/{element}/value"), json!({ "text": text })).await;
    }

    /// What the page shows.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.body ? document.body.innerText : ''", json!([]))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str, args: Value) -> Value {
        self.in_session(Method::POST, "execute/sync", json!({ "script": script, "args": args })).await
    }

    /// Runs the body of an async function in the page and gives what it returns; what it throws, as `{"threw": …}`.
    pub(crate) async fn run_async(&self, script: &str, args: Value) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);
             (async (...args) => {{ {script} }})(...args).then(done, (e) => done({{ threw: String(e) }}));"
        );
        self.in_session(Method::POST, "execute/async", json!({ "script": script, "args": args })).await
    }

    /// The cookies of the page's address, as the browser keeps them.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        self.in_session(Method::GET, "cookie", Value::Null).await.as_array().unwrap().clone()
    }

    /// Signs in at the provider's pages, by keyboard and mouse.
    pub(crate) async fn sign_in_at_provider(&self, user: &str) {
        self.write("input[name=login]", user).await;
        self.write("input[name=password]", "any").await;
        self.click("button[type=submit]").await;
        // The page of consent has no field for a name.
        self.find("form:not(:has(input[name=login])) button[type=submit]").await;
        self.click("button[type=submit]").await;
    }
}

fn capabilities() -> Value {
    let mut args = vec![
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // The provider's pages ask for fonts of the internet.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ];
    // Its sandbox refuses root, who runs tests in containers.
    if std::env::var("VELOCITY_CHROMIUM_NO_SANDBOX").is_ok() {
        args.push("--no-sandbox");
    }
    let options = json!({ "binary": program("VELOCITY_CHROMIUM"), "args": args });
    json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": options } } })
}

impl Drop for Browser {
    /// Has the driver close the browser, which a killed driver would leave behind.
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let (session, port) = (&self.session, self.port);
            let _ = write!(
                stream,
                "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.read(&mut [0; 16]);
        }
        let _ = self.driver.start_kill();
    }
}
