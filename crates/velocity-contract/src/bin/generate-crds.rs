//! Writes `deploy/crds` from the types.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    std::fs::create_dir_all(&folder)?;
    for (file, crd) in velocity_contract::crd::all() {
        std::fs::write(folder.join(file), velocity_contract::crd::to_yaml(&crd))?;
    }
    Ok(())
}
