//! Clients that never stop, and look closely at each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::steps::{FILTERED, STEPS, amounts_are_decimal, fields};
use crate::harness::{Actor, Cluster, PATIENCE, Reply};

/// Clients that write and read in turn; two more only read, or use the old name.
const WRITERS: usize = 6;
/// Between two requests of a client: about 500 a second of all, where the machine can.
const PAUSE: Duration = Duration::from_millis(8);
/// After so many answers that the name is gone, the old client uses the new one.
const STUBBORN: usize = 1;

/// Which specs an answer may show.
pub(crate) struct Shapes {
    fields: Vec<BTreeSet<String>>,
    /// The step that is served for sure, and the last one that may be.
    over: AtomicUsize,
    begun: AtomicUsize,
}

impl Shapes {
    fn new() -> Self {
        let fields = (0..STEPS.len()).map(fields).collect();
        Self { fields, over: AtomicUsize::new(0), begun: AtomicUsize::new(0) }
    }

    pub(crate) fn begin(&self, step: usize) {
        self.begun.store(step, Ordering::SeqCst);
    }

    pub(crate) fn end(&self, step: usize) {
        self.over.store(step, Ordering::SeqCst);
    }

    fn over(&self) -> usize {
        self.over.load(Ordering::SeqCst)
    }

    /// All records of an answer are of one and the same spec, which was served at some time since `first`.
    fn check(&self, records: &[Value], first: usize, what: &str) {
        let possible = first..=self.begun.load(Ordering::SeqCst);
        let fits = |step: usize| {
            records.iter().all(|record| {
                let members = record.as_object().unwrap();
                members.keys().collect::<BTreeSet<_>>() == self.fields[step].iter().collect()
                    && (members["amount"].is_null()
                        || members["amount"].is_f64() == amounts_are_decimal(step))
            })
        };
        assert!(possible.clone().any(fits), "{what}: of none of the specs {possible:?}: {records:?}");
    }
}

struct Shared {
    shapes: Arc<Shapes>,
    writer: Actor,
    regional: Actor,
    route: String,
    depot: String,
    seeds: Vec<String>,
    stop: AtomicBool,
    answered: AtomicUsize,
    /// The version of each record that was made, as it was acknowledged last.
    acknowledged: Mutex<BTreeMap<String, i64>>,
}

/// The clients.
pub(crate) struct Load {
    pub(crate) shapes: Arc<Shapes>,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster, route: &str, depot: &str, seeds: Vec<String>) -> Self {
        let shapes = Arc::new(Shapes::new());
        let shared = Arc::new(Shared {
            shapes: Arc::clone(&shapes),
            writer: cluster.actor("ravi", &["writer"]),
            regional: cluster.actor("mia", &["regional"]),
            route: route.to_owned(),
            depot: depot.to_owned(),
            seeds,
            stop: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            acknowledged: Mutex::default(),
        });
        let mut clients: Vec<_> = (0..WRITERS)
            .map(|number| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.write(number).await })
            })
            .collect();
        let (reads, stubborn) = (Arc::clone(&shared), Arc::clone(&shared));
        clients.push(tokio::spawn(async move { reads.read().await }));
        clients.push(tokio::spawn(async move { stubborn.use_the_old_name().await }));
        Self { shapes, shared, clients }
    }

    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits for more answers, or for a client that has failed.
    pub(crate) async fn some_more(&self) {
        let (before, deadline) = (self.answered(), tokio::time::Instant::now() + PATIENCE);
        while self.answered() < before + 100 && !self.clients.iter().any(JoinHandle::is_finished) {
            assert!(tokio::time::Instant::now() < deadline, "the clients stand still");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The codes of the records that were made, with their versions.
    pub(crate) async fn stop(self) -> BTreeMap<String, i64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        std::mem::take(&mut self.shared.acknowledged.lock().unwrap())
    }
}

