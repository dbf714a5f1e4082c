//! The Kubernetes API, where resources live.

mod kinds;

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

pub(crate) use kinds::{Kind, Kinds};

use crate::config::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::json::Json;

/// Rows as the API server prints them, objects for the rest.
pub(crate) const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const AS_JSON: &str = "application/json";

/// The Kubernetes API of a context.
pub(crate) struct Cluster {
    client: Client,
    verbose: bool,
}

/// An answer with its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body, with every digit and in the server's order.
    pub(crate) fn json(&self) -> Outcome<Json> {
        Json::parse(&self.text).map_err(|error| unreadable(&error))
    }

    /// The body, for looking things up.
    pub(crate) fn value(&self) -> Outcome<Value> {
        serde_json::from_str(&self.text).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::failed(format!("the Kubernetes API's answer cannot be read: {error}"))
}

impl Cluster {
    pub(crate) async fn of(context: &Context, verbose: bool) -> Outcome<Self> {
        // rustls wants one provider for the process. Another one being installed already is just as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let options =
            KubeConfigOptions { context: context.kube_context.clone(), ..KubeConfigOptions::default() };
        let (config, file) = match &context.kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path)
                    .map_err(|error| kubeconfig(&error, &path.display().to_string()))?;
                (kube::Config::from_custom_kubeconfig(read, &options).await, path.display().to_string())
            }
            None => (kube::Config::from_kubeconfig(&options).await, "kubectl's kubeconfig".to_owned()),
        };
        let config = config.map_err(|error| kubeconfig(&error, &file))?;
        let client = Client::try_from(config).map_err(|error| {
            Failure::failed(format!("no client for the Kubernetes API: {}", cause(&error)))
        })?;
        Ok(Self { client, verbose })
    }

    /// Reads what is at a path.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Answer> {
        self.call(Method::GET, path, AS_JSON, None).await
    }

    /// Reads what is at a path, as a table where the server makes one.
    pub(crate) async fn get_table(&self, path: &str) -> Outcome<Answer> {
        self.call(Method::GET, path, AS_TABLE, None).await
    }

    /// Reads what is at a path; nothing when it is not there.
    pub(crate) async fn find(&self, path: &str) -> Outcome<Option<Answer>> {
        match self.get(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.exit() == Some(Exit::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Server-side apply.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Outcome<Answer> {
        let body = ("application/apply-patch+yaml", object.to_string());
        self.call(Method::PATCH, path, AS_JSON, Some(body)).await
    }

    /// Changes what the body names.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Outcome<Answer> {
        let body = ("application/merge-patch+json", patch.to_string());
        self.call(Method::PATCH, path, AS_JSON, Some(body)).await
    }

    /// Creates what the body says.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Outcome<Answer> {
        self.call(Method::POST, path, AS_JSON, Some(("application/json", object.to_string()))).await
    }

    /// Puts the object in the place of the version that it names.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Outcome<Answer> {
        self.call(Method::PUT, path, AS_JSON, Some(("application/json", object.to_string()))).await
    }

    /// Deletes what is at a path.
    pub(crate) async fn delete(&self, path: &str) -> Outcome<Answer> {
        let body = r#"{"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"}"#;
        self.call(Method::DELETE, path, AS_JSON, Some(("application/json", body.to_owned()))).await
    }

    /// Deletes what is at a path while it is still exactly that version.
    pub(crate) async fn delete_version(&self, path: &str, version: &str) -> Outcome<Answer> {
        let body = serde_json::json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": { "resourceVersion": version },
        });
        self.call(Method::DELETE, path, AS_JSON, Some(("application/json", body.to_string()))).await
    }

    /// The events of a watch, a line each, as they come.
    pub(crate) async fn watch(&self, path: &str) -> Outcome<impl futures::AsyncBufRead + use<>> {
        let request = Request::get(path)
            .header("accept", AS_TABLE)
            .body(Vec::new())
            .map_err(|error| bad_path(&error))?;
        self.client.request_stream(request).await.map_err(|error| unreachable(&error))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Outcome<Answer> {
        let started = tokio::time::Instant::now();
        let mut request = Request::builder().method(method.clone()).uri(path).header("accept", accept);
        if let Some((media_type, _)) = &body {
            request = request.header("content-type", *media_type);
        }
        let body = body.map_or_else(Vec::new, |(_, text)| text.into_bytes());
        let request = request.body(body.into()).map_err(|error| bad_path(&error))?;
        let response = self.client.send(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        if self.verbose {
            eprintln!("{method} {path}: {status} in {} ms", started.elapsed().as_millis());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status < 400 { Ok(Answer { status, text }) } else { Err(refused(status, &text)) }
    }
}

fn bad_path(error: &http::Error) -> Failure {
    Failure::usage(format!("this names nothing that the Kubernetes API could have: {error}"))
}

fn kubeconfig(error: &kube::config::KubeconfigError, file: &str) -> Failure {
    Failure::usage(format!("{file}: {}", cause(error))).with_help(
        "resources need the Kubernetes API: `velocityd dev` brings one, or name a kubeconfig with `velocity context add`",
    )
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Exit::Unavailable, format!("the Kubernetes API cannot be reached: {}", cause(error)))
        .with_help("is it running? `velocity context current` shows which kubeconfig is used, `velocityd dev` starts a server")
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// What a `Status` with an error says, one cause a line.
fn refused(status: u16, text: &str) -> Failure {
    let exit = Exit::of_status(if status == 422 { 400 } else { status });
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return Failure::new(exit, format!("the Kubernetes API answered {status}"));
    };
    let causes: Vec<String> = body["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|cause| {
            let message = cause["message"].as_str()?;
            Some(
                cause["field"]
                    .as_str()
                    .map_or_else(|| message.to_owned(), |field| format!("{field}: {message}")),
            )
        })
        .collect();
    let message = body["message"].as_str().unwrap_or("refused without a reason");
    // With causes the message only repeats them in one long line.
    let message = match (causes.is_empty(), body["details"]["name"].as_str()) {
        (false, Some(name)) if status == 422 => {
            format!("{} `{name}` is invalid", body["details"]["kind"].as_str().unwrap_or("the resource"))
        }
        _ => message.to_owned(),
    };
    let failure = Failure::new(exit, message).with_details(causes);
    match status {
        401 | 403 => failure.with_help(
            "the kubeconfig's user needs rights on this resource; ask who administers the cluster",
        ),
        409 => failure.with_help("another manager owns these fields; --force-conflicts takes them over"),
        _ => failure,
    }
}
