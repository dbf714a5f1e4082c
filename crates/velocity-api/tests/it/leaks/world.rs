//! The two worlds, and who asks in them.

use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use velocity_api::Config;

use crate::app::{App, Client, Reply};

/// Persons. `doctor` sees everything; `clerk`, `west` and the rest see less.
pub(super) const PERSONS: &str = r#"
org: acme
app: clinic
domain: DOMAIN
object: person
version: v1
fields:
  - { name: id, type: string, pattern: '^P-[0-9]{2}$' }
  - { name: name, type: string, required: true, maxLength: 60, filterable: true, sortable: true }
  - { name: region, type: string, maxLength: 20, filterable: true, sortable: true }
  - { name: email, type: string, sensitivity: pii, filterable: true, sortable: true, unique: true }
  - { name: salary, type: number, precision: 12, scale: 2, filterable: true, sortable: true }
  - { name: iban, type: string, filterable: true, sortable: true }
  - { name: diagnosis, type: string, sensitivity: confidential, filterable: true, sortable: true }
  - { name: details, type: json, filterable: true }
  - { name: born, type: date, filterable: true, sortable: true }
  - { name: grade, type: enum, enum: [a, b, c], filterable: true, sortable: true }
  - { name: codes, type: array, items: string, maxItems: 5 }
access:
  roles:
    create: [clerk, doctor]
    read: [clerk, west, doctor]
    update: [clerk, west, doctor]
    delete: [clerk, doctor]
    restore: [clerk, doctor]
    history: [clerk, west, doctor]
    export: [clerk, west, doctor]
  rowFilter:
    - { role: west, condition: "record.region == actor.attributes.region" }
  abac:
    - operations: [read, history, export]
      condition: "record.region != 'moon' || 'astronaut' in actor.roles"
      message: the moon is for astronauts
  fieldAccess:
    - { field: email, read: [doctor], write: [doctor], masking: { strategy: partial, visibleChars: 3 } }
    - { field: salary, read: [doctor], write: [doctor], masking: { strategy: range, rangeSize: 1000 } }
    - { field: iban, read: [doctor], write: [doctor], masking: { strategy: redact } }
    - { field: diagnosis, read: [doctor], write: [doctor] }
    - { field: details, read: [doctor], write: [doctor] }
    - { field: born, read: [doctor], write: [doctor] }
    - { field: grade, read: [doctor], write: [doctor] }
    - { field: codes, read: [doctor], write: [doctor] }
search: { tier: TIER, fields: [name, diagnosis, iban] }
"#;

/// Fields that a restricted caller does not see in clear.
pub(super) const SECRET_FIELDS: [&str; 8] =
    ["email", "salary", "iban", "diagnosis", "details", "born", "grade", "codes"];

/// Texts that are in secrets only: none of them may come out, in any form of letters.
pub(super) const SECRET_WORDS: [&str; 6] = ["zebra", "walrus", "lemur", "bison", "1971-", "de89"];

/// What the two worlds differ in.
pub(super) struct Secrets {
    email: &'static str,
    salary: [&'static str; 2],
    iban: &'static str,
    diagnosis: [Option<&'static str>; 3],
    born: Option<&'static str>,
    grade: Option<&'static str>,
    details: Value,
    codes: Value,
    /// The name of the record on the moon.
    moon: &'static str,
    /// The name of records in the east, where it differs too.
    east: Option<&'static str>,
    /// Whether the second event of a record changes a hidden field too.
    changes_hidden: bool,
}

impl Secrets {
    pub(super) fn first() -> Self {
        Self {
            email: "zebra",
            salary: ["1200.50", "1900"],
            iban: "DE89370400440532013000",
            diagnosis: [Some("lemur fever"), Some("walrus cough"), None],
            born: Some("1971-02-03"),
            grade: Some("a"),
            details: json!({"ward": "bison", "bed": 7}),
            codes: json!(["walrus-1", "walrus-2"]),
            moon: "Zebra Far",
            east: None,
            changes_hidden: true,
        }
    }

    pub(super) fn second() -> Self {
        Self {
            email: "bison",
            salary: ["1999.99", "1000"],
            iban: "DE89lemur",
            diagnosis: [None, Some("zebra itch"), Some("bison flu")],
            born: None,
            grade: Some("c"),
            details: Value::Null,
            codes: json!([]),
            moon: "Walrus Far",
            east: None,
            changes_hidden: false,
        }
    }
}

impl Secrets {
    /// The same, with names in the east that only those differ in who see no east.
    pub(super) fn in_the_east(self, name: &'static str) -> Self {
        Self { east: Some(name), ..self }
    }
}

/// One of the two.
pub(super) struct World {
    pub(super) app: App,
}

/// Somebody who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) actor: &'static str,
    pub(super) roles: &'static [&'static str],
    pub(super) region: Option<&'static str>,
}

pub(super) const DOCTOR: Who = Who { actor: "dora", roles: &["doctor", "astronaut"], region: None };
/// Sees every row but the moon's, and no secret field.
pub(super) const CLERK: Who = Who { actor: "carl", roles: &["clerk"], region: None };
/// Sees the west only.
pub(super) const WEST: Who = Who { actor: "wilma", roles: &["west"], region: Some("west") };
/// Sees no row: the filter compares with what is not there.
pub(super) const LOST: Who = Who { actor: "lars", roles: &["west"], region: None };
/// May do nothing.
pub(super) const STRANGER: Who = Who { actor: "sam", roles: &["stranger"], region: None };

