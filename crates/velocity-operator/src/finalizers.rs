//! The finalizer, which keeps a deleted object until its claim is released. As kube's own helper does it, but a new object is
//! worked on at once, not when its finalizer comes back with the watch.

use std::sync::Arc;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use crate::context::MANAGER;

/// Its name.
pub(crate) const FINALIZER: &str = "velocity.sh/operator";

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

fn all(object: &DynamicObject) -> &[String] {
    object.metadata.finalizers.as_deref().unwrap_or_default()
}

/// Those of others.
pub(crate) fn others(object: &DynamicObject) -> impl Iterator<Item = &String> {
    all(object).iter().filter(|finalizer| *finalizer != FINALIZER)
}

/// Whether the object carries it.
pub(crate) fn is_on(object: &DynamicObject) -> bool {
    all(object).iter().any(|finalizer| finalizer == FINALIZER)
}

/// The object with the finalizer, which nothing may be made for without.
pub(crate) async fn put_on(
    api: &Api<DynamicObject>,
    object: Arc<DynamicObject>,
) -> Result<Arc<DynamicObject>, kube::Error> {
    if is_on(&object) {
        return Ok(object);
    }
    let finalizers: Vec<&str> = all(&object).iter().map(String::as_str).chain([FINALIZER]).collect();
    patch(api, &object, &finalizers).await.map(Arc::new)
}

/// Takes it off: the object may go.
pub(crate) async fn take_off(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<(), kube::Error> {
    let others: Vec<&str> = others(object).map(String::as_str).collect();
    patch(api, object, &others).await.map(drop)
}

/// With the version that the list was made from: nobody else's finalizer gets lost or comes back.
async fn patch(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    finalizers: &[&str],
) -> Result<DynamicObject, kube::Error> {
    let metadata = json!({ "resourceVersion": object.metadata.resource_version, "finalizers": finalizers });
    let name = object.metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &params(), &Patch::Merge(&json!({ "metadata": metadata }))).await
}
