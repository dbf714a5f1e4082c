//! The verbs that change something.

mod change;
mod create;
mod delete;
mod incoming;
mod patch;
mod update;

pub(super) use create::create;
pub(crate) use delete::{FOREGROUND, ORPHAN};
pub(super) use delete::{delete, delete_collection};
pub(super) use patch::patch;
pub(super) use update::update;

/// How often a change is tried anew when somebody else wrote first.
const RETRIES: usize = 100;
