//! Records against real tables, as the API's login.

mod bulk;
mod history;
mod lists;
mod once;
mod singles;
mod world;
