//! The schema language: names, fields, values, validated schemas, expressions.
