use crate::harness::Home;

const BROKEN: &str = "apiVersion: velocity.sh/v1
kind: SchemaDefinition
metadata:
  name: order
  namespace: acme-shop-other
spec:
  org: acme
  app: shop
  domain: sales
  object: order
  version: v1
  fields:
    - name: id
      type: string
    - name: amount
      type: number
      precision: 4
      scale: 9
    - name: state
      type: enum
    - name: customer
      type: string
      ref: { object: customer, version: v1, field: nam }
---
apiVersion: velocity.sh/v1
kind: SchemaDefinition
metadata: { name: customer }
spec:
  org: acme
  app: shop
  domain: sales
  object: customer
  version: v1
  fields:
    - { name: name, type: string }
";

#[test]
fn every_violation_has_its_file_and_line() {
    let home = Home::new();
    home.write("schemas/broken.yaml", BROKEN);
    let run = home.run("validate -f schemas");
    insta::assert_snapshot!(run.all(), @"
    exit 1
    -- stdout
    schemas/broken.yaml:5: metadata.namespace: is `acme-shop-other`, but org, app and domain make it `acme-shop-sales`
    schemas/broken.yaml:18: spec.fields[1].scale: is larger than precision
    schemas/broken.yaml:19: spec.fields[2].enum: an enum lists its values
    -- stderr
    error: 3 violations
    ");
}

#[test]
fn references_across_files_are_checked() {
    let home = Home::new();
    let schemas: Vec<&str> = BROKEN.split("---\n").collect();
    let mended = schemas[0]
        .replace("acme-shop-other", "acme-shop-sales")
        .replace("scale: 9", "scale: 2")
        .replace("type: enum", "type: boolean");
    home.write("a.yaml", mended);
    home.write("b.yaml", schemas[1]);
    let run = home.run("validate -f a.yaml -f b.yaml");
    insta::assert_snapshot!(run.all(), @"
    exit 1
    -- stdout
    a.yaml:23: spec.fields[3].ref.field: acme/shop/sales/customer/v1 has no field `nam` (did you mean `name`?)
    -- stderr
    error: 1 violation
    ");
    assert_eq!(home.run("validate -f b.yaml").ok(), "1 resource is valid\n");
}

#[test]
fn on_github_violations_are_annotations() {
    let home = Home::new();
    home.write("broken.yaml", BROKEN);
    let run = home.run_with_env("validate -f broken.yaml", "GITHUB_ACTIONS", "true");
    assert_eq!(run.code, 1);
    assert!(
        run.stdout.lines().all(|line| line.starts_with("::error file=broken.yaml,line=")),
        "{}",
        run.stdout
    );
}

#[test]
fn programs_get_the_violations_as_json() {
    let home = Home::new();
    home.write("broken.yaml", BROKEN);
    home.write("no.yaml", "a: [\n");
    let run = home.run("validate -f broken.yaml -f no.yaml -o json");
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let violations = report["violations"].as_array().unwrap();
    assert!(
        violations
            .iter()
            .any(|v| v["path"] == "spec.fields[1].scale" && v["line"] == 18 && v["file"] == "broken.yaml")
    );
    assert!(violations.iter().any(|v| v["rule"] == "syntax" && v["file"] == "no.yaml"));
}

#[test]
fn strategies_are_checked_too_and_other_kinds_are_left_alone() {
    let home = Home::new();
    home.write("s.yaml", "apiVersion: velocity.sh/v1\nkind: AuthStrategy\nmetadata: {name: s, namespace: platform}\nspec:\n  type: jwt\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n");
    let run = home.run("validate -f s.yaml");
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(run.stdout.contains("s.yaml:4: spec") || run.stdout.contains("s.yaml:5: spec"), "{}", run.stdout);
    home.write(
        "deep.yaml",
        "apiVersion: velocity.sh/v1\nkind: AuthStrategy\nmetadata: {name: s, namespace: platform}\nspec:\n  type: jwt\n  jwt:\n    issuers:\n      - issuer: i\n        audience: a\n        algorithms: [none]\n",
    );
    let run = home.run("validate -f deep.yaml");
    assert!(
        run.stdout.starts_with("deep.yaml:10: spec.jwt.issuers[0].algorithms[0]: unknown variant `none`"),
        "{}",
        run.all()
    );
    home.write("typo.yaml", "apiVersion: velocity.sh/v1\nkind: SchemaDefintion\nmetadata: {name: s}\n");
    assert!(home.run("validate -f typo.yaml").stdout.contains("did you mean `SchemaDefinition`?"));
}

#[test]
fn a_role_binding_is_checked_as_the_server_would() {
    let home = Home::new();
    let binding = |namespace: &str, spec: &str| {
        format!(
            "apiVersion: velocity.sh/v1\nkind: RoleBinding\nmetadata: {{ name: ravi{namespace} }}\nspec: {spec}\n"
        )
    };
    let there = ", namespace: acme-shop-sales";
    home.write(
        "good.yaml",
        binding(there, "{ actor: ravi, roles: [writer], expiresAt: '2027-01-01T00:00:00Z' }"),
    );
    home.run("validate -f good.yaml").ok();
    for (namespace, spec, why) in [
        ("", "{ actor: ravi, roles: [writer] }", "metadata.namespace"),
        (there, "{ actor: '*', roles: [writer] }", "spec.actor"),
        (there, "{ actor: ravi, roles: [platform-admin] }", "spec.roles"),
        (there, "{ actor: ravi }", "gives nothing"),
        (there, "{ actor: ravi, roles: [writer], expiresAt: soon }", "spec.expiresAt"),
        (there, "{ actor: ravi, roles: [writer], expires: soon }", "unknown field `expires`"),
        (
            there,
            "{ actor: ravi, roles: [writer], scopes: [{ object: order, operations: [reed] }] }",
            "spec.scopes[0].operations",
        ),
    ] {
        home.write("bad.yaml", binding(namespace, spec));
        let run = home.run("validate -f bad.yaml");
        assert_eq!(run.code, 1, "{spec}: {}", run.all());
        assert!(run.all().contains(why), "{spec}: {}", run.all());
    }
}
