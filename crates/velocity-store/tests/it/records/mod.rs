//! Records against real tables, as the API's login.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bulk;
mod history;
mod lists;
mod once;
mod policies;
mod search;
mod shapes;
mod singles;
mod views;
mod world;
