//! A private Postgres for one process: development and tests.
