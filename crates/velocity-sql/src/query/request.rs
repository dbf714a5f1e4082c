//! What a caller asks for, read from query parameters. Names are not looked up yet.

use std::collections::HashSet;

use velocity_schema::violation::did_you_mean;

use super::error::{PlanCode, PlanError};
use super::operator::Operator;
use super::search;

/// Records on a page when the caller does not say.
pub const LIMIT_DEFAULT: u32 = 100;
/// Most records on a page, and the deepest record that an offset reaches.
pub const LIMIT_MAX: u32 = 1000;
/// Most conditions of one query.
const FILTERS_MAX: usize = 64;
/// Most fields that a list is sorted by.
const SORT_MAX: usize = 8;

const PARAMETERS: [&str; 9] =
    ["filter", "sort", "fields", "limit", "cursor", "offset", "count", "include", "q"];

/// A list as the caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Conditions; all must hold.
    pub filters: Vec<RequestedFilter>,
    /// The order; empty: by id.
    pub sort: Vec<RequestedSort>,
    /// The fields wanted; `None`: all.
    pub fields: Option<Vec<String>>,
    /// Records on the page.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Records to pass over.
    pub offset: u32,
    /// Whether and how to count all that fit.
    pub count: Option<CountMode>,
    /// What to search for.
    pub search: Option<String>,
}

impl Default for ListRequest {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            sort: Vec::new(),
            fields: None,
            limit: LIMIT_DEFAULT,
            cursor: None,
            offset: 0,
            count: None,
            search: None,
        }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedFilter {
    /// The field, with `.` before each step into a json field.
    pub field: String,
    /// The operator.
    pub operator: Operator,
    /// The operand's text.
    pub value: String,
    /// The parameter as it was written, for errors.
    pub parameter: String,
}

/// One field of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedSort {
    /// The field.
    pub field: String,
    /// From large to small.
    pub descending: bool,
}

/// How records are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountMode {
    /// All of them, one by one.
    Exact,
    /// One by one up to a bound, from statistics beyond.
    Estimated,
}

impl ListRequest {
    /// Reads decoded query parameters. What is unknown or comes twice is an error, never passed over.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PlanError> {
        let mut request = Self::default();
        let mut seen = HashSet::new();
        let mut offset_given = false;
        for (name, value) in pairs {
            if !seen.insert(name) {
                return Err(PlanError::malformed(
                    name,
                    "duplicateParameter",
                    "is there twice; for alternatives use the operator in",
                ));
            }
            match name {
                "sort" => request.sort = parse_sort(value)?,
                "fields" => request.fields = Some(parse_fields(value)?),
                "limit" => request.limit = parse_limit(value)?,
                "offset" => {
                    request.offset = whole(name, value)?;
                    offset_given = true;
                }
                "cursor" => request.cursor = Some(value.to_owned()),
                "count" => request.count = Some(parse_count(value)?),
                "q" => request.search = Some(search::parse(value)?),
                "include" => {
                    return Err(PlanError::invalid(
                        name,
                        "notSupported",
                        "is not supported yet; leave it out",
                    ));
                }
                _ if name.starts_with("filter") => request.filters.push(parse_filter(name, value)?),
                _ => return Err(unknown(name)),
            }
        }
        if request.filters.len() > FILTERS_MAX {
            return Err(PlanError::invalid(
                "filter",
                "length",
                format!("a query takes at most {FILTERS_MAX} conditions"),
            ));
        }
        if offset_given && request.cursor.is_some() {
            return Err(PlanError::malformed(
                "offset",
                "cursor",
                "does not go with `cursor`; use one of them",
            ));
        }
        if u64::from(request.offset) + u64::from(request.limit) > u64::from(LIMIT_MAX) {
            return Err(PlanError::new(
                PlanCode::PaginationLimitExceeded,
                "offset",
                "paginationLimit",
                format!(
                    "offset + limit must not exceed {LIMIT_MAX}; follow pagination.nextCursor to go deeper"
                ),
            ));
        }
        Ok(request)
    }
}

fn unknown(name: &str) -> PlanError {
    let stem = name.split('[').next().unwrap_or(name);
    let near = did_you_mean(stem, PARAMETERS);
    let hint = if stem.len() < name.len() && near.is_empty() {
        "; conditions are written filter[field]=value"
    } else {
        ""
    };
    PlanError::invalid(name, "unknownParameter", format!("is not a parameter of this route{near}{hint}"))
}

fn parse_filter(name: &str, value: &str) -> Result<RequestedFilter, PlanError> {
    let syntax = || {
        PlanError::malformed(
            name,
            "syntax",
            "conditions are written filter[field]=value or filter[field][operator]=value",
        )
    };
    let rest = match name.strip_prefix("filter") {
        Some(rest) if rest.starts_with('[') => rest,
        Some("") => return Err(syntax()),
        _ => return Err(unknown(name)),
    };
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(syntax)?;
    let (field, operator) = inner.split_once("][").map_or((inner, None), |(field, word)| (field, Some(word)));
    if field.is_empty() || [field, operator.unwrap_or_default()].iter().any(|part| part.contains(['[', ']']))
    {
        return Err(syntax());
    }
    let operator = operator.map_or(Ok(Operator::Eq), |word| Operator::parse(word, name))?;
    Ok(RequestedFilter {
        field: field.to_owned(),
        operator,
        value: value.to_owned(),
        parameter: name.to_owned(),
    })
}

