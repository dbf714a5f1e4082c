//! Query strings, decoded strictly: what is not valid UTF-8 or not validly escaped is refused, not guessed.

use std::borrow::Cow;

use velocity_schema::violation::did_you_mean;

use super::Malformed;

/// Most parameters of one request.
const MAX_PARAMETERS: usize = 200;

/// A parameter's name and value, decoded.
pub(crate) type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The parameters in their order.
pub(crate) fn pairs(query: Option<&str>) -> Result<Vec<Pair<'_>>, Malformed> {
    let mut found = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        if found.len() == MAX_PARAMETERS {
            return Err(Malformed(format!("there are more than {MAX_PARAMETERS} query parameters")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        found.push((decode(name)?, decode(value)?));
    }
    Ok(found)
}

/// Decodes `%41` and `+`.
fn decode(text: &str) -> Result<Cow<'_, str>, Malformed> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let decoded = match spaced {
        Cow::Borrowed(text) => percent_decode(text),
        Cow::Owned(text) => percent_decode(&text).map(|text| Cow::Owned(text.into_owned())),
    };
    decoded.map_err(|NotDecodable| Malformed::new("the query string is not percent-encoded UTF-8"))
}

/// An escape without two hex digits, or bytes that are not UTF-8.
#[derive(Debug)]
pub(crate) struct NotDecodable;

/// Decodes `%41`.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, NotDecodable> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).ok_or(NotDecodable);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).map_err(|_| NotDecodable)?);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| NotDecodable)
}

/// The values of the parameters `known`, each given at most once; any other is an error that names the nearest.
pub(crate) fn only<'q, const N: usize>(
    query: Option<&'q str>,
    known: [&str; N],
) -> Result<[Option<Cow<'q, str>>; N], Malformed> {
    let mut values = [const { None }; N];
    for (name, value) in pairs(query)? {
        let Some(index) = known.iter().position(|k| *k == name) else {
            return Err(unknown(&name, &known));
        };
        if values[index].replace(value).is_some() {
            return Err(Malformed(format!("the query parameter `{name}` is given twice")));
        }
    }
    Ok(values)
}

/// The error for a parameter that is not one of `known`.
pub(crate) fn unknown(name: &str, known: &[&str]) -> Malformed {
    let shown: String = name.chars().take(80).collect::<String>().escape_debug().to_string();
    let near = did_you_mean(name, known.iter().copied());
    let there_are = match known {
        [] => "this route takes none".to_owned(),
        known => format!("there are {}", known.join(", ")),
    };
    Malformed(format!("the query parameter `{shown}` is not known{near}; {there_are}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_their_order() {
        let pairs = pairs(Some("filter%5Ba%5D=x%20y+z&&b&c=%C3%A9=")).unwrap();
        assert_eq!(
            pairs,
            [("filter[a]".into(), "x y z".into()), ("b".into(), "".into()), ("c".into(), "é=".into())]
        );
    }

    #[test]
    fn broken_escapes_and_broken_utf8_are_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1", "a=%+1", "a=%C3%28"] {
            assert!(pairs(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_the_nearest_named() {
        let error = only(Some("limt=1"), ["limit", "cursor"]).unwrap_err();
        assert!(error.0.contains("did you mean `limit`"), "{error}");
        assert!(only(Some("x=1"), []).unwrap_err().0.contains("takes none"));
        assert!(only(Some("limit=1&limit=1"), ["limit"]).is_err());
        assert_eq!(only(Some("limit=1"), ["limit", "cursor"]).unwrap(), [Some("1".into()), None]);
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        assert!(pairs(Some(&"a&".repeat(200))).is_ok());
        assert!(pairs(Some(&"a&".repeat(201))).is_err());
    }
}
