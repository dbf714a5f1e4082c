//! Options that several commands take: attributes, and when something ends.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use velocity_access::parse_duration;

use crate::failure::{Failure, Outcome};

/// An attribute of an actor: `region=west` is a text, `level=3` and `active=true` are what they look like, `teams=["a"]` is
/// a list.
pub(super) fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

/// Attributes that were given one by one.
pub(super) fn attributes(given: &[(String, Value)]) -> Outcome<Map<String, Value>> {
    let mut all = Map::new();
    for (name, value) in given {
        if all.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the attribute `{name}` is given twice")));
        }
    }
    Ok(all)
}

/// Attributes on one line.
pub(super) fn attribute_words(attributes: &Map<String, Value>) -> String {
    let words = attributes.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={value}")
    });
    words.collect::<Vec<_>>().join(", ")
}

/// `30s`, `5m`, `2h`, `90d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// When something ends: after a while, or at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    After(Duration),
    At(Timestamp),
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(duration) = parse_duration(text) {
            return Ok(Self::After(duration));
        }
        text.parse().map(Self::At).map_err(|_| {
            "use a while, such as 12h or 30d, or a time with its zone, such as 2027-01-01T00:00:00Z"
                .to_owned()
        })
    }
}

impl End {
    /// The time, to the second; it must be yet to come.
    pub(super) fn time(self, now: Timestamp) -> Outcome<String> {
        let end = match self {
            Self::After(duration) => jiff::SignedDuration::try_from(duration)
                .ok()
                .and_then(|duration| now.checked_add(duration).ok())
                .ok_or_else(|| Failure::usage("--expires is further away than there is time"))?,
            Self::At(time) => time,
        };
        if end <= now {
            return Err(Failure::usage("--expires is over already").with_help("name a time to come"));
        }
        Ok(jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&end))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_keeps_the_type_that_it_looks_like() {
        let of = |text: &str| attribute(text).unwrap().1;
        assert_eq!(of("a=west"), json!("west"));
        assert_eq!(of("a=3"), json!(3));
        assert_eq!(of("a=true"), json!(true));
        assert_eq!(of("a=[\"x\"]"), json!(["x"]));
        assert_eq!(of("a=b=c"), json!("b=c"));
        assert_eq!(of("a="), json!(""));
        assert!(attribute("=x").is_err() && attribute("x").is_err());
        let twice = [attribute("a=1").unwrap(), attribute("a=2").unwrap()];
        assert!(attributes(&twice).unwrap_err().message().contains("`a` is given twice"));
    }

    #[test]
    fn an_end_is_a_while_from_now_or_a_time_to_come() {
        let now: Timestamp = "2026-01-01T12:00:00.5Z".parse().unwrap();
        let time = |text: &str| text.parse::<End>().unwrap().time(now);
        assert_eq!(time("30d").unwrap(), "2026-01-31T12:00:00Z");
        assert_eq!(time("2027-01-01T02:00:00+02:00").unwrap(), "2027-01-01T00:00:00Z");
        assert!(time("0s").is_err() && time("2025-01-01T00:00:00Z").is_err());
        for text in ["", "soon", "30", "2027-01-01", "2027-01-01T00:00:00", "-1d"] {
            assert!(text.parse::<End>().is_err(), "{text}");
        }
    }
}
