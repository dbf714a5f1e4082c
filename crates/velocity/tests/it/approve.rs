//! approve, reconcile, and what `apply --wait` and `describe` say of a plan that waits.

use std::io::{BufRead, Read};

use serde_json::{Value, json};

use crate::apply::{PATH, order, status};
use crate::fake_api::FakeApi;
use crate::harness::{Home, TestCluster, eventually};

struct Scene {
    _api: FakeApi,
    cluster: TestCluster,
    home: Home,
}

fn scene() -> Scene {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    home.run("apply -f order.yaml").ok();
    Scene { _api: api, cluster, home }
}

fn blocked(hash: &str, class: &str, reason: &str) -> Value {
    let mut blocked = status(1, "Blocked", "ChangeBlocked", "a column would go");
    blocked["planHash"] = json!(hash);
    blocked["conditions"].as_array_mut().unwrap().push(json!({ "type": "MigrationBlocked", "status": "True",
        "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z" }));
    blocked["pendingOperations"] = json!([{ "summary": "drop column note", "class": class, "lock": "ACCESS EXCLUSIVE",
        "sql": "alter table x drop column note", "reason": "its values go to the trash" }]);
    blocked
}

impl Scene {
    fn approval(&self) -> Value {
        self.cluster.get(PATH).unwrap()["metadata"]["annotations"]["velocity.sh/approve-breaking"].clone()
    }
}

#[test]
fn the_plan_that_is_named_is_approved_and_shown() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    let shown = scene.home.run("approve schemadefinition/order --plan sha256:plan").ok();
    assert!(shown.contains("drop column note  [breaking, lock: ACCESS EXCLUSIVE]"), "{shown}");
    assert!(shown.contains("alter table x drop column note") && shown.contains("to the trash"), "{shown}");
    assert!(shown.ends_with("schemadefinition.velocity.sh/order approved: sha256:plan\n"), "{shown}");
    assert_eq!(scene.approval(), "sha256:plan");
    let again = scene.home.run("approve sd order -n acme-shop-sales --plan sha256:plan").ok();
    assert!(again.contains("approved already"), "{again}");
    // The spec is not ours to touch.
    assert_eq!(scene.cluster.get(PATH).unwrap()["metadata"]["generation"], 1);
}

#[test]
fn another_plan_is_not_approved() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:new", "breaking", "ApprovalNeeded"));
    let run = scene.home.run("approve sd/order --plan sha256:old");
    assert_eq!(run.code, 5, "{}", run.all());
    assert!(run.stderr.contains("the plan is sha256:new now"), "{}", run.all());
    assert_eq!(scene.approval(), Value::Null);
}

#[test]
fn without_a_terminal_the_plan_has_to_be_named() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    let run = scene.home.run("approve sd/order");
    assert_eq!(run.code, 2, "{}", run.all());
    let command = "velocity approve schemadefinition/order -n acme-shop-sales --plan sha256:plan";
    assert!(run.stdout.contains("drop column note") && run.stderr.contains(command), "{}", run.all());
    assert_eq!(scene.approval(), Value::Null);
}

#[test]
fn what_no_approval_helps_is_not_approved() {
    let scene = scene();
    let mut ready = status(1, "Ready", "Provisioned", "served");
    ready["planHash"] = Value::Null;
    ready["pendingOperations"] = json!([]);
    let cases = [
        (blocked("sha256:p", "needsData", "DataDoesNotFit"), "waits for data"),
        (blocked("sha256:p", "breaking", "NotPossible"), "cannot be done in place"),
        (ready, "nothing is pending (it is Ready)"),
    ];
    for (status, why) in cases {
        scene.cluster.set_status(PATH, &status);
        let run = scene.home.run("approve sd/order --plan sha256:p");
        assert_eq!(run.code, 1, "{why}: {}", run.all());
        assert!(run.stderr.contains(why) && run.stderr.contains("help: "), "{}", run.all());
    }
    scene.home.write("order.yaml", order("    - { name: more, type: string }\n"));
    scene.home.run("apply -f order.yaml").ok();
    let run = scene.home.run("approve sd/order --plan sha256:p");
    assert_eq!(run.code, 6, "a status of an earlier spec is no plan: {}", run.all());
    assert_eq!(scene.home.run("approve sd/nope --plan x").code, 3);
    assert_eq!(scene.home.run("approve order --plan x").code, 2);
    assert_eq!(scene.home.run("approve namespace/acme-shop-sales --plan x").code, 2);
    assert_eq!(scene.approval(), Value::Null);
}

#[test]
fn a_change_that_is_breaking_and_lacks_data_can_be_approved_already() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:p", "breaking", "DataDoesNotFit"));
    let run = scene.home.run("approve sd/order --plan sha256:p");
    assert!(run.stderr.contains("also waits for data"), "{}", run.all());
    assert_eq!((run.code, scene.approval()), (0, json!("sha256:p")));
}

