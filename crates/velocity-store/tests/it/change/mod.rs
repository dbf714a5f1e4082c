//! Schemas that change under a table with rows: planned, applied, and compared with a table that was made new.

mod any_change;
mod catalog;
mod drift;
mod fields;
mod hostile;
mod kills;
mod million;
mod references;
mod rules;
mod search;
mod tables;
mod types;
mod world;
