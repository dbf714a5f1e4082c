//! What the client takes: how numbers are written, and the format of an export.

use http::HeaderMap;
use http::header::ACCEPT;
use velocity_schema::violation::nearest;

use velocity_store::codec::Numbers;

use super::Malformed;
use crate::error::ApiError;

/// The formats of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
}

impl ExportFormat {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// One element of `Accept`.
struct Range<'h> {
    media: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
}

fn ranges(headers: &HeaderMap) -> Result<Vec<Range<'_>>, Malformed> {
    let mut found = Vec::new();
    for line in headers.get_all(ACCEPT) {
        let text = line.to_str().map_err(|_| Malformed::new("the header Accept must be ASCII"))?;
        for element in text.split(',').filter(|element| !element.trim().is_empty()) {
            let mut parts = element.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters =
                parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.trim(), unquoted(v)));
            let range = Range { media, parameters: parameters.collect() };
            let refused = range.parameters.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("q") && value.parse::<f32>().is_ok_and(|q| q <= 0.0)
            });
            if !refused {
                found.push(range);
            }
        }
    }
    Ok(found)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// How the client wants numbers in JSON: `Accept: application/json; numbers=string`. A client that takes no JSON is told
/// that there is nothing else.
pub(crate) fn numbers(headers: &HeaderMap) -> Result<Numbers, ApiError> {
    numbers_of(headers, &["application/json", "application/problem+json", "application/*", "*/*"])
}

/// The same for an export of NDJSON lines.
pub(crate) fn ndjson_numbers(headers: &HeaderMap) -> Result<Numbers, ApiError> {
    if headers.contains_key(ACCEPT) { read_numbers(&ranges(headers)?, NDJSON) } else { Ok(Numbers::Json) }
}

const NDJSON: &[&str] = &[
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json",
    "application/*",
    "*/*",
];

fn numbers_of(headers: &HeaderMap, media: &[&str]) -> Result<Numbers, ApiError> {
    if !headers.contains_key(ACCEPT) {
        return Ok(Numbers::Json);
    }
    let ranges = ranges(headers)?;
    let is_taken = |range: &Range<'_>| media.iter().any(|m| range.media.eq_ignore_ascii_case(m));
    if !ranges.is_empty() && !ranges.iter().any(is_taken) {
        return Err(ApiError::NotAcceptable { made: "application/json" });
    }
    read_numbers(&ranges, media)
}

fn read_numbers(ranges: &[Range<'_>], media: &[&str]) -> Result<Numbers, ApiError> {
    let mut wanted = Numbers::Json;
    for range in ranges.iter().filter(|range| media.iter().any(|m| range.media.eq_ignore_ascii_case(m))) {
        for (name, value) in &range.parameters {
            if name.eq_ignore_ascii_case("numbers") {
                wanted = match *value {
                    "string" => Numbers::Strings,
                    "number" => Numbers::Json,
                    _ => {
                        let text = "the parameter `numbers` of Accept must be `string` or `number`";
                        return Err(Malformed::new(text).into());
                    }
                };
            } else if nearest(&name.to_ascii_lowercase(), ["numbers"]).is_some() {
                let text = "the parameter of Accept is not known: did you mean `numbers`?";
                return Err(Malformed::new(text).into());
            }
        }
    }
    Ok(wanted)
}

/// The format of an export: `?format=` decides, else the first format in `Accept` that there is, else NDJSON.
pub(crate) fn export_format(parameter: Option<&str>, headers: &HeaderMap) -> Result<ExportFormat, ApiError> {
    match parameter {
        Some("ndjson") => return Ok(ExportFormat::Ndjson),
        Some("csv") => return Ok(ExportFormat::Csv),
        Some("parquet") => {
            return Err(Malformed::new("`format=parquet` is not supported yet: use `ndjson` or `csv`").into());
        }
        Some(_) => return Err(Malformed::new("the parameter `format` must be `ndjson` or `csv`").into()),
        None => {}
    }
    let ranges = ranges(headers)?;
    let format = |range: &Range<'_>| match range.media.to_ascii_lowercase().as_str() {
        "text/csv" | "text/*" => Some(ExportFormat::Csv),
        media if NDJSON.contains(&media) => Some(ExportFormat::Ndjson),
        _ => None,
    };
    match ranges.iter().find_map(format) {
        Some(format) => Ok(format),
        None if ranges.is_empty() => Ok(ExportFormat::Ndjson),
        None => Err(ApiError::NotAcceptable { made: "application/x-ndjson and text/csv" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn numbers_are_exact_unless_strings_are_asked_for() {
        assert_eq!(numbers(&HeaderMap::new()).unwrap(), Numbers::Json);
        for accept in ["*/*", "application/json", "text/html, */*;q=0.8", "application/json; q=0.5", ""] {
            assert_eq!(numbers(&headers(accept)).unwrap(), Numbers::Json, "{accept}");
        }
        for accept in [
            "application/json; numbers=string",
            "application/json;numbers=string;q=0.9",
            "text/html, Application/JSON; Numbers=\"string\"",
        ] {
            assert_eq!(numbers(&headers(accept)).unwrap(), Numbers::Strings, "{accept}");
        }
    }

    #[test]
    fn a_misspelt_or_unknown_way_of_numbers_is_refused() {
        for accept in ["application/json; numbers=float", "application/json; number=string"] {
            assert!(matches!(numbers(&headers(accept)), Err(ApiError::Malformed(_))), "{accept}");
        }
    }

    #[test]
    fn a_client_that_takes_nothing_that_we_make_is_told_so() {
        for accept in ["text/html", "application/xml, text/*", "application/json;q=0, text/html"] {
            assert!(matches!(numbers(&headers(accept)), Err(ApiError::NotAcceptable { .. })), "{accept}");
        }
        assert!(matches!(export_format(None, &headers("image/png")), Err(ApiError::NotAcceptable { .. })));
    }

    #[test]
    fn the_format_of_an_export_follows_the_parameter_then_the_header() {
        use ExportFormat::{Csv, Ndjson};
        let format = |parameter, accept: &str| export_format(parameter, &headers(accept)).unwrap();
        assert_eq!(format(Some("csv"), "application/x-ndjson"), Csv);
        assert_eq!(format(None, "text/csv"), Csv);
        assert_eq!(format(None, "text/csv;q=0, application/x-ndjson"), Ndjson);
        assert_eq!(format(None, "*/*"), Ndjson);
        assert_eq!(export_format(None, &HeaderMap::new()).unwrap(), Ndjson);
        for unknown in ["xml", "parquet", "CSV", ""] {
            assert!(export_format(Some(unknown), &HeaderMap::new()).is_err(), "{unknown}");
        }
    }
}
