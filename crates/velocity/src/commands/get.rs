//! `velocity get`.

use futures::{AsyncBufReadExt, StreamExt};
use serde_json::Value;

use crate::cluster::{Cluster, Kind, Kinds};
use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::json::Json;
use crate::output::table::Table;
use crate::server::segment;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of resource: schemadefinitions (sd), authstrategies (authstrat), namespaces, …
    kind: String,
    /// Name of one; without it all are listed
    name: Option<String>,
    /// Only those with these labels: app=shop,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// In every namespace, which is also what happens without --namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Keep showing changes
    #[arg(short, long)]
    watch: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    if let (true, Some(namespace)) = (args.all_namespaces, session.namespace()) {
        return Err(Failure::usage(format!(
            "--all-namespaces and --namespace {namespace} contradict each other"
        )));
    }
    let cluster = session.cluster().await?;
    let kind = Kinds::of(&cluster).called(&args.kind).await?;
    let place = Place::of(session, &kind, args.name.as_deref(), args.selector.as_deref());
    if args.watch {
        return watch(session, &cluster, &place).await;
    }
    match &session.out.format {
        Some(format) if format.is_structured() => {
            let objects = place.objects(&cluster).await?;
            match (&args.name, objects.len()) {
                (Some(_), 1) => objects.into_iter().try_for_each(|object| session.out.value(&object)),
                _ => session.out.value(&list_of(objects)),
            }
        }
        Some(Format::Name) => {
            let objects = place.objects(&cluster).await?;
            objects.iter().try_for_each(|object| {
                session.out.line(&kind.display(object.text_at(&["metadata", "name"]).unwrap_or_default()))
            })
        }
        _ => {
            let answer = cluster.get_table(&place.path).await?.value()?;
            let rows = Rows::of(&answer);
            if rows.rows.is_empty() {
                return place.nothing(session);
            }
            session.out.table(&rows.table(session, place.all_namespaces))
        }
    }
}

/// A `List`, as kubectl prints several objects.
pub(super) fn list_of(objects: Vec<Json>) -> Json {
    let text = |text: &str| Json::String(text.to_owned());
    Json::Object(vec![
        ("apiVersion".into(), text("v1")),
        ("kind".into(), text("List")),
        ("items".into(), Json::Array(objects)),
    ])
}

/// Where to look: one namespace or all of them, one name or all of them.
pub(super) struct Place {
    kind: Kind,
    name: Option<String>,
    all_namespaces: bool,
    path: String,
}

impl Place {
    /// Without `-n` every namespace counts: a schema's namespace follows from its path, so nobody has a usual one.
    pub(super) fn of(session: &Session, kind: &Kind, name: Option<&str>, selector: Option<&str>) -> Self {
        let mut path = kind.collection(session.namespace());
        let mut parameters = Vec::new();
        parameters.extend(name.map(|name| format!("fieldSelector=metadata.name%3D{}", segment(name))));
        parameters.extend(selector.map(|selector| format!("labelSelector={}", segment(selector))));
        if !parameters.is_empty() {
            path = format!("{path}?{}", parameters.join("&"));
        }
        let all_namespaces = kind.namespaced && session.namespace().is_none();
        Self { kind: kind.clone(), name: name.map(str::to_owned), all_namespaces, path }
    }

    /// The objects. None with a name is an error; items of a list get their type back, which lists leave out.
    pub(super) async fn objects(&self, cluster: &Cluster) -> Outcome<Vec<Json>> {
        let list = cluster.get(&self.path).await?.json()?;
        let items = list.member("items").and_then(Json::as_array).unwrap_or_default();
        if let (Some(name), true) = (&self.name, items.is_empty()) {
            return Err(self.not_found(name));
        }
        Ok(items.iter().map(|item| self.typed(item)).collect())
    }

