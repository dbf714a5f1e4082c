//! Who manages which fields, and server-side apply: the structured merge of Kubernetes.

mod check;
mod managed;
mod path;
mod set;
mod typed;
mod update;

pub(crate) use managed::same_but_for_times;
pub(crate) use set::Set;
pub(crate) use update::{ApplyError, FieldManager};
