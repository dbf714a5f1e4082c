//! What a key may be used for, on the command line: `SCHEMA[:operations[:fields]]`.

use velocity_contract::administration::KeyScope;

use crate::commands::bindings::parse_operation;
use crate::failure::Outcome;
use crate::server::{Schema, Server};

/// The scope that is written so. Pure; the schema may yet be the end of a path.
pub(super) fn parse(text: &str) -> Result<KeyScope, String> {
    const FORM: &str = "write it as SCHEMA, SCHEMA:read,export or SCHEMA:read:id,amount";
    let mut parts = text.splitn(3, ':');
    let schema = parts.next().filter(|schema| !schema.is_empty()).ok_or(FORM)?;
    let operations = parts.next().filter(|words| !words.is_empty() && *words != "*");
    let operations = operations.map(|words| words.split(',').map(parse_operation).collect()).transpose()?;
    let fields: Option<Vec<String>> = parts.next().map(|words| words.split(',').map(str::to_owned).collect());
    if fields.as_ref().is_some_and(|fields| fields.iter().any(String::is_empty)) {
        return Err(format!("a field is missing between the commas; {FORM}"));
    }
    Ok(KeyScope { schema: schema.to_owned(), operations, fields })
}

/// The scope with the whole path of its schema. A pattern is one already.
pub(super) async fn whole(server: &Server, mut scope: KeyScope) -> Outcome<KeyScope> {
    if !scope.schema.contains('*') {
        scope.schema = Schema::resolve(server, &scope.schema).await?.path.to_string();
    }
    Ok(scope)
}

/// As it is written.
pub(super) fn words(scope: &KeyScope) -> String {
    let mut text = scope.schema.clone();
    match (&scope.operations, &scope.fields) {
        (None, None) => {}
        (operations, fields) => {
            text.push(':');
            text.push_str(&operations.as_ref().map_or_else(|| "*".to_owned(), |words| words.join(",")));
            if let Some(fields) = fields {
                text.push(':');
                text.push_str(&fields.join(","));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_comes_back_as_it_was_written() {
        for text in ["a/b/c/d/v1", "acme/*/*/*/*:read", "order:read,export:id,amount", "order:*:id"] {
            assert_eq!(words(&parse(text).unwrap()), text);
        }
        assert_eq!(words(&parse("order::id").unwrap()), "order:*:id");
        assert_eq!(parse("order:").unwrap(), parse("order").unwrap());
        assert_eq!(parse("order:read").unwrap().operations, Some(vec!["read".to_owned()]));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, why) in [
            ("", "SCHEMA"),
            (":read", "SCHEMA"),
            ("o:reed", "did you mean `read`"),
            ("o:read:", "a field is missing"),
        ] {
            assert!(parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
