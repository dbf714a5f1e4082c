//! What a person sees once everything serves.

use std::io::{self, Write};

use super::endpoints::Endpoints;
use super::folder::Folder;

/// Prints the banner, in one write: who reads along sees all of it or nothing.
pub(crate) fn print(folder: &Folder, endpoints: &Endpoints, database: &str) {
    let dir = folder.path().display();
    let text = format!(
        "Velocity is ready.

  API         {api}
  Kubernetes  {kubernetes}   kubectl --kubeconfig {dir}/kubeconfig
  Metrics     {metrics}/metrics
  Data        {dir} ({database})
  CLI config  {dir}/config.yaml

Try:
  velocity apply -f examples/procurement --wait
  velocity record create supplier --set id=S-1 --set name='First supplier'
  velocity record list supplier

Ctrl-C stops everything; the data stays.
",
        api = endpoints.api,
        kubernetes = endpoints.kubernetes,
        metrics = endpoints.metrics,
    );
    // Nobody to read it is no reason to stop.
    let _ = io::stdout().write_all(text.as_bytes());
}