/// A request of a probe.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the schema's endpoint; absolute when it begins with `//`.
    pub(super) tail: String,
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) fn get(tail: impl Into<String>) -> Ask {
    Ask { method: Method::GET, tail: tail.into(), body: None, headers: Vec::new() }
}

pub(super) fn send(method: Method, tail: impl Into<String>, body: Value) -> Ask {
    Ask { method, tail: tail.into(), body: Some(body), headers: Vec::new() }
}

impl World {
    /// A world whose schema is [`PERSONS`] with this search tier.
    pub(super) async fn new(secrets: &Secrets, tier: u8, config: Config) -> Self {
        Self::of(&PERSONS.replace("TIER", &tier.to_string()), secrets, config).await
    }

    pub(super) async fn of(spec: &str, secrets: &Secrets, config: Config) -> Self {
        let world = Self { app: App::with(spec, config).await };
        world.fill(secrets).await;
        world
    }

    /// Twelve persons: in the west, in the east, and one on the moon; one is deleted.
    async fn fill(&self, secrets: &Secrets) {
        let doctor = self.client(DOCTOR);
        for n in 0..12_usize {
            let region = ["west", "east", "west"][n % 3];
            let (region, other) = match region {
                _ if n == 11 => ("moon", Some(secrets.moon)),
                "east" => ("east", secrets.east),
                region => (region, None),
            };
            let name = other.map_or_else(|| format!("Person {n}"), str::to_owned);
            let record = json!({
                "id": format!("P-{n:02}"), "name": name, "region": region,
                "email": format!("{}{n:02}@b.org", secrets.email), "salary": secrets.salary[n % 2],
                "iban": secrets.iban, "diagnosis": secrets.diagnosis[n % 3], "born": secrets.born,
                "grade": secrets.grade, "details": secrets.details, "codes": secrets.codes,
            });
            doctor.post("", &record).await.is(201);
        }
        let mut change = json!({"name": "Person 0 again"});
        if secrets.changes_hidden {
            change["diagnosis"] = json!("walrus rash");
        }
        doctor.patch("/P-00", &change).await.is(200);
        doctor.delete("/P-09").await.is(204);
    }

    pub(super) fn client(&self, who: Who) -> Client<'_> {
        let attributes = who.region.map_or(json!({}), |region| json!({"region": region}));
        self.app.as_actor(who.actor, who.roles, &attributes)
    }

    pub(super) async fn ask(&self, who: Who, ask: &Ask) -> Reply {
        let mut client = self.client(who).header("x-request-id", "probe");
        for (name, value) in &ask.headers {
            client = client.header(name, value);
        }
        client.send(ask.method.clone(), &ask.tail, ask.body.as_ref().map(Value::to_string)).await
    }

    /// The answer without what differs between any two runs: the domain's name, times, tags of specs, ids
    /// of requests and tokens, cursors.
    pub(super) fn plain(&self, reply: &Reply) -> String {
        let domain = self.app.schema.path().domain.to_string();
        let mut text = format!("{}\n", reply.status);
        let mut headers: Vec<String> = reply
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "content-length" | "idempotency-key"))
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        headers.sort();
        text.push_str(&headers.concat());
        text.push_str(&reply.body);
        for (pattern, with) in [
            (format!(r"\b{domain}\b"), "DOMAIN"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z".to_owned(), "TIME"),
            (r"sha256:[0-9a-f]{64}".to_owned(), "SPEC"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}".to_owned(), "UUID"),
            (r#""nextCursor":"[^"]*""#.to_owned(), r#""nextCursor":"CURSOR""#),
            (r"(?m)^(x-ratelimit-\w+|retry-after): \d+$".to_owned(), "$1: N"),
        ] {
            text = Regex::new(&pattern).unwrap().replace_all(&text, with).into_owned();
        }
        text
    }
}

/// Both worlds' answers to the same question, which must be one; what a restricted caller is shown holds no secret word.
pub(super) async fn same(worlds: &[World; 2], who: Who, ask: &Ask) -> Result<Reply, String> {
    let (first, second) = (worlds[0].ask(who, ask).await, worlds[1].ask(who, ask).await);
    let (a, b) = (worlds[0].plain(&first), worlds[1].plain(&second));
    if a != b {
        return Err(format!("{} tells the worlds apart by {ask:?}:\n{a}\n--- and\n{b}", who.actor));
    }
    if first.status >= 500 {
        return Err(format!("{} is answered {} to {ask:?}: {}", who.actor, first.status, first.body));
    }
    // What the caller wrote itself may come back.
    let asked = format!("{} {}", ask.tail, ask.body.as_ref().map(Value::to_string).unwrap_or_default());
    let said = first.body.to_lowercase();
    match SECRET_WORDS.iter().find(|word| said.contains(**word) && !asked.to_lowercase().contains(**word)) {
        Some(word) => Err(format!("{} learns {word} by {ask:?}: {}", who.actor, first.body)),
        None => Ok(first),
    }
}
