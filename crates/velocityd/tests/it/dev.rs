//! `velocityd dev` as a process: what it says, what it leaves, and how it comes and goes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Domain, Launch, OPEN, Ran, Scratch, Server, count, eventually, send, untampered};

const NOTE: &str = "
fields:
  - {name: text, type: string, required: true, filterable: true}
";

fn note() -> String {
    format!("{NOTE}{OPEN}")
}

fn runs(pid: Pid) -> bool {
    // A process that has ended and is not reaped yet is still there to be signalled, but its status says `Z`.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What is printed once everything serves, which is a moment later than `endpoints.json`.
async fn banner(server: &Server) -> String {
    eventually("the banner", async || Some(server.stdout()).filter(|out| out.contains("Ctrl-C"))).await
}

#[tokio::test]
async fn it_says_where_everything_is_and_a_signal_stops_all_of_it() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start().await;
        let endpoints = server.endpoints().clone();
        let data = server.data();
        let banner = banner(&server).await;
        for part in [
            &endpoints.api,
            &endpoints.kubernetes,
            &endpoints.metrics,
            &data.join("config.yaml").display().to_string(),
            &"velocity apply -f examples/procurement --wait".to_owned(),
        ] {
            assert!(banner.contains(part.as_str()), "{part} is not in: {banner}");
        }
        for secret in ["config.yaml", "dev-key.pem", "endpoints.json", "kubeconfig", "kubernetes-token"] {
            assert_eq!(mode(&data.join(secret)), 0o600, "{secret}");
        }
        assert_eq!(endpoints.api.find("http://127.0.0.1:"), Some(0));
        let ready = server.admin().get("/readyz").await;
        assert_eq!(ready.status, 200);
        let metrics = reqwest::get(format!("{}/metrics", endpoints.metrics)).await.unwrap();
        assert!(metrics.status().is_success());
        assert_eq!(count(&server.sql().await, "select count(*) from platform.schemas").await, 0);
        let postgres = server.postgres_pid();
        assert!(runs(postgres));

        let status = server.stop(signal).await;

        assert!(status.success(), "{status}: {}", server.stderr());
        assert!(!data.join("endpoints.json").exists());
        assert!(!runs(postgres), "Postgres still runs");
        assert!(!runs(Pid::from_raw(endpoints.pid.cast_signed())));
        assert!(reqwest::get(&endpoints.api).await.unwrap_err().is_connect());
        assert!(!server.stderr().contains("ERROR"), "{}", server.stderr());
    }
}

#[tokio::test]
async fn the_commands_of_the_banner_work_as_they_stand() {
    let server = Server::start().await;
    let banner = banner(&server).await;
    let commands: Vec<&str> =
        banner.lines().filter_map(|line| line.trim().strip_prefix("velocity ")).collect();
    assert_eq!(commands.len(), 3, "{banner}");
    let cli = server.cli();
    for command in commands {
        let arguments = split(command);
        let ran = cli.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(ran.code, 0, "velocity {command}: {ran:#?}");
    }
}

/// Splits a command line as a shell does, single quotes included.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[tokio::test]
async fn the_configuration_logs_in_as_the_administrator() {
    let server = Server::shared().await;
    let who = server.cli().run(&["auth", "whoami", "-o", "json"]).await.json();
    assert_eq!(who["actor"], "dev-admin", "{who}");
    assert_eq!(who["roles"], json!(["platform-admin"]));
    let current = server.cli().run(&["context", "current", "-o", "json"]).await.json();
    assert_eq!(current["name"], "dev", "{current}");
    assert_eq!(current["server"], server.endpoints().api);
}

