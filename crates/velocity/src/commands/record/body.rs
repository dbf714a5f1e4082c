//! The body of a write, from `--set` and `-f`.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::output::json::Json;
use crate::server::{Kind, Schema, Server, Shape};

#[derive(Debug, clap::Args)]
pub(super) struct BodyArgs {
    /// A field's value; numbers, booleans, lists and JSON as the field's type wants them, nothing or null for no value
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Take a field's value away
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// JSON file with the fields, - for standard input; --set goes on top
    #[arg(short, long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("write it as FIELD=VALUE")?;
    if field.is_empty() {
        Err("the field has no name".to_owned())
    } else {
        Ok((field.to_owned(), value.to_owned()))
    }
}

impl BodyArgs {
    /// The object to send, with `id` in it when one is given.
    pub(super) async fn read(&self, server: &Server, schema: &Schema, id: Option<&str>) -> Outcome<Json> {
        let mut members = match &self.file {
            Some(path) => from_file(path)?,
            None => Vec::new(),
        };
        let needs_types = id.is_some() || !self.set.is_empty();
        let shape = if needs_types { Shape::of(server, schema).await? } else { Shape::default() };
        let id = id.map(|id| ("id".to_owned(), id.to_owned()));
        for (field, text) in id.iter().chain(&self.set) {
            let value = value(shape.kind_of(field), text)
                .map_err(|why| Failure::usage(format!("--set {field}: `{text}` {why}")))?;
            set(&mut members, field, value);
        }
        for field in &self.unset {
            set(&mut members, field, Json::Null);
        }
        if members.is_empty() {
            return Err(Failure::usage("there is nothing to write")
                .with_help("give fields with --set FIELD=VALUE or -f FILE"));
        }
        Ok(Json::Object(members))
    }
}

/// A text keeps what it says, even nothing; for every other type nothing and `null` are no value.
fn value(kind: Kind, text: &str) -> Result<Json, &'static str> {
    if kind != Kind::Text && matches!(text, "" | "null") {
        return Ok(Json::Null);
    }
    let mut json = String::new();
    kind.write_json(text, &mut json)?;
    Json::parse(&json).map_err(|_| "is not JSON")
}

fn set(members: &mut Vec<(String, Json)>, field: &str, value: Json) {
    match members.iter_mut().find(|(name, _)| name == field) {
        Some(member) => member.1 = value,
        None => members.push((field.to_owned(), value)),
    }
}

fn from_file(path: &Path) -> Outcome<Vec<(String, Json)>> {
    let name = path.display();
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::failed(format!("{name} cannot be read: {error}")))?;
    match Json::parse(&text) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(Json::Array(_)) => Err(Failure::usage(format!("{name} holds a list, and this writes one record"))
            .with_help("`velocity record import` takes many, one JSON object a line")),
        Ok(_) => Err(Failure::usage(format!("{name} holds no JSON object"))),
        Err(error) => Err(Failure::usage(format!("{name} is not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_value_of_text_and_of_nothing_else() {
        assert_eq!(value(Kind::Text, ""), Ok(Json::String(String::new())));
        assert_eq!(value(Kind::Text, "null"), Ok(Json::String("null".into())));
        assert_eq!(value(Kind::Word, ""), Ok(Json::Null));
        assert_eq!(value(Kind::Number, "null"), Ok(Json::Null));
        assert_eq!(value(Kind::Number, "10.50"), Ok(Json::Number("10.50".into())));
        assert!(value(Kind::Array, "a,b").is_err());
    }
}
