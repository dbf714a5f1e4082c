//! The architecture as a test: which crate may use which, and what each must never see.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, the crates of ours that it may use, and the outside crates that it must never use.
const RULES: [(&str, &[&str], &[&str]); 13] = [
    ("velocity-schema", &[], &["tokio", "axum", "kube", "tokio-postgres", "reqwest", "hyper"]),
    (
        "velocity-contract",
        &["velocity-schema"],
        &["tokio", "axum", "kube", "kube-client", "tokio-postgres", "reqwest"],
    ),
    ("velocity-sql", &["velocity-schema"], &["tokio", "axum", "kube", "tokio-postgres", "reqwest"]),
    ("velocity-store", &["velocity-schema", "velocity-sql"], &["axum", "kube", "reqwest"]),
    (
        "velocity-access",
        &["velocity-schema", "velocity-contract"],
        &["tokio-postgres", "postgres-protocol", "kube", "axum"],
    ),
    (
        "velocity-api",
        &["velocity-schema", "velocity-contract", "velocity-sql", "velocity-store", "velocity-access"],
        &["tokio-postgres", "postgres-protocol"],
    ),
    (
        "velocity-operator",
        &["velocity-schema", "velocity-contract", "velocity-sql", "velocity-store", "velocity-access"],
        &["axum"],
    ),
    ("velocity-localkube", &["velocity-contract"], &["tokio-postgres", "kube"]),
    ("velocity-localpg", &[], &["axum", "kube", "tokio-postgres"]),
    ("velocity-testkit", ANY, &[]),
    ("velocityd", ANY, &[]),
    (
        "velocity",
        &["velocity-schema", "velocity-contract", "velocity-access", "velocity-sql"],
        &["tokio-postgres", "postgres-protocol", "axum"],
    ),
    ("velocity-bench", ANY, &[]),
];

/// Everything may be used.
const ANY: &[&str] = &["*"];

/// The normal dependencies of each crate of the workspace, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap();
            let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn crates_use_each_other_in_one_direction_only() {
    let crates = dependencies();
    let ours: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for (name, uses) in &crates {
        let Some((_, may, never)) = RULES.iter().find(|(rule, _, _)| rule == name) else {
            wrong.push(format!("{name} has no rule; add one here and to ARCHITECTURE.md"));
            continue;
        };
        for used in uses {
            if ours.contains(used.as_str()) && *may != ANY && !may.contains(&used.as_str()) {
                wrong.push(format!("{name} may not use {used}"));
            }
            if never.contains(&used.as_str()) {
                wrong.push(format!("{name} must never see {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_is_in_the_workspaces_table() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates");
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path().join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let pinned = line.contains("version = \"") && line.contains("= {");
            assert!(
                !pinned,
                "{}: `{line}` names a version; put it into the workspace's table with a reason",
                path.display()
            );
        }
    }
}

/// Whether the layers of access can be taken away in a crate, built with these kinds of dependencies.
fn layers_are_removable(package: &str, edges: &str) -> bool {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-i", "velocity-access", "-e", edges])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.starts_with("velocity-access "), "{package}: {tree}");
    tree.contains("removable-layers")
}

#[test]
fn no_binary_can_have_a_layer_of_access_taken_away() {
    assert!(layers_are_removable("velocity-api", "normal,dev,features"), "its tests take them away");
    for package in ["velocityd", "velocity", "velocity-api", "velocity-operator"] {
        assert!(!layers_are_removable(package, "normal,build,features"), "{package}");
    }
}
