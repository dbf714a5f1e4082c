//! What the client takes: how numbers are written, and the format of an export.

use http::HeaderMap;
use http::header::ACCEPT;
use velocity_schema::violation::nearest;

use super::Malformed;

/// How numbers stand in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Numbers {
    /// As JSON numbers with every digit.
    #[default]
    Exact,
    /// As strings, for clients that read numbers as doubles.
    Text,
}

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
        for element in text.split(',') {
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

/// How the client wants numbers: `Accept: application/json; numbers=string`.
pub(crate) fn numbers(headers: &HeaderMap) -> Result<Numbers, Malformed> {
    if !headers.contains_key(ACCEPT) {
        return Ok(Numbers::Exact);
    }
    let mut wanted = Numbers::Exact;
    for range in ranges(headers)? {
        let is_json = ["application/json", "application/x-ndjson", "application/*", "*/*"]
            .iter()
            .any(|json| range.media.eq_ignore_ascii_case(json));
        if !is_json {
            continue;
        }
        for (name, value) in &range.parameters {
            if name.eq_ignore_ascii_case("numbers") {
                wanted = match *value {
                    "string" => Numbers::Text,
                    "number" => Numbers::Exact,
                    _ => {
                        return Err(Malformed::new(
                            "the parameter `numbers` of Accept must be `string` or `number`",
                        ));
                    }
                };
            } else if nearest(&name.to_ascii_lowercase(), ["numbers"]).is_some() {
                let text = "the parameter of Accept is not known: did you mean `numbers`?";
                return Err(Malformed::new(text));
            }
        }
    }
    Ok(wanted)
}

/// The format of an export: `?format=` decides, else the first format in `Accept` that there is, else NDJSON.
pub(crate) fn export_format(parameter: Option<&str>, headers: &HeaderMap) -> Result<ExportFormat, Malformed> {
    match parameter {
        Some("ndjson") => return Ok(ExportFormat::Ndjson),
        Some("csv") => return Ok(ExportFormat::Csv),
        Some("parquet") => {
            return Err(Malformed::new("`format=parquet` is not supported yet: use `ndjson` or `csv`"));
        }
        Some(_) => return Err(Malformed::new("the parameter `format` must be `ndjson` or `csv`")),
        None => {}
    }
    let ranges = ranges(headers)?;
    let format = |range: &Range<'_>| match range.media.to_ascii_lowercase().as_str() {
        "text/csv" | "text/*" => Some(ExportFormat::Csv),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/*" | "*/*" => {
            Some(ExportFormat::Ndjson)
        }
        _ => None,
    };
    Ok(ranges.iter().find_map(format).unwrap_or(ExportFormat::Ndjson))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn numbers_are_exact_unless_strings_are_asked_for() {
        assert_eq!(numbers(&HeaderMap::new()), Ok(Numbers::Exact));
        for accept in ["*/*", "application/json", "text/html", "application/json; q=0.5", ""] {
            assert_eq!(numbers(&headers(accept)), Ok(Numbers::Exact), "{accept}");
        }
        for accept in [
            "application/json; numbers=string",
            "application/json;numbers=string;q=0.9",
            "text/html, Application/JSON; Numbers=\"string\"",
        ] {
            assert_eq!(numbers(&headers(accept)), Ok(Numbers::Text), "{accept}");
        }
    }

    #[test]
    fn a_misspelt_or_unknown_way_of_numbers_is_refused() {
        for accept in ["application/json; numbers=float", "application/json; number=string"] {
            assert!(numbers(&headers(accept)).is_err(), "{accept}");
        }
    }

    #[test]
    fn the_format_of_an_export_follows_the_parameter_then_the_header() {
        use ExportFormat::{Csv, Ndjson};
        assert_eq!(export_format(Some("csv"), &headers("application/x-ndjson")), Ok(Csv));
        assert_eq!(export_format(None, &headers("text/csv")), Ok(Csv));
        assert_eq!(export_format(None, &headers("text/csv;q=0, application/x-ndjson")), Ok(Ndjson));
        assert_eq!(export_format(None, &headers("*/*")), Ok(Ndjson));
        assert_eq!(export_format(None, &HeaderMap::new()), Ok(Ndjson));
        for unknown in ["xml", "parquet", "CSV", ""] {
            assert!(export_format(Some(unknown), &HeaderMap::new()).is_err(), "{unknown}");
        }
    }
}
