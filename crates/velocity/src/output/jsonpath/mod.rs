//! `-o jsonpath=…`: kubectl's templates. Texts outside braces stay; `{range …}…{end}` repeats.

mod evaluate;
mod parse;

use std::str::FromStr;

use super::json::Json;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    /// `..name`: the member anywhere below.
    Anywhere(String),
    All,
    Index(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    Filter(Vec<Step>, Option<(Comparison, Json)>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// The template filled in from a value. What is not there is left out.
    pub(crate) fn render(&self, value: &Json) -> String {
        let mut out = String::new();
        evaluate::render(&self.0, value, &mut out);
        out
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse::template(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(template: &str) -> String {
        let value = Json::parse(
            r#"{"items":[{"metadata":{"name":"a","annotations":{"velocity.sh/x":"y"}},"n":1.50,"conditions":[{"type":"Ready","status":"True"},{"type":"Drifted","status":"False"}]},
                {"metadata":{"name":"b"},"n":20,"conditions":[]}],"id":7}"#,
        )
        .unwrap();
        template.parse::<Template>().unwrap().render(&value)
    }

    #[test]
    fn templates_do_what_kubectl_does() {
        assert_eq!(show("{.items[*].metadata.name}"), "a b");
        assert_eq!(show(".id"), "7");
        assert_eq!(show("id={.id}!"), "id=7!");
        assert_eq!(show("{$.items[0]['metadata'].name}"), "a");
        assert_eq!(show("{.items[-1:].metadata.name}"), "b");
        assert_eq!(show("{.items[-1].metadata.name}"), "b");
        assert_eq!(show("{.items[0,1].n}"), "1.50 20");
        assert_eq!(show(r"{.items[0].metadata.annotations.velocity\.sh/x}"), "y");
        assert_eq!(show(r#"{range .items[*]}{.metadata.name}{"\t"}{.n}{"\n"}{end}"#), "a\t1.50\nb\t20\n");
        assert_eq!(show(r#"{.items[0].conditions[?(@.type=="Ready")].status}"#), "True");
        assert_eq!(show("{.items[?(@.n > 5)].metadata.name}"), "b");
        assert_eq!(show("{.items[?(@.metadata.annotations)].metadata.name}"), "a");
        assert_eq!(show("{..name}"), "a b");
        assert_eq!(show("{.items[0].conditions[0]}"), r#"{"type":"Ready","status":"True"}"#);
        assert_eq!(show("{.nothing.here}"), "");
    }

    #[test]
    fn a_broken_template_says_what_is_wrong() {
        for (template, why) in [
            ("{.a", "never closed"),
            ("{range .a}{.b}", "without {end}"),
            ("{end}", "without {range"),
            ("{.a[}", "[…]"),
            ("{.a[?(@.b)}", "[…]"),
            ("{.a[x]}", "`x`"),
            ("{a b}", "`a b`"),
        ] {
            let error = template.parse::<Template>().unwrap_err();
            assert!(error.contains(why), "{template}: {error}");
        }
    }
}
