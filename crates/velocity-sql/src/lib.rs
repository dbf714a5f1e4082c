//! SQL as values: identifiers, fragments with binds, query plans, DDL with lock classes.
