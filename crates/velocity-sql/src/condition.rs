//! From a checked CEL filter to a SQL condition.
