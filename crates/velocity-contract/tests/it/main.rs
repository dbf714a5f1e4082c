//! Generated files are committed and true; CRDs are what an API server takes.

mod drift;
#[cfg(feature = "crd")]
mod structural;