    fn typed(&self, item: &Json) -> Json {
        let Json::Object(members) = item else { return item.clone() };
        let own = members.iter().filter(|(key, _)| key != "apiVersion" && key != "kind").cloned();
        let typed = [
            ("apiVersion".to_owned(), Json::String(self.kind.api_version.clone())),
            ("kind".to_owned(), Json::String(self.kind.kind.clone())),
        ];
        Json::Object(typed.into_iter().chain(own).collect())
    }

    fn not_found(&self, name: &str) -> Failure {
        let place = if self.all_namespaces { " in any namespace" } else { "" };
        Failure::not_found(format!("{} not found{place}", self.kind.display(name)))
            .with_help(format!("`velocity get {}` lists those that there are", self.kind.plural))
    }

    fn nothing(&self, session: &Session) -> Outcome {
        if let Some(name) = &self.name {
            return Err(self.not_found(name));
        }
        session.out.note(&format!("there are no {}", self.kind.plural));
        Ok(())
    }
}

/// A `Table` of the API server.
struct Rows {
    columns: Vec<(String, bool)>,
    rows: Vec<(String, Vec<String>)>,
}

impl Rows {
    fn of(answer: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let columns = list(&answer["columnDefinitions"])
            .iter()
            .map(|column| (text(&column["name"]), column["priority"].as_i64().unwrap_or(0) > 0))
            .collect();
        let rows = list(&answer["rows"])
            .iter()
            .map(|row| {
                (
                    text(&row["object"]["metadata"]["namespace"]),
                    list(&row["cells"]).iter().map(text).collect(),
                )
            })
            .collect();
        Self { columns, rows }
    }

    fn table(&self, session: &Session, all_namespaces: bool) -> Table {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|column| session.out.is_wide() || !self.columns[*column].1)
            .collect();
        let namespace = all_namespaces.then(|| "NAMESPACE".to_owned());
        let header =
            namespace.into_iter().chain(shown.iter().map(|column| self.columns[*column].0.to_uppercase()));
        let mut table = Table::new(header);
        for (namespace, cells) in &self.rows {
            let namespace = all_namespaces.then(|| namespace.clone());
            let cells = shown.iter().map(|column| {
                let cell = cells.get(*column).map_or("", String::as_str);
                session.out.color.state(cell)
            });
            table.row(namespace.into_iter().chain(cells));
        }
        table
    }
}

/// Shows what there is, then each change, until the program is stopped.
async fn watch(session: &Session, cluster: &Cluster, place: &Place) -> Outcome {
    if session.out.is_structured() {
        return Err(Failure::usage("--watch shows tables; leave out --output"));
    }
    let now = cluster.get_table(&place.path).await?.value()?;
    let first = Rows::of(&now).table(session, place.all_namespaces);
    session.out.table(&first)?;
    let mut version = now["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    loop {
        let separator = if place.path.contains('?') { '&' } else { '?' };
        let path =
            format!("{}{separator}watch=true&allowWatchBookmarks=true&resourceVersion={version}", place.path);
        let mut lines = cluster.watch(&path).await?.lines();
        // A watch ends now and then; the next one goes on from where it was.
        while let Some(Ok(line)) = lines.next().await {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["type"] == "ERROR" {
                let message = event["object"]["message"].as_str().unwrap_or("the watch was ended");
                return Err(
                    Failure::failed(message.to_owned()).with_help("run it again to see the state of now")
                );
            }
            let seen = &event["object"]["rows"][0]["object"]["metadata"]["resourceVersion"];
            let seen = seen.as_str().or(event["object"]["metadata"]["resourceVersion"].as_str());
            seen.unwrap_or(&version).to_owned().clone_into(&mut version);
            if event["type"] != "BOOKMARK" {
                session.out.table(
                    &Rows::of(&event["object"])
                        .named_like(&now)
                        .table(session, place.all_namespaces)
                        .continue_from(&first),
                )?;
            }
        }
    }
}

impl Rows {
    /// Later tables of a watch come without columns.
    fn named_like(mut self, first: &Value) -> Self {
        if self.columns.is_empty() {
            self.columns = Self::of(first).columns;
        }
        self
    }
}