#[tokio::test]
async fn a_second_start_on_the_same_folder_is_refused_and_hurts_nothing() {
    let server = Server::shared().await;
    let second = Ran::of(Launch::default().command(&server.data()).output().unwrap());
    let said = second.failed(1);
    assert!(said.contains("another velocityd runs on"), "{said}");
    assert!(server.data().join("endpoints.json").exists());
    assert_eq!(server.admin().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Scratch::new();
    for (option, what) in [
        ("--listen", "the API"),
        ("--kubernetes-listen", "the Kubernetes API"),
        ("--metrics-listen", "metrics"),
    ] {
        let mut command = std::process::Command::new(crate::harness::velocityd());
        command.arg("dev").arg("--data-dir").arg(folder.path().join("data"));
        if option != "--listen" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let said = Ran::of(command.args([option, &address]).output().unwrap()).failed(1);
        assert!(
            said.contains(what) && said.contains(&address) && said.contains("port 0"),
            "{option}: {said}"
        );
    }
    assert!(!folder.path().join("data/postgres").exists(), "nothing was started for it");
}

#[tokio::test]
async fn after_a_kill_everything_is_there_again() {
    let mut server = Server::start().await;
    let token = server.token("ravi", &["writer"], &json!({}));
    let (route, table, id) = {
        let domain = Domain::new(&server);
        domain.apply("note", &note()).await;
        let created =
            server.bearer(Some(token.clone())).post(&domain.route("note"), &json!({"text": "kept"})).await;
        let id = created.expect(201).data()["id"].as_str().unwrap().to_owned();
        (domain.route("note"), domain.table("note"), id)
    };
    let body = json!({"text": "once"});
    let keyed = async |server: &Server| {
        let ravi = server.bearer(Some(token.clone()));
        send(ravi.request(Method::POST, &route).header("idempotency-key", "k").json(&body)).await.expect(201)
    };
    let first = keyed(&server).await;
    let before = server.endpoints().clone();
    let postgres = server.postgres_pid();

    server.kill().await;
    eventually("Postgres to end with its owner", async || (!runs(postgres)).then_some(())).await;
    assert!(server.data().join("config.yaml").exists());
    server.start_again().await;

    assert_ne!(server.endpoints().pid, before.pid);
    let again = keyed(&server).await;
    assert_eq!((again.header("idempotent-replay"), &again.text), (Some("true"), &first.text));
    let ravi = server.bearer(Some(token));
    let record = ravi.get(&format!("{route}/{id}")).await.expect(200);
    assert_eq!(record.data()["text"], "kept");
    ravi.patch(&format!("{route}/{id}"), &json!({"text": "changed"})).await.expect(200);
    let history = ravi.get(&format!("{route}/{id}/history")).await.expect(200).data();
    let operations: Vec<&str> =
        history.as_array().unwrap().iter().map(|event| event["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["UPDATE", "CREATE"]);
    assert_eq!(untampered(&server.sql().await, &table).await, (2, 3));
    let who = server.cli().run(&["auth", "whoami", "-o", "json"]).await.json();
    assert_eq!(who["actor"], "dev-admin");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_the_start_leaves_a_folder_that_starts() {
    let mut server = Server::start().await;
    server.kill().await;
    for wait in [0_u64, 40, 120, 400] {
        server.begin();
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        server.signal(Signal::SIGKILL);
        // It may have been ready already; either way the next start finds what is left.
        server.forget().await;
    }
    server.start_again().await;
    assert_eq!(server.admin().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_private_postgres_that_is_killed_comes_back() {
    let server = Server::start().await;
    let domain = Domain::new(&server);
    domain.apply("note", &note()).await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&domain.route("note"), &json!({"text": "before"})).await.expect(201);

    kill(server.postgres_pid(), Signal::SIGKILL).unwrap();

    let route = domain.route("note");
    eventually("Postgres to serve again", async || {
        let reply = writer.get(&route).await;
        assert!(matches!(reply.status, 200 | 503), "{reply:#?}");
        (reply.status == 200).then_some(())
    })
    .await;
    assert_eq!(writer.get(&route).await.data()[0]["text"], "before");
}

#[tokio::test]
async fn the_data_folder_may_have_any_name() {
    for name in ["with space & 'quotes' \"", "ünï 漢字 % ? #", &"long/".repeat(40)] {
        let launch = Launch { data: Some(name.to_owned()), ..Launch::default() };
        let mut server = Server::start_as(launch).await;
        let domain = Domain::new(&server);
        domain.apply("note", &note()).await;
        let schema = domain.schema("note");
        server.cli().run(&["record", "create", &schema, "--set", "text=x"]).await.ok();
        assert_eq!(
            count(&server.sql().await, &format!("select count(*) from {}", domain.table("note"))).await,
            1
        );
        assert!(server.stop(Signal::SIGTERM).await.success());
    }
}

#[tokio::test]
async fn watches_and_idle_connections_hold_up_no_stop() {
    let mut server = Server::start().await;
    let admin = server.admin();
    // Kept alive by its client.
    assert_eq!(admin.get("/readyz").await.status, 200);
    let path = "/apis/velocity.sh/v1/schemadefinitions?watch=true";
    let mut watch = server.kubernetes(Method::GET, path).send().await.unwrap();
    assert!(watch.status().is_success());
    let address = server.endpoints().api.strip_prefix("http://").unwrap().to_owned();
    let mut half = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut half, b"GET /readyz HTTP/1.1\r\nhost: x\r\nx-half").unwrap();

    let status = server.stop(Signal::SIGTERM).await;

    assert!(status.success(), "{status}: {}", server.stderr());
    while let Ok(Some(_)) = watch.chunk().await {}
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

#[tokio::test]
async fn a_postgres_that_is_given_is_used_and_left_alone() {
    let host = Server::start().await;
    host.sql().await.batch_execute("create database given").await.unwrap();
    let url = host.endpoints().postgres.replace("/velocity?", "/given?");
    assert_ne!(url, host.endpoints().postgres);
    let mut server = Server::start_as(Launch { database_url: Some(url.clone()), ..Launch::default() }).await;
    assert_eq!(server.endpoints().postgres, url);
    assert!(!server.data().join("postgres").exists());
    let banner = banner(&server).await;
    assert!(banner.contains("the given Postgres"), "{banner}");
    let (route, table) = {
        let domain = Domain::new(&server);
        domain.apply("note", &note()).await;
        (domain.route("note"), domain.table("note"))
    };
    server.actor("ravi", &["writer"]).post(&route, &json!({"text": "x"})).await.expect(201);

    assert!(server.stop(Signal::SIGTERM).await.success());

    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(untampered(&client, &table).await, (1, 1));
    let login =
        client.query_one("select rolpassword is not null from pg_authid where rolname = 'velocity_api'", &[]);
    assert!(login.await.unwrap().get::<_, bool>(0), "the API's login has a password of its own");
    server.start_again().await;
    assert_eq!(server.actor("ravi", &["writer"]).walk(&route).await.len(), 1);
    assert_eq!(host.admin().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_ordinary_user_can_run_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOTE: these tests do not run as root, so every server here runs as an ordinary user");
        return;
    }
    let server = Server::start_as(Launch { user: Some("nobody"), ..Launch::default() }).await;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    let process = fs::metadata(format!("/proc/{}", server.endpoints().pid)).unwrap();
    assert_eq!(process.uid(), nobody);
    let postgres = fs::metadata(format!("/proc/{}", server.postgres_pid())).unwrap();
    assert_eq!(postgres.uid(), nobody);
    let domain = Domain::new(&server);
    domain.apply("note", &note()).await;
    server.actor("ravi", &["writer"]).post(&domain.route("note"), &json!({"text": "x"})).await.expect(201);
    server.cli().run(&["record", "list", &domain.schema("note")]).await.ok();
}

#[tokio::test]
async fn as_root_postgres_runs_as_somebody_else_and_nobody_else_reaches_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can show what root does");
        return;
    }
    let server = Server::shared().await;
    let postgres = fs::metadata(format!("/proc/{}", server.postgres_pid())).unwrap();
    assert_ne!(postgres.uid(), 0);
    let socket = server.data().join("postgres/socket");
    let stranger = std::process::Command::new("setpriv")
        .args(["--reuid=nobody", "--clear-groups", "ls"])
        .arg(&socket)
        .output()
        .unwrap();
    assert!(!stranger.status.success() || postgres.uid() == 65534, "{stranger:?}");
}
