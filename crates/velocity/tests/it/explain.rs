//! explain.

use crate::harness::Home;

#[test]
fn kinds_and_fields_are_explained_without_any_server() {
    let home = Home::new();
    let kinds = home.run("explain").ok();
    assert!(kinds.contains("SchemaDefinition") && kinds.contains("schemadef"), "{kinds}");
    insta::assert_snapshot!(home.run("explain sd.spec.fields.precision").ok());
    insta::assert_snapshot!(home.run("explain SchemaDefinition.spec.fields.ref").ok());
    let fields = home.run("explain schemadefinitions.spec").ok();
    assert!(fields.contains("fields <[]object>, required") && fields.contains("search <object>"), "{fields}");
    let status = home.run("explain sd.status.phase").ok();
    assert!(status.contains("Provisioning, Ready, Blocked, Failed, Terminating"), "{status}");
    let all = home.run("explain authstrat --recursive").ok();
    assert!(all.contains("jwksUrl <string>"), "{all}");
}

#[test]
fn what_is_not_there_names_what_is_near() {
    let home = Home::new();
    for (line, near) in [
        ("explain sd.spec.feilds", "did you mean `fields`?"),
        ("explain schemadefinitio", "did you mean `schemadefinition`?"),
    ] {
        let run = home.run(line);
        assert_eq!(run.code, 2, "{}", run.all());
        assert!(run.stderr.contains(near), "{}", run.all());
    }
    let run = home.run("explain sd.spec.org.deeper");
    assert!(run.code == 2 && run.stderr.contains("spec.org has no field `deeper`"), "{}", run.all());
}
