//! Why a write is made: `X-Reason`, or `reason` in the body, as the schema's audit demands it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use velocity_schema::Schema;
use velocity_schema::schema::Operation;
use velocity_schema::value::write_json_string;

use super::Malformed;
use super::headers::{check_reason, reason};
use crate::error::ApiError;

/// The reason of a request that does `operations`; `in_body` counts where no header was sent.
pub(crate) fn of_request(
    schema: &Schema,
    operations: &[Operation],
    headers: &HeaderMap,
    in_body: Option<&str>,
) -> Result<Option<String>, ApiError> {
    let given = match reason(headers)? {
        Some(reason) => Some(reason),
        None => in_body.map(|text| check_reason(text.trim())).transpose()?,
    };
    let given = given.filter(|reason| !reason.is_empty());
    let audit = schema.audit();
    let pattern = audit.reason_pattern.as_ref().map(|pattern| &pattern.0);
    let demanded = operations.iter().find(|operation| audit.require_reason.contains(operation));
    match (given, demanded, demanded.or(operations.first()), pattern) {
        (None, Some(operation), ..) => Err(ApiError::ReasonRequired {
            operation: *operation,
            pattern: pattern.map(|pattern| pattern.as_str().to_owned()),
        }),
        (Some(reason), _, Some(operation), Some(pattern)) if !pattern.is_match(reason) => {
            Err(ApiError::ReasonForm { operation: *operation, pattern: pattern.as_str().to_owned() })
        }
        (given, ..) => Ok(given.map(str::to_owned)),
    }
}

/// Takes the member `reason` out of the body of a record, where the schema has no field of that name and demands a
/// reason. A body that is not an object is left for the record's reader, which says what is wrong with it.
pub(crate) fn take_from_record(
    schema: &Schema,
    operations: &[Operation],
    headers: &HeaderMap,
    body: Bytes,
) -> (Bytes, Option<String>) {
    let demanded = operations.iter().any(|operation| schema.audit().require_reason.contains(operation));
    if !demanded || schema.field("reason").is_some() || headers.contains_key("x-reason") {
        return (body, None);
    }
    let Ok(Members(members)) = serde_json::from_slice::<Members<'_>>(&body) else { return (body, None) };
    let mut reasons = members.iter().filter(|(name, _)| name == "reason");
    let (Some((_, raw)), None) = (reasons.next(), reasons.next()) else { return (body, None) };
    let Ok(reason) = serde_json::from_str::<String>(raw.get()) else { return (body, None) };
    let mut rest = String::with_capacity(body.len());
    rest.push('{');
    for (name, raw) in members.iter().filter(|(name, _)| name != "reason") {
        if rest.len() > 1 {
            rest.push(',');
        }
        write_json_string(name, &mut rest);
        rest.push(':');
        rest.push_str(raw.get());
    }
    rest.push('}');
    (Bytes::from(rest), Some(reason))
}

/// The body of a write that has no record: nothing, or `{"reason": "…"}`.
pub(crate) fn alone(body: Option<&Bytes>) -> Result<Option<String>, Malformed> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Alone {
        reason: Option<String>,
    }
    let Some(body) = body else { return Ok(None) };
    let read: Result<Alone, _> = serde_json::from_slice(body);
    read.map(|alone| alone.reason).map_err(|error| {
        Malformed(format!("the body of this route is empty or `{{\"reason\": \"…\"}}`: {error}"))
    })
}

/// The members of an object in their order, twins included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velocity_schema::spec::SchemaDefinitionSpec;

    use super::*;

    fn schema(audit: &serde_json::Value) -> Schema {
        let spec = json!({
            "org": "a", "app": "b", "domain": "c", "object": "d", "version": "v1",
            "fields": [{ "name": "x", "type": "string" }], "audit": audit,
        });
        Schema::parse(&SchemaDefinitionSpec::from_json(&spec).unwrap()).unwrap()
    }

    fn demanding() -> Schema {
        schema(&json!({ "requireReason": ["delete"], "reasonPattern": ".{10,}" }))
    }

    fn header(reason: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("x-reason"), reason.parse().unwrap())])
    }

    #[test]
    fn a_reason_is_demanded_for_the_operations_that_the_schema_names() {
        let (schema, none) = (demanding(), HeaderMap::new());
        let demanded = of_request(&schema, &[Operation::Delete], &none, None);
        assert!(matches!(demanded, Err(ApiError::ReasonRequired { operation: Operation::Delete, .. })));
        assert!(matches!(of_request(&schema, &[Operation::Update], &none, None), Ok(None)));
        assert!(of_request(&schema, &[Operation::Update, Operation::Delete], &none, None).is_err());
        assert!(of_request(&schema, &[Operation::Delete], &header("   "), None).is_err());
    }

    #[test]
    fn every_reason_that_is_given_fits_the_pattern() {
        let schema = demanding();
        for operation in [Operation::Delete, Operation::Update] {
            let refused = of_request(&schema, &[operation], &header("short"), None).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("the reason of `{operation}` must match .{{10,}}: say more in the header X-Reason")
            );
            let given = of_request(&schema, &[operation], &header("a duplicate order"), None).unwrap();
            assert_eq!(given.as_deref(), Some("a duplicate order"));
        }
    }

    #[test]
    fn the_reason_may_stand_in_the_body_where_no_field_has_its_name() {
        let body = Bytes::from_static(br#"{"x":1.50,"reason":"as asked for","x":2}"#);
        let (rest, reason) =
            take_from_record(&demanding(), &[Operation::Delete], &HeaderMap::new(), body.clone());
        assert_eq!((&rest[..], reason.as_deref()), (&br#"{"x":1.50,"x":2}"#[..], Some("as asked for")));
        let untouched = take_from_record(&demanding(), &[Operation::Update], &HeaderMap::new(), body.clone());
        assert_eq!(untouched, (body, None));
    }

    #[test]
    fn a_body_of_its_own_holds_the_reason_and_nothing_else() {
        assert_eq!(alone(None), Ok(None));
        assert_eq!(alone(Some(&Bytes::from_static(b"{\"reason\":\"r\"}"))), Ok(Some("r".to_owned())));
        assert!(alone(Some(&Bytes::from_static(b"{\"raeson\":\"r\"}"))).is_err());
    }
}
