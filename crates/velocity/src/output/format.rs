//! `-o`.

use std::str::FromStr;

use super::jsonpath::Template;

/// The form of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
    JsonPath(Template),
}

impl Format {
    /// Whether it shows whole objects.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::JsonPath(_))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "name" => Ok(Self::Name),
            other => match other.strip_prefix("jsonpath=") {
                Some(template) => template.parse().map(Self::JsonPath),
                None => Err("use table, wide, json, yaml, name or jsonpath=TEMPLATE, such as jsonpath='{.metadata.name}'".to_owned()),
            },
        }
    }
}