impl Shared {
    fn runs(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// An answer that was expected, and a short pause.
    async fn good(&self, reply: Reply, status: u16, what: &str) -> Reply {
        assert_eq!(reply.status, status, "{what}: {reply:#?}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
        reply
    }

    fn made(&self, record: &Value) {
        let code = record["code"].as_str().unwrap().to_owned();
        self.acknowledged.lock().unwrap().insert(code, record["version"].as_i64().unwrap());
    }

    /// What is right in every spec.
    fn body(&self, code: &str) -> Value {
        json!({"code": code, "amount": 7, "price": 1.25, "status": "new", "region": "west", "note": "n", "grade": "C",
            "depot": self.depot})
    }

    async fn write(&self, client: usize) {
        let mut round = 0;
        while self.runs() {
            round += 1;
            self.round(client, round).await;
        }
    }

    async fn round(&self, client: usize, round: usize) {
        let (writer, route) = (&self.writer, &self.route);
        let seed = &self.seeds[(client * 31 + round) % self.seeds.len()];
        let first = self.shapes.over();
        let check = |records: &[Value], what: &str| self.shapes.check(records, first, what);
        let code = |tail: &str| format!("load-{client}-{round}-{tail}");

        let reply = self.good(writer.get(&format!("{route}/{seed}")).await, 200, "read").await;
        check(&[reply.data()], "read");
        let reply = self.good(writer.post(route, &self.body(&code("a"))).await, 201, "create").await;
        check(&[reply.data()], "create");
        self.made(&reply.data());
        let own = format!("{route}/{}", reply.data()["id"].as_str().unwrap());
        let list = format!("{route}?filter[amount][gte]=7&filter[region]=west&sort=-amount,code&limit=20");
        let reply = self.good(writer.get(&list).await, 200, "list").await;
        check(reply.data().as_array().unwrap(), "list");
        let reply =
            self.good(writer.patch(&own, &json!({"amount": 8, "status": "sent"})).await, 200, "patch").await;
        check(&[reply.data()], "patch");
        self.made(&reply.data());
        if round.is_multiple_of(5) {
            let operations: Vec<Value> =
                ["b", "c", "d"].iter().map(|tail| json!({"create": self.body(&code(tail))})).collect();
            let bulk = json!({"operations": operations});
            self.good(writer.post(&format!("{route}/bulk"), &bulk).await, 200, "bulk").await;
            let mut all = self.acknowledged.lock().unwrap();
            all.extend(["b", "c", "d"].iter().map(|tail| (code(tail), 1)));
        }
        for path in [&own, &format!("{route}/{seed}")] {
            let reply = self.good(writer.get(&format!("{path}/history")).await, 200, "history").await;
            let events: Vec<Value> =
                reply.data().as_array().unwrap().iter().map(|event| event["after"].clone()).collect();
            for event in &events {
                self.shapes.check_names(event, first);
            }
        }
    }

    /// Sees every row before the filter, and only its own after it.
    async fn read(&self) {
        while self.runs() {
            let first = self.shapes.over();
            let list = format!("{}?limit=50&sort=code", self.route);
            let reply = self.good(self.regional.get(&list).await, 200, "list of a region").await;
            let records = reply.data().as_array().unwrap().clone();
            self.shapes.check(&records, first, "list of a region");
            assert!(!records.is_empty());
            if first >= FILTERED {
                assert!(records.iter().all(|record| record["region"] == "west"), "{records:?}");
            }
        }
    }

    /// A client that nobody told of the new name: it is refused, and then uses that.
    async fn use_the_old_name(&self) {
        let (mut name, mut refused) = ("shelf", 0);
        let mut round = 0;
        while self.runs() {
            round += 1;
            let mut body = self.body(&format!("load-old-{round}"));
            body[name] = json!("s");
            let reply = self.writer.post(&self.route, &body).await;
            if reply.status == 400 && name == "shelf" {
                assert!(reply.text.contains("shelf"), "{reply:#?}");
                refused += 1;
                if refused == STUBBORN {
                    name = "place";
                }
                continue;
            }
            let record = self.good(reply, 201, "the old name").await.data();
            assert_eq!(record.get("shelf").or_else(|| record.get("place")), Some(&json!("s")), "{record}");
            self.made(&record);
        }
        assert!(refused > 0, "it was never told that the name is gone");
    }
}

impl Shapes {
    /// An event shows no field that its spec does not have. What it said of others may be missing.
    fn check_names(&self, event: &Value, first: usize) {
        let possible = first..=self.begun.load(Ordering::SeqCst);
        let names = event.as_object().unwrap();
        let fits = |step: usize| names.keys().all(|name| self.fields[step].contains(name));
        assert!(possible.clone().any(fits), "history: of none of the specs {possible:?}: {event}");
    }
}