fn parse_sort(value: &str) -> Result<Vec<RequestedSort>, PlanError> {
    let mut keys: Vec<RequestedSort> = Vec::new();
    for part in value.split(',') {
        let (field, descending) = part.strip_prefix('-').map_or((part, false), |field| (field, true));
        if field.is_empty() {
            return Err(PlanError::malformed("sort", "syntax", "is written field,-field (- for descending)"));
        }
        if keys.iter().any(|key| key.field == field) {
            return Err(PlanError::malformed(
                "sort",
                "duplicateField",
                format!("names `{}` twice", shown(field)),
            ));
        }
        keys.push(RequestedSort { field: field.to_owned(), descending });
    }
    if keys.len() > SORT_MAX {
        return Err(PlanError::invalid("sort", "length", format!("takes at most {SORT_MAX} fields")));
    }
    Ok(keys)
}

fn parse_fields(value: &str) -> Result<Vec<String>, PlanError> {
    let mut fields: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for field in value.split(',') {
        if field.is_empty() {
            return Err(PlanError::malformed("fields", "syntax", "is written field,field"));
        }
        if !seen.insert(field) {
            return Err(PlanError::malformed(
                "fields",
                "duplicateField",
                format!("names `{}` twice", shown(field)),
            ));
        }
        fields.push(field.to_owned());
    }
    Ok(fields)
}

fn parse_limit(value: &str) -> Result<u32, PlanError> {
    let limit = whole("limit", value)?;
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(PlanError::invalid("limit", "range", format!("must be from 1 to {LIMIT_MAX}")))
    }
}

fn parse_count(value: &str) -> Result<CountMode, PlanError> {
    match value {
        "exact" => Ok(CountMode::Exact),
        "estimated" => Ok(CountMode::Estimated),
        _ => Err(PlanError::invalid("count", "type", "must be exact or estimated")),
    }
}

fn whole(name: &str, value: &str) -> Result<u32, PlanError> {
    let digits = !value.is_empty() && value.len() <= 9 && value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| PlanError::invalid(name, "type", "must be a whole number of at most 9 digits"))
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ListRequest, (PlanCode, String)> {
        ListRequest::parse(pairs.iter().copied()).map_err(|error| (error.code, error.to_string()))
    }

    #[test]
    fn every_parameter_is_read() {
        let request = parse(&[
            ("filter[a]", "1"),
            ("filter[b.c][gte]", "2"),
            ("sort", "-a,b"),
            ("fields", "a,id"),
            ("limit", "5"),
            ("offset", "10"),
            ("count", "exact"),
            ("q", " two  words "),
        ])
        .unwrap();
        assert_eq!(request.filters[0].operator, Operator::Eq);
        assert_eq!((request.filters[1].field.as_str(), request.filters[1].operator), ("b.c", Operator::Gte));
        assert_eq!(request.sort[0], RequestedSort { field: "a".into(), descending: true });
        assert_eq!(request.fields.unwrap(), ["a", "id"]);
        assert_eq!((request.limit, request.offset, request.count), (5, 10, Some(CountMode::Exact)));
        assert_eq!(request.search.as_deref(), Some(" two  words "));
        assert_eq!(parse(&[]).unwrap(), ListRequest::default());
    }

    #[test]
    fn unknown_parameters_and_operators_name_the_nearest() {
        let message = |pairs: &[(&str, &str)]| parse(pairs).unwrap_err().1;
        assert!(message(&[("limt", "5")]).contains("did you mean `limit`"));
        assert!(message(&[("filtr[a]", "5")]).contains("did you mean `filter`"));
        assert!(message(&[("filters[a]", "5")]).contains("did you mean `filter`"));
        assert!(message(&[("filter[a][gtt]", "5")]).contains("did you mean `gt"));
        assert!(message(&[("where[a]", "5")]).contains("filter[field]=value"));
    }

    #[test]
    fn what_cannot_be_read_is_malformed_and_never_passed_over() {
        for pairs in [
            &[("filter", "1")][..],
            &[("filter[]", "1")],
            &[("filter[a", "1")],
            &[("filter[a][eq][ne]", "1")],
            &[("filter[a]", "1"), ("filter[a]", "2")],
            &[("limit", "1"), ("limit", "1")],
            &[("sort", "")],
            &[("sort", "a,,b")],
            &[("sort", "a,-a")],
            &[("fields", "a,a")],
            &[("cursor", "x"), ("offset", "0")],
        ] {
            assert_eq!(parse(pairs).unwrap_err().0, PlanCode::MalformedRequest, "{pairs:?}");
        }
        let long = "ü".repeat(1001);
        for pairs in [
            &[("limit", "0")][..],
            &[("limit", "1001")],
            &[("limit", "-1")],
            &[("limit", "1e2")],
            &[("offset", "99999999999999999999")],
            &[("count", "yes")],
            &[("q", "")],
            &[("q", " \t")],
            &[("q", "a\0b")],
            &[("q", long.as_str())],
            &[("include", "x")],
            &[("filter[a][match]", "x")],
        ] {
            assert_eq!(parse(pairs).unwrap_err().0, PlanCode::ValidationError, "{pairs:?}");
        }
    }

    #[test]
    fn pages_beyond_a_thousand_records_need_the_cursor() {
        let code = parse(&[("offset", "901")]).unwrap_err().0;
        assert_eq!(code, PlanCode::PaginationLimitExceeded);
        assert!(parse(&[("offset", "900")]).is_ok());
        assert!(parse(&[("limit", "1000")]).is_ok());
    }
}
