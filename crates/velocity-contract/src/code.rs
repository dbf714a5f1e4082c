//! The one table of error codes: what a client may branch on, with its status and its page.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the page of each code is.
const PAGES: &str = "https://velocity.sh/errors/";

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $title:literal $help:literal;)*) => {
        /// What went wrong, as a client may branch on it. The texts never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $help] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The text that a body carries.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// A few words that never vary.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and the way out.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    AuthRequired "AUTH_REQUIRED" 401 "Authentication required"
        "The request carries no credential. Send `Authorization: Bearer <token>`.";
    AuthInvalidToken "AUTH_INVALID_TOKEN" 401 "Invalid credential"
        "The credential is malformed, expired, revoked, or not from an issuer that this schema trusts. Get a new one.";
    RbacDenied "RBAC_DENIED" 403 "Not allowed for your roles"
        "None of the caller's roles may do this operation on this schema; see `access.roles`.";
    AbacDenied "ABAC_DENIED" 403 "Not allowed here and now"
        "A condition on the actor, the request or the record does not hold; the detail says which.";
    FieldForbidden "FIELD_FORBIDDEN" 403 "Field not allowed"
        "The request names or sends a field that the caller may not use.";
    CrossSchemaAccessDenied "CROSS_SCHEMA_ACCESS_DENIED" 403 "Other schema not allowed"
        "The request reaches into a schema that the caller may not read.";
    SchemaNotFound "SCHEMA_NOT_FOUND" 404 "No such schema"
        "No schema is served at this path. Check organisation, application, domain, object and version.";
    EntityNotFound "ENTITY_NOT_FOUND" 404 "No such record"
        "No record has this id, or the caller's row filters hide it.";
    RouteNotFound "ROUTE_NOT_FOUND" 404 "No such route"
        "The address is none of the API's; see `/api/openapi.json`.";
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 "Method not allowed"
        "The route exists, but not with this method; `Allow` lists those that it takes.";
    NotAcceptable "NOT_ACCEPTABLE" 406 "No such representation"
        "`Accept` asks for a format that this route does not make.";
    ValidationError "VALIDATION_ERROR" 400 "Invalid record"
        "Values break the schema's rules. `errors` lists every one of them with its field.";
    MalformedRequest "MALFORMED_REQUEST" 400 "Malformed request"
        "The request cannot be read: broken JSON, an unknown parameter, a value of the wrong type.";
    FieldNotFilterable "FIELD_NOT_FILTERABLE" 400 "Field not filterable or sortable"
        "A condition needs `filterable: true` on its field, a sort `sortable: true`; the detail names both.";
    PaginationLimitExceeded "PAGINATION_LIMIT_EXCEEDED" 400 "Too far"
        "`offset` + `limit` is over 1000. Follow `nextCursor` instead, which has no such limit.";
    AuditReasonRequired "AUDIT_REASON_REQUIRED" 400 "Reason required"
        "This operation needs a reason: send `X-Reason`, in the form that the schema asks for.";
    UniqueViolation "UNIQUE_VIOLATION" 409 "Value taken"
        "Another record, perhaps a deleted one, has the same value in a unique field.";
    ReferenceViolation "REFERENCE_VIOLATION" 409 "Broken reference"
        "A reference names a record that does not exist, or a record cannot go while others refer to it.";
    VersionConflict "VERSION_CONFLICT" 409 "Record has changed"
        "The record is not at the version that the request names. Read it again; `currentVersion` says where it is.";
    RestoreNoOp "RESTORE_NO_OP" 409 "Nothing to restore"
        "The record already is as it was then.";
    ArchivePurged "ARCHIVE_PURGED" 410 "Purged"
        "The record was archived and its retention has ended; it is gone for good.";
    PayloadTooLarge "PAYLOAD_TOO_LARGE" 413 "Body too large"
        "The body is over the limit of 10 MiB. Send less at once, in several requests.";
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 "Unsupported media type"
        "The body is not of a type that this route reads; send `Content-Type: application/json`.";
    IdempotencyConflict "IDEMPOTENCY_CONFLICT" 422 "Idempotency key used before"
        "This `Idempotency-Key` came with another request before. Use a new key for a new request.";
    RateLimited "RATE_LIMITED" 429 "Too many requests"
        "The caller's rate is used up. Wait as long as `Retry-After` says.";
    InternalError "INTERNAL_ERROR" 500 "Internal error"
        "The fault is ours. Report the `requestId`.";
    PostgresUnavailable "POSTGRES_UNAVAILABLE" 503 "Database unavailable"
        "The database cannot be reached or has no free connection. Try again after `Retry-After`.";
    SearchUnavailable "SEARCH_UNAVAILABLE" 503 "Search unavailable"
        "The search engine cannot be reached. Try again later.";
    WarmTierUnavailable "WARM_TIER_UNAVAILABLE" 503 "Archive unavailable"
        "The archive cannot be reached. Try again later.";
    RevocationUnavailable "REVOCATION_UNAVAILABLE" 503 "Revocations cannot be checked"
        "It cannot be checked whether the credential was revoked, so the request is denied. Try again later.";
    SchemaNotReady "SCHEMA_NOT_READY" 503 "Schema not ready"
        "The schema is known but not provisioned yet. Try again after `Retry-After`; see the resource's status.";
    QueryTimeout "QUERY_TIMEOUT" 504 "Query took too long"
        "The statement was stopped at its time limit. Ask for less, or filter by indexed fields.";
}

