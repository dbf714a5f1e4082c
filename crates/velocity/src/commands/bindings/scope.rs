//! Where a binding holds: `OBJECT[/VERSION][:operation,…]`. Pure.

use velocity_contract::role_binding::BindingScopeSpec;
use velocity_schema::schema::Operation;
use velocity_schema::violation::did_you_mean;

/// The scope that is written so.
pub(in super::super) fn parse(text: &str) -> Result<BindingScopeSpec, String> {
    let (place, operations) = match text.split_once(':') {
        Some((place, operations)) => (place, Some(operations)),
        None => (text, None),
    };
    let (object, version) = match place.split_once('/') {
        Some((object, version)) => (object, Some(version.to_owned())),
        None => (place, None),
    };
    if object.is_empty()
        || version.as_ref().is_some_and(|version| version.is_empty() || version.contains('/'))
    {
        return Err("write it as OBJECT, OBJECT/VERSION or OBJECT/VERSION:read,update".to_owned());
    }
    let operations = match operations {
        Some(words) => {
            let mut all = words.split(',').map(operation).collect::<Result<Vec<_>, _>>()?;
            all.sort_by_key(|word| Operation::ALL.iter().position(|known| known.as_str() == word));
            all.dedup();
            Some(all)
        }
        None => None,
    };
    Ok(BindingScopeSpec { object: object.to_owned(), version, operations })
}

/// An operation's word, checked.
pub(in super::super) fn operation(word: &str) -> Result<String, String> {
    let words = Operation::ALL.map(Operation::as_str);
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!(
        "there is no operation `{word}`{}; there are {}",
        did_you_mean(word, words),
        words.join(", ")
    ))
}

/// As it is written.
pub(in super::super) fn words(scope: &BindingScopeSpec) -> String {
    let mut text = scope.object.clone();
    if let Some(version) = &scope.version {
        text = format!("{text}/{version}");
    }
    if let Some(operations) = &scope.operations {
        text = format!("{text}:{}", operations.join(","));
    }
    text
}

/// Whether scopes allow an operation on an object's version; none allow everything.
pub(in super::super) fn fits(
    scopes: &[BindingScopeSpec],
    object: &str,
    version: &str,
    operation: &str,
) -> bool {
    scopes.is_empty()
        || scopes.iter().any(|scope| {
            scope.object == object
                && scope.version.as_ref().is_none_or(|own| own == version)
                && scope.operations.as_ref().is_none_or(|own| own.iter().any(|own| own == operation))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_comes_back_as_it_was_written_its_operations_in_their_order() {
        for text in ["order", "order/v1", "order/v1:read", "order:create,read,export"] {
            assert_eq!(words(&parse(text).unwrap()), text);
        }
        assert_eq!(words(&parse("order:update,read,read").unwrap()), "order:read,update");
        for (text, why) in [
            ("", "OBJECT"),
            ("/v1", "OBJECT"),
            ("order/", "OBJECT"),
            ("a/b/c", "OBJECT"),
            ("order:", "no operation ``"),
            ("order:reed", "did you mean `read`"),
            ("order:READ", "no operation `READ`"),
        ] {
            assert!(parse(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn scopes_allow_what_one_of_them_names() {
        let scopes: Vec<_> = ["order/v1:read", "item"].map(|text| parse(text).unwrap()).into();
        assert!(fits(&scopes, "order", "v1", "read") && fits(&scopes, "item", "v9", "delete"));
        assert!(!fits(&scopes, "order", "v1", "update") && !fits(&scopes, "order", "v2", "read"));
        assert!(!fits(&scopes, "orders", "v1", "read"));
        assert!(fits(&[], "anything", "v1", "read"));
    }
}
