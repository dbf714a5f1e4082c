//! From a change that is blocked to its approval, as a person does it.

use serde_json::json;

use crate::harness::{Domain, OPEN, Server};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
  - {name: shelf, type: string}
";

#[tokio::test]
async fn a_blocked_change_is_approved_with_the_command_that_it_names() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    let plain = format!("{BOOK}{OPEN}");
    let file = server.folder().join(format!("{}.yaml", domain.namespace()));
    let file = file.to_str().unwrap();
    let apply = async |spec: &str| {
        std::fs::write(file, domain.definition("book", spec).to_string()).unwrap();
        cli.run(&["apply", "-f", file, "--wait"]).await
    };
    apply(&plain).await.ok();
    let writer = server.actor("ravi", &["writer"]);
    let route = domain.route("book");
    writer.post(&route, &json!({"title": "a", "pages": 3, "shelf": "s"})).await.expect(201);
    let without_pages = plain.replace("  - {name: pages, type: integer}\n", "");
    let told = apply(&without_pages).await.failed(1);
    let command =
        told.split("velocity approve ").nth(1).unwrap_or_else(|| panic!("no command: {told}")).trim();
    assert!(told.contains("Blocked") && told.contains("breaking"), "{told}");
    let old: Vec<&str> = std::iter::once("approve").chain(command.split_whitespace()).collect();
    let page = cli.run(&["describe", "sd", "book", "-n", &domain.namespace()]).await.ok();
    assert!(page.contains(command), "{page}");
    writer.get(&format!("{route}?fields=pages")).await.expect(200);

    // Another plan meanwhile: what was agreed to is not what is there.
    let without_both = without_pages.replace("  - {name: shelf, type: string}\n", "");
    let told = apply(&without_both).await.failed(1);
    cli.run(&old).await.failed(5);
    let command = told.split("velocity approve ").nth(1).unwrap().trim();
    let words: Vec<&str> = std::iter::once("approve").chain(command.split_whitespace()).collect();
    let shown = cli.run(&words).await.ok();
    assert!(
        shown.contains("pages") && shown.contains("shelf") && shown.contains("approved: sha256:"),
        "{shown}"
    );

    apply(&without_both).await.ok();
    writer.get(&format!("{route}?fields=pages")).await.expect(400);
    let left = writer.get(&route).await.expect(200).data();
    assert_eq!(left[0]["title"], "a");
    let object = "schemadefinition/book";
    let nothing =
        cli.run(&["approve", object, "-n", &domain.namespace(), "--plan", "sha256:x"]).await.failed(1);
    assert!(nothing.contains("nothing is pending"), "{nothing}");
    // Looking again finds nothing to do.
    let looked = cli.run(&["reconcile", object, "-n", &domain.namespace()]).await.ok();
    assert!(looked.contains("Ready: served at"), "{looked}");
}
