use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_of_error_codes_is_the_table() {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap_or_default();
    assert_eq!(
        page,
        velocity_contract::code::as_markdown(),
        "run `cargo run -p velocity-contract --bin generate-error-docs`"
    );
}

#[cfg(feature = "crd")]
#[test]
fn the_committed_crds_are_those_of_the_types() {
    let folder = root().join("deploy/crds");
    let mut wanted: Vec<String> = Vec::new();
    for (file, crd) in velocity_contract::crd::all() {
        let committed = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(
            committed == velocity_contract::crd::to_yaml(&crd),
            "{file} has drifted: run `cargo run -p velocity-contract --features crd --bin generate-crds`"
        );
        wanted.push(file);
    }
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted, "a CRD that no type stands behind");
}
