use crate::fake_api::FakeApi;
use crate::harness::Home;

#[test]
fn contexts_are_added_used_listed_and_removed() {
    let home = Home::new();
    home.run("context add dev --server http://127.0.0.1:1 --token s3cret").ok();
    home.run("context add prod --server https://v.example.com --kubeconfig k --use").ok();
    insta::assert_snapshot!(home.steady(&home.run("context list").ok()), @r"
    CURRENT   NAME   SERVER                  KUBECONFIG
              dev    http://127.0.0.1:1
    *         prod   https://v.example.com   HOME/k
    ");
    home.run("context use dev").ok();
    assert_eq!(home.run("context current -o name").ok(), "dev\n");
    home.run("context remove dev").ok();
    assert_eq!(home.run("context list -o name").ok(), "prod\n");
    assert_eq!(home.run("context use dev").code, 3);
}

#[test]
fn a_token_is_never_shown() {
    let home = Home::new();
    home.run("context add dev --server http://127.0.0.1:1 --token s3cret").ok();
    for line in [
        "context list -o json",
        "context list -o yaml",
        "context current -o json",
        "context list",
        "-v status",
    ] {
        let run = home.run(line);
        assert!(!run.all().contains("s3cret"), "{}", run.all());
    }
}

#[test]
fn the_first_config_that_exists_counts() {
    let home = Home::new();
    let config = |name: &str| {
        format!("currentContext: {name}\ncontexts: [{{name: {name}, server: 'http://{name}'}}]\n")
    };
    let current = |line: &str| home.run(line).ok().trim().to_owned();
    home.write(".velocity/config.yaml", config("here"));
    assert_eq!(current("context current -o name"), "here");
    let other = home.write("other.yaml", config("variable"));
    let run = home.run_with_env("context current -o name", "VELOCITY_CONFIG", other.to_str().unwrap());
    assert_eq!(run.ok().trim(), "variable");
    home.write("named.yaml", config("named"));
    assert_eq!(current("context current -o name --config named.yaml"), "named");
}

#[test]
fn without_a_context_the_error_says_how_to_get_one() {
    let home = Home::new();
    insta::assert_snapshot!(home.steady(&home.run("record list order").all()), @"
    exit 2
    -- stdout
    -- stderr
    error: no context is set in HOME/.velocity/config.yaml
    help: `velocityd dev` writes one for a laptop; `velocity context add NAME --server URL --use` sets one by hand
    ");
}

#[test]
fn a_server_that_is_not_there_is_6_with_the_way_out() {
    let home = Home::new();
    // tcpmux, where nothing listens; a port that the system gives may be another test's by now.
    home.run("context add dev --server http://127.0.0.1:1").ok();
    let run = home.run("record list order");
    assert_eq!(run.code, 6, "{}", run.all());
    assert!(
        run.stderr.contains("cannot be reached") && run.stderr.contains("velocityd dev"),
        "{}",
        run.all()
    );
}

#[test]
fn health_follows_the_probes() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can("GET /healthz", 200, serde_json::json!({ "status": "ok" }));
    api.can(
        "GET /readyz",
        503,
        serde_json::json!({ "status": "waiting", "missing": ["schemas", "database"] }),
    );
    let run = home.run("health");
    assert_eq!(run.code, 6);
    assert!(run.stdout.contains("waiting for: schemas, database"), "{}", run.all());
    api.can("GET /readyz", 200, serde_json::json!({ "status": "ready" }));
    assert_eq!(home.run("health").code, 0);
}