impl Code {
    /// The URI of the code's page, the `type` of its problems.
    pub fn type_uri(self) -> String {
        format!("{PAGES}{}", self.as_str())
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(self) -> bool {
        matches!(self.status(), 429 | 503 | 504)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no code of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCode(pub String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an error code", self.0)
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The table as the book shows it (`docs/errors.md`).
pub fn as_markdown() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         <!-- Generated by `cargo run -p velocity-contract --bin generate-error-docs`; edit src/code.rs. -->\n\n\
         Every error is an `application/problem+json` body (RFC 9457). Branch on `code`; `detail` is for people.\n\n\
         | code | status | meaning and way out |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(page, "| `{code}` | {} | {}. {} |", code.status(), code.title(), code.help());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's list, written out by hand: a code may be added, never changed.
    const PINNED: &[(&str, u16)] = &[
        ("AUTH_REQUIRED", 401),
        ("AUTH_INVALID_TOKEN", 401),
        ("RBAC_DENIED", 403),
        ("ABAC_DENIED", 403),
        ("FIELD_FORBIDDEN", 403),
        ("CROSS_SCHEMA_ACCESS_DENIED", 403),
        ("SCHEMA_NOT_FOUND", 404),
        ("ENTITY_NOT_FOUND", 404),
        ("ROUTE_NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("NOT_ACCEPTABLE", 406),
        ("VALIDATION_ERROR", 400),
        ("MALFORMED_REQUEST", 400),
        ("FIELD_NOT_FILTERABLE", 400),
        ("PAGINATION_LIMIT_EXCEEDED", 400),
        ("AUDIT_REASON_REQUIRED", 400),
        ("UNIQUE_VIOLATION", 409),
        ("REFERENCE_VIOLATION", 409),
        ("VERSION_CONFLICT", 409),
        ("RESTORE_NO_OP", 409),
        ("ARCHIVE_PURGED", 410),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("IDEMPOTENCY_CONFLICT", 422),
        ("RATE_LIMITED", 429),
        ("INTERNAL_ERROR", 500),
        ("POSTGRES_UNAVAILABLE", 503),
        ("SEARCH_UNAVAILABLE", 503),
        ("WARM_TIER_UNAVAILABLE", 503),
        ("REVOCATION_UNAVAILABLE", 503),
        ("SCHEMA_NOT_READY", 503),
        ("QUERY_TIMEOUT", 504),
    ];

    #[test]
    fn every_code_keeps_its_text_and_its_status() {
        let table: Vec<(&str, u16)> = Code::ALL.iter().map(|code| (code.as_str(), code.status())).collect();
        assert_eq!(table, PINNED);
    }

    #[test]
    fn a_code_reads_back_and_nothing_else_does() {
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
        assert!("auth_required".parse::<Code>().is_err());
        assert_eq!(Code::ValidationError.type_uri(), "https://velocity.sh/errors/VALIDATION_ERROR");
    }
}
