//! `velocityd operator` on a real Kubernetes API, as it runs in production: everything else is done with kubectl.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use velocity_testkit::{PLATFORM, TestDatabase};

use crate::admission::{everything_is_refused, make_namespace};
use crate::harness::{project, velocityd};

const NAMESPACE: &str = "acme-supply-chain-procurement";

fn kubeconfig() -> String {
    std::env::var("VELOCITY_TEST_KUBECONFIG").unwrap()
}

/// Output, or the complaint, of a kubectl that succeeds or fails.
async fn kubectl(arguments: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new("kubectl");
    command.arg("--kubeconfig").arg(kubeconfig()).args(arguments).current_dir(project()).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A running operator; killed when dropped.
struct Operator(Child);

impl Operator {
    fn start(database: &TestDatabase) -> Self {
        let mut command = Command::new(velocityd());
        command
            .arg("operator")
            .env("KUBECONFIG", kubeconfig())
            .env("VELOCITY_DATABASE_URL", database.owner_url());
        Self(command.env("RUST_LOG", "warn").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn define() {
    kubectl(&["apply", "--server-side", "-f", "deploy/crds"]).await.unwrap();
    kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Kubernetes API: make test-kubernetes"]
async fn a_real_api_server_refuses_what_would_weaken_access() {
    define().await;
    let read = kube::config::Kubeconfig::read_from(kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(read, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    make_namespace(&client).await;
    // What was defined a moment ago may take another one to be served.
    while kubectl(&["get", "vrb,authstrat,sd", "-A"]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    everything_is_refused(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Kubernetes API: make test-kubernetes"]
async fn bindings_of_both_groups_are_told_apart() {
    define().await;
    let namespace = "told-apart";
    kubectl(&["create", "namespace", namespace]).await.unwrap();
    let of_kubernetes =
        ["create", "rolebinding", "theirs", "--clusterrole=view", "--user=ravi", "-n", namespace];
    kubectl(&of_kubernetes).await.unwrap();
    let ours = serde_json::json!({"apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": {"name": "ours", "namespace": namespace}, "spec": {"actor": "ravi", "roles": ["writer"]}});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ours.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let mut applied = kubectl(&["apply", "-f", path]).await;
    while applied.as_ref().is_err_and(|error| error.contains("ensure CRDs are installed first")) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        applied = kubectl(&["apply", "-f", path]).await;
    }
    applied.unwrap();
    let names = async |kind: &str| kubectl(&["get", kind, "-n", namespace, "-o", "name"]).await.unwrap();
    for kind in ["vrb", "rolebindings.velocity.sh"] {
        assert_eq!(names(kind).await.trim(), "rolebinding.velocity.sh/ours", "{kind}");
    }
    assert_eq!(
        names("rolebindings.rbac.authorization.k8s.io").await.trim(),
        "rolebinding.rbac.authorization.k8s.io/theirs"
    );
    kubectl(&["delete", "vrb", "ours", "-n", namespace]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Kubernetes API: make test-kubernetes"]
async fn what_kubectl_applies_to_a_real_cluster_the_operator_provisions() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    define().await;
    let operator = Operator::start(&database);
    kubectl(&["create", "namespace", NAMESPACE]).await.unwrap();
    // What was defined a moment ago may take another one to be served.
    let mut applied = kubectl(&["apply", "-f", "examples/procurement"]).await;
    while applied.as_ref().is_err_and(|error| error.contains("ensure CRDs are installed first")) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        applied = kubectl(&["apply", "-f", "examples/procurement"]).await;
    }
    applied.unwrap();
    let ready = ["wait", "--for=condition=Ready", "sd", "--all", "-n", NAMESPACE, "--timeout=90s"];
    kubectl(&ready).await.unwrap();
    let listed = kubectl(&["get", "schemadefinitions", "-n", NAMESPACE]).await.unwrap();
    assert!(listed.contains("PHASE") && listed.contains("Ready"), "{listed}");
    let described = kubectl(&["describe", "sd", "supplier", "-n", NAMESPACE]).await.unwrap();
    assert!(described.contains("create table"), "{described}");

    // The CRD's own schema and rules are those of this API server.
    let broken = r#"{"spec": {"fields": [{"name": "a", "type": "nonsense"}]}}"#;
    let refused = kubectl(&["patch", "sd", "supplier", "-n", NAMESPACE, "--type=merge", "-p", broken]).await;
    assert!(refused.as_ref().unwrap_err().contains("spec.fields[0].type: Unsupported value"), "{refused:?}");

    // A field more, and an operator that was away meanwhile.
    drop(operator);
    let more = r#"[{"op": "add", "path": "/spec/fields/-", "value": {"name": "website", "type": "string"}}]"#;
    kubectl(&["patch", "sd", "supplier", "-n", NAMESPACE, "--type=json", "-p", more]).await.unwrap();
    let _operator = Operator::start(&database);
    let seen = ["wait", "--for=jsonpath={.status.observedGeneration}=2", "sd/supplier", "-n", NAMESPACE];
    kubectl(&[&seen[..], &["--timeout=90s"]].concat()).await.unwrap();
    kubectl(&ready).await.unwrap();
    let column = "select count(*) from pg_attribute where attname = 'website'
                  and attrelid = 'acme__supply_chain__procurement.supplier_v1'::regclass";
    let found: i64 = database.owner().await.query_one(column, &[]).await.unwrap().get(0);
    assert_eq!(found, 1);

    // kubectl waits until the operator has let go.
    kubectl(&["delete", "-f", "examples/procurement", "--timeout=90s"]).await.unwrap();
    assert_eq!(kubectl(&["get", "sd", "-A", "-o", "name"]).await.unwrap(), "");
}
