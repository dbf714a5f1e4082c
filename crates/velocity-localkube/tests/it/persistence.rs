//! What survives.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use velocity_localkube::{LocalKube, OpenError, Options};

use crate::harness::{Server, Space, TOKEN, parcel, parcel_definition, start_at};

const HELPER: &str = "LOCALKUBE_HELPER_FILE";

/// Not a test: the process that the crash test kills. It serves until then.
#[test]
fn helper_serves_until_killed() {
    let Ok(file) = std::env::var(HELPER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kube = LocalKube::open(Path::new(&file), vec![parcel_definition()]).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("serving http://{}", listener.local_addr().unwrap());
        kube.serve(listener, Some(TOKEN.to_owned()), std::future::pending()).await.unwrap();
    });
}

fn helper(file: &Path) -> (Child, Server) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "persistence::helper_serves_until_killed", "--nocapture"])
        .env(HELPER, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test runner may have begun the line.
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("serving ").map(|(_, url)| url.to_owned()))
        .unwrap();
    (child, Server::at(url, TOKEN.to_owned()))
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kube.redb");
    let mut last = 0;
    let mut total = 0;
    for round in 0..3 {
        let (mut child, server) = helper(&file);
        if round == 0 {
            let name = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
            server.post("/api/v1/namespaces", &name).await.ok();
        }
        let space = Space { server: server.clone(), name: "n".to_owned() };
        let before = server.get(&space.parcels()).await.ok();
        assert_eq!(before["items"].as_array().unwrap().len() as u64, total, "round {round}");
        let revision: u64 = before["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(revision >= last, "versions go on");
        let acknowledged = Arc::new(AtomicU64::new(0));
        let highest = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (server, path) = (server.clone(), space.parcels());
                let (acknowledged, highest) = (Arc::clone(&acknowledged), Arc::clone(&highest));
                tokio::spawn(async move {
                    for number in 0.. {
                        let body = parcel(&format!("r{round}-w{writer}-{number}"));
                        let Ok(reply) = server.request(reqwest::Method::POST, &path).json(&body).send().await
                        else {
                            break;
                        };
                        let Ok(text) = reply.text().await else { break };
                        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
                        let revision =
                            object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                        highest.fetch_max(revision, Ordering::Relaxed);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while acknowledged.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        // A write may be on disk without its answer having arrived; never the other way round.
        let reopened = LocalKube::open(&file, vec![parcel_definition()]).unwrap();
        drop(reopened);
        let (mut child, server) = helper(&file);
        let after = server.get(&space_at(&server).parcels()).await.ok();
        let stored = after["items"].as_array().unwrap();
        let of_round = stored
            .iter()
            .filter(|item| item["metadata"]["name"].as_str().unwrap().starts_with(&format!("r{round}-")))
            .count() as u64;
        assert!(of_round >= acknowledged.load(Ordering::Relaxed), "round {round}");
        total = stored.len() as u64;
        last = after["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(last >= highest.load(Ordering::Relaxed));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn space_at(server: &Server) -> Space {
    Space { server: server.clone(), name: "n".to_owned() }
}

#[tokio::test]
async fn after_a_restart_older_versions_are_gone_and_the_last_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kube.redb");
    let first = start_at(file.clone(), vec![parcel_definition()], Options::default(), Some(TOKEN));
    let space = first.server.namespace().await;
    let old = space.create_parcel("a").await;
    let new = space.create_parcel("b").await;
    let name = space.name.clone();
    drop(first);
    let second = start_at(file, vec![parcel_definition()], Options::default(), Some(TOKEN));
    let space = Space { server: second.server.clone(), name };
    assert_eq!(space.server.get(&space.parcel("b")).await.ok(), new);
    let version =
        |object: &serde_json::Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let watch =
        |version: String| format!("{}?watch=1&timeoutSeconds=1&resourceVersion={version}", space.parcels());
    let told = space.server.get(&watch(version(&old))).await.body;
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)));
    let quiet = space.server.get(&watch(version(&new))).await;
    assert_eq!((quiet.code.as_u16(), quiet.body), (200, json!("")));
}

#[tokio::test]
async fn a_changed_definition_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kube.redb");
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let first = start_at(file.clone(), vec![parcel_definition()], Options::default(), Some(TOKEN));
    let space = first.server.namespace().await;
    space.create_parcel("a").await;
    let name = space.name.clone();
    drop(first);
    let mut changed = parcel_definition();
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["fresh"] =
        json!({"type": "string", "default": "new"});
    let second = start_at(file.clone(), vec![changed], Options::default(), Some(TOKEN));
    let space = Space { server: second.server.clone(), name };
    let list = second.server.get(path).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["metadata"]["generation"], 2);
    let object =
        space.server.patch(&space.parcel("a"), "merge", &json!({"spec": {"replicas": 2}})).await.ok();
    assert_eq!(object["spec"]["fresh"], "new");
    drop(second);
    let third = start_at(file, Vec::new(), Options::default(), Some(TOKEN));
    assert!(third.server.get(path).await.ok()["items"].as_array().unwrap().is_empty());
    assert_eq!(third.server.get("/apis/test.velocity.sh/v1/parcels").await.code, 404);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kube.redb");
    let mut broken = parcel_definition();
    broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "self.object ==="}]);
    let Err(error @ OpenError::Definition { .. }) = LocalKube::open(&file, vec![broken]) else {
        panic!("opened")
    };
    assert!(error.to_string().starts_with("CustomResourceDefinition parcels.test.velocity.sh: "), "{error}");
    let kube = LocalKube::open(&file, Vec::new()).unwrap();
    let Err(error @ OpenError::Store(_)) = LocalKube::open(&file, Vec::new()) else { panic!("opened twice") };
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    drop(kube);
    std::fs::write(folder.path().join("junk"), b"this is no database").unwrap();
    assert!(LocalKube::open(&folder.path().join("junk"), Vec::new()).is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn the_store_is_its_owners_alone_also_one_that_everybody_could_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kube.redb");
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    drop(LocalKube::open(&file, vec![parcel_definition()]).unwrap());
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(LocalKube::open(&file, vec![parcel_definition()]).unwrap());
    assert_eq!(mode(), 0o600);
}
