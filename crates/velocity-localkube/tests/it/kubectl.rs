//! kubectl itself.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::harness::{Server, Space, eventually, server};

const MANIFEST: &str = "apiVersion: test.velocity.sh/v1
kind: Parcel
metadata:
  name: a
spec:
  object: order
  version: v1
  fields:
    - {name: id, type: string}
";

struct Kubectl {
    folder: tempfile::TempDir,
    namespace: String,
}

/// `None`, and a loud reason, where there is no kubectl.
async fn kubectl() -> Option<(Kubectl, Space)> {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("\nSKIPPED: kubectl is not installed, so nothing about kubectl was tested\n");
        return None;
    }
    let space = server().namespace().await;
    Some((Kubectl::new(&space.server, &space.name), space))
}

impl Kubectl {
    fn new(server: &Server, namespace: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), server.kubeconfig()).unwrap();
        Self { folder, namespace: namespace.to_owned() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.folder.path().join("kubeconfig"))
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .args(["-n", &self.namespace])
            .args(line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn output(&self, line: &str, input: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || {
            stdin.write_all(input.as_bytes()).unwrap();
            drop(stdin);
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap()
    }

    /// What a successful call prints.
    async fn run(&self, line: &str) -> String {
        self.feed(line, "").await
    }

    async fn feed(&self, line: &str, input: &str) -> String {
        let output = self.output(line, input).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "kubectl {line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// What a failing call complains.
    async fn fail(&self, line: &str, input: &str) -> String {
        let output = self.output(line, input).await;
        assert!(!output.status.success(), "kubectl {line} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test]
async fn kubectl_creates_shows_and_deletes() {
    let Some((kubectl, _)) = kubectl().await else { return };
    assert_eq!(kubectl.feed("create -f -", MANIFEST).await, "parcel.test.velocity.sh/a created\n");
    let columns = kubectl.run("get pcl").await;
    let lines: Vec<Vec<&str>> = columns.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "OBJECT", "READY", "AGE"]);
    assert_eq!(lines[1][..2], ["a", "order"]);
    assert!(kubectl.run("get parcel a -o wide").await.starts_with("NAME   OBJECT   VERSION   READY   AGE"));
    assert_eq!(kubectl.run("get velocity -o name").await, "parcel.test.velocity.sh/a\n");
    assert!(kubectl.run("get pcl a -o yaml").await.contains("replicas: 1"));
    assert_eq!(kubectl.run("get pcl -o jsonpath={.items[*].spec.object}").await, "order");
    assert!(kubectl.run("describe pcl a").await.contains("Kind:         Parcel"));
    assert!(kubectl.run("delete pcl a").await.contains("\"a\" deleted"));
    assert!(
        kubectl
            .fail("get pcl a", "")
            .await
            .contains("Error from server (NotFound): parcels.test.velocity.sh \"a\" not found")
    );
    assert!(kubectl.fail("create -f -", &MANIFEST.replace("type: string", "type: strng")).await.starts_with(
        "The Parcel \"a\" is invalid: \n* spec.fields[0].type: Unsupported value: \"strng\": supported values: \
         \"string\", \"integer\", \"number\"\n"
    ));
}

#[tokio::test]
async fn kubectl_applies_in_both_ways() {
    let Some((kubectl, _)) = kubectl().await else { return };
    assert_eq!(kubectl.feed("apply -f -", MANIFEST).await, "parcel.test.velocity.sh/a created\n");
    let changed = MANIFEST.replace("object: order", "object: changed");
    assert_eq!(kubectl.feed("apply -f -", &changed).await, "parcel.test.velocity.sh/a configured\n");
    kubectl.feed("diff -f -", &changed).await;
    assert_eq!(
        kubectl.feed("apply --server-side -f -", &changed).await,
        "parcel.test.velocity.sh/a serverside-applied\n"
    );
    let annotation = kubectl.run("get pcl a -o jsonpath={.metadata.annotations}").await;
    assert!(annotation.contains("last-applied-configuration"), "{annotation}");
    let refused = kubectl.fail("apply --server-side --field-manager=other -f -", MANIFEST).await;
    assert!(
        refused.contains("Apply failed with 1 conflict: conflict with \"kubectl\": .spec.object"),
        "{refused}"
    );
    kubectl.feed("apply --server-side --field-manager=other --force-conflicts -f -", MANIFEST).await;
    let bogus = MANIFEST.replace("  object:", "  bogus: 1\n  object:");
    let refused = kubectl.fail("apply -f -", &bogus).await;
    assert!(refused.contains("strict decoding error: unknown field \"spec.bogus\""), "{refused}");
    let map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, finalizers: [x.io/a]}\ndata: {a: b, c: d}\n";
    kubectl.feed("apply -f -", map).await;
    assert_eq!(kubectl.feed("apply -f -", map).await, "configmap/c unchanged\n");
    assert_eq!(kubectl.feed("apply -f -", &map.replace(", c: d", "")).await, "configmap/c configured\n");
    assert_eq!(kubectl.run("get cm c -o jsonpath={.data}").await, "{\"a\":\"b\"}");
}

#[tokio::test]
async fn kubectl_labels_annotates_patches_and_waits() {
    let Some((kubectl, _)) = kubectl().await else { return };
    kubectl.feed("create -f -", MANIFEST).await;
    kubectl.run("label pcl a x=y").await;
    kubectl.run("annotate pcl a note=hello").await;
    assert_eq!(kubectl.run("get pcl -l x=y -o name").await, "parcel.test.velocity.sh/a\n");
    kubectl.run("patch pcl a --type=merge -p {\"spec\":{\"replicas\":4}}").await;
    kubectl
        .run("patch pcl a --type=json -p [{\"op\":\"add\",\"path\":\"/spec/paused\",\"value\":true}]")
        .await;
    assert_eq!(kubectl.run("get pcl a -o jsonpath={.spec.replicas}{.spec.paused}").await, "4true");
    let mut waiting = kubectl.command("wait --for=condition=Ready pcl/a --timeout=30s").spawn().unwrap();
    kubectl
        .run("patch pcl a --subresource=status --type=merge -p {\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}")
        .await;
    assert!(tokio::task::spawn_blocking(move || waiting.wait().unwrap()).await.unwrap().success());
    kubectl.run("patch pcl a --type=merge -p {\"metadata\":{\"finalizers\":[\"x.io/f\"]}}").await;
    kubectl.run("delete pcl a --wait=false").await;
    let mut waiting = kubectl.command("wait --for=delete pcl/a --timeout=30s").spawn().unwrap();
    kubectl.run("patch pcl a --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]").await;
    assert!(tokio::task::spawn_blocking(move || waiting.wait().unwrap()).await.unwrap().success());
}

#[tokio::test]
async fn kubectl_makes_built_in_objects() {
    let Some((kubectl, space)) = kubectl().await else { return };
    kubectl.run("create secret generic s --from-literal=a=b").await;
    kubectl.run("create configmap c --from-literal=k=v").await;
    let other = format!("{}-x", space.name);
    kubectl.run(&format!("create namespace {other}")).await;
    let secrets = kubectl.run("get secrets").await;
    let row: Vec<&str> = secrets.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["s", "Opaque", "1"]);
    assert_eq!(kubectl.run("get secret s -o jsonpath={.data.a}").await, "Yg==");
    assert!(kubectl.run("describe secret s").await.contains("a:  1 bytes"));
    assert!(kubectl.run(&format!("describe namespace {other}")).await.contains("Status:       Active"));
    kubectl.run(&format!("delete namespace {other} --wait=false")).await;
    kubectl.run("delete secrets,configmaps --all").await;
    eventually("everything is deleted", || async {
        kubectl.run("get secrets").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn kubectl_explains_and_discovers() {
    let Some((kubectl, _)) = kubectl().await else { return };
    let explained = kubectl.run("explain pcl.spec.fields").await;
    assert!(
        explained.contains("FIELD: fields <[]Object>") && explained.contains("enum: string, integer, number"),
        "{explained}"
    );
    assert!(kubectl.run("explain secret.stringData").await.contains("FIELD: stringData <map[string]string>"));
    let resources = kubectl.run("api-resources").await;
    let row = resources.lines().find(|line| line.starts_with("parcels")).unwrap();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row, ["parcels", "pcl", "test.velocity.sh/v1", "true", "Parcel"]);
    assert!(kubectl.run("api-versions").await.contains("test.velocity.sh/v1\n"));
    assert!(kubectl.run("get crd").await.contains("parcels.test.velocity.sh"));
    kubectl.run("wait --for=condition=Established crd/parcels.test.velocity.sh --timeout=5s").await;
    assert_eq!(kubectl.run("get --raw /readyz").await, "ok");
}

#[tokio::test]
async fn kubectl_watches() {
    use std::io::{BufRead, BufReader};
    let Some((kubectl, _)) = kubectl().await else { return };
    kubectl.feed("create -f -", MANIFEST).await;
    let mut child = kubectl.command("get pcl -w").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut first = |count: usize| (0..count).map(|_| lines.next().unwrap().unwrap()).collect::<Vec<_>>();
    assert!(first(2)[1].starts_with("a "));
    kubectl.feed("create -f -", &MANIFEST.replace("name: a", "name: b")).await;
    assert!(first(1)[0].starts_with("b "));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn kubectl_shows_events_of_an_object() {
    let Some((kubectl, space)) = kubectl().await else { return };
    kubectl.feed("create -f -", MANIFEST).await;
    let uid = kubectl.run("get pcl a -o jsonpath={.metadata.uid}").await;
    let event = format!(
        "apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {{name: e}}\neventTime: \"2026-01-02T03:04:05.000000Z\"\n\
         action: Provision\nreason: Provisioned\nnote: the table was made\ntype: Normal\nreportingController: it\n\
         reportingInstance: it-1\nregarding: {{apiVersion: test.velocity.sh/v1, kind: Parcel, name: a, namespace: \
         {}, uid: {uid}}}\n",
        space.name
    );
    kubectl.feed("create -f -", &event).await;
    assert!(kubectl.run("describe pcl a").await.contains("the table was made"));
    assert!(kubectl.run("events").await.contains("the table was made"));
    let listed = kubectl.run("get events").await;
    let header: Vec<&str> = listed.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    assert!(listed.contains("Provisioned   parcel/a"), "{listed}");
}
