//! The operator: from SchemaDefinitions to Postgres.