#[test]
fn waiting_for_a_blocked_change_ends_with_the_command_that_approves_it() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    let command = "velocity approve schemadefinition/order -n acme-shop-sales --plan sha256:plan";
    let run = scene.home.run("apply -f order.yaml --wait");
    assert_eq!(run.code, 1, "{}", run.all());
    for piece in [command, "alter table x drop column note", "lock: ACCESS EXCLUSIVE"] {
        assert!(run.stderr.contains(piece), "{piece}: {}", run.all());
    }
    assert!(scene.home.run("describe sd order").ok().contains(command));
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "needsData", "DataDoesNotFit"));
    let run = scene.home.run("apply -f order.yaml --wait");
    assert!(!run.all().contains("velocity approve"), "{}", run.all());
}

#[test]
fn what_was_approved_a_moment_ago_is_waited_for() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    scene.home.run("approve sd/order --plan sha256:plan").ok();
    let run = scene.home.run("apply -f order.yaml --wait --timeout 1s");
    assert!(run.code == 6 && run.stderr.contains("the operator has not begun yet"), "{}", run.all());
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "DataDoesNotFit"));
    assert_eq!(scene.home.run("apply -f order.yaml --wait").code, 1);
}

/// Lines that a command logs with `-v` until it has sent that request so often; the rest of its life is the caller's.
fn until_sent(stderr: &mut impl BufRead, request: &str, times: usize) -> usize {
    let sent = stderr.lines().map(Result::unwrap).filter(|line| line.starts_with(request));
    sent.take(times).count()
}

#[test]
fn being_blocked_is_no_end_while_the_approval_names_the_very_plan() {
    let scene = scene();
    scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    scene.home.run("approve sd/order --plan sha256:plan").ok();
    for command in ["apply -f order.yaml --wait -v", "reconcile sd order -v"] {
        let mut child = scene.home.start(command);
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        // It reads the object once and again: it has seen what is blocked, and has not ended.
        assert_eq!(until_sent(&mut stderr, &format!("GET {PATH}:"), 3), 3, "{command} ended");
        assert!(child.try_wait().unwrap().is_none(), "{command} did not wait for the operator");
        scene.cluster.set_status(PATH, &status(1, "Ready", "Provisioned", "served"));
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let run = crate::harness::Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{command}: {rest}");
        scene.cluster.set_status(PATH, &blocked("sha256:plan", "breaking", "ApprovalNeeded"));
    }
    // An approval of another plan helps nothing.
    scene.cluster.set_status(PATH, &blocked("sha256:other", "breaking", "ApprovalNeeded"));
    assert_eq!(scene.home.run("apply -f order.yaml --wait").code, 1);
}

#[test]
fn reconcile_asks_and_tells_what_became_of_it() {
    let scene = scene();
    scene.cluster.set_status(PATH, &status(1, "Provisioning", "WaitingForReference", "waits"));
    let child = scene.home.start("reconcile sd order");
    let asked = || {
        let object = scene.cluster.get(PATH).unwrap();
        object["metadata"]["annotations"]["velocity.sh/reconcile-at"].as_str().map(str::to_owned)
    };
    eventually("the request", || asked().is_some());
    scene.cluster.set_status(PATH, &status(1, "Ready", "Provisioned", "served at /api"));
    let run = crate::harness::Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.ok(), "schemadefinition.velocity.sh/order Ready: served at /api\n");
    let first = asked();
    scene.home.run("reconcile schemadefinition/order").ok();
    assert_ne!(asked(), first, "each time is another time");
    assert_eq!(scene.home.run("reconcile ns acme-shop-sales").code, 2);
}

#[test]
fn status_names_what_has_drifted() {
    let scene = scene();
    let mut drifted = status(1, "Ready", "Provisioned", "served");
    drifted["conditions"].as_array_mut().unwrap().push(json!({ "type": "Drifted", "status": "True",
        "reason": "ForeignObjects", "message": "there is an index of somebody", "lastTransitionTime": "2026-01-01T00:00:00Z" }));
    scene.cluster.set_status(PATH, &drifted);
    let page = scene.home.run("status").ok();
    assert!(
        page.contains("1 Ready") && page.contains("Drifted") && page.contains("an index of somebody"),
        "{page}"
    );
}

#[test]
fn all_namespaces_is_a_flag_and_contradicts_one() {
    let scene = scene();
    assert!(scene.home.run("get sd -A").ok().starts_with("NAMESPACE "));
    assert_eq!(scene.home.run("get sd -A -n acme-shop-sales").code, 2);
}
