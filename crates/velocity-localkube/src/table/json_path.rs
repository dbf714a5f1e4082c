//! The JSONPath of printer columns: fields, quoted fields, indexes, `[*]` and filters that compare.

use serde_json::Value;

/// A path that cannot be read; `at` is the byte offset.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem} at {at}")]
pub(crate) struct PathError {
    path: String,
    problem: &'static str,
    at: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Filter { path: Vec<Step>, test: Option<(Comparison, Value)> },
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

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// A parsed path.
#[derive(Debug, Clone)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

impl JsonPath {
    pub(crate) fn parse(path: &str) -> Result<Self, PathError> {
        let mut parser = Parser { path, at: 0 };
        if parser.rest().starts_with(['$', '@']) {
            parser.at += 1;
        }
        let steps = parser.steps()?;
        if parser.rest().is_empty() { Ok(Self { steps }) } else { Err(parser.error("unexpected text")) }
    }

    /// What the path finds, in document order; missing members find nothing.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        walk(&self.steps, value)
    }
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| take(step, value)).collect();
    }
    found
}

fn take<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let Some(list) = value.as_array() else { return Vec::new() };
            let place = if *index < 0 {
                list.len().checked_sub(index.unsigned_abs().try_into().unwrap_or(0))
            } else {
                usize::try_from(*index).ok()
            };
            place.and_then(|place| list.get(place)).into_iter().collect()
        }
        Step::All => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(object) => object.values().collect(),
            _ => Vec::new(),
        },
        Step::Filter { path, test } => {
            let Some(list) = value.as_array() else { return Vec::new() };
            list.iter()
                .filter(|item| {
                    walk(path, item).first().is_some_and(|found| {
                        test.as_ref().is_none_or(|(comparison, wanted)| compare(found, *comparison, wanted))
                    })
                })
                .collect()
        }
    }
}

fn compare(found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    use std::cmp::Ordering;
    let order = match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => return matches!(comparison, Comparison::NotEqual) != (a == b),
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

struct Parser<'a> {
    path: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.path[self.at..]
    }

    fn error(&self, problem: &'static str) -> PathError {
        PathError { path: self.path.to_owned(), problem, at: self.at }
    }

    fn eat(&mut self, text: &str) -> bool {
        let hit = self.rest().starts_with(text);
        if hit {
            self.at += text.len();
        }
        hit
    }

    fn skip_spaces(&mut self) {
        while self.eat(" ") {}
    }

    fn steps(&mut self) -> Result<Vec<Step>, PathError> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                return Err(self.error("recursive descent is not supported"));
            } else if self.eat(".") {
                if self.eat("*") {
                    steps.push(Step::All);
                } else if !self.rest().starts_with('[') {
                    steps.push(Step::Field(self.name()?));
                }
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    /// A field name; a backslash takes the next character as it is.
    fn name(&mut self) -> Result<String, PathError> {
        let mut name = String::new();
        let mut characters = self.rest().char_indices();
        let mut end = self.rest().len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' => {
                    end = at;
                    break;
                }
                other => name.push(other),
            }
        }
        self.at += end;
        if name.is_empty() { Err(self.error("a field name is missing")) } else { Ok(name) }
    }

    fn bracket(&mut self) -> Result<Step, PathError> {
        self.skip_spaces();
        let step = if self.eat("*") {
            Step::All
        } else if self.eat("?(") {
            self.filter()?
        } else if self.rest().starts_with(['\'', '"']) {
            Step::Field(self.quoted()?)
        } else {
            let end = self.rest().find(']').ok_or_else(|| self.error("] is missing"))?;
            let index =
                self.rest()[..end].trim().parse().map_err(|_| self.error("an index is not a number"))?;
            self.at += end;
            Step::Index(index)
        };
        self.skip_spaces();
        if self.eat("]") { Ok(step) } else { Err(self.error("] is missing")) }
    }

    fn quoted(&mut self) -> Result<String, PathError> {
        let quote = &self.rest()[..1];
        self.at += 1;
        let end = self.rest().find(quote).ok_or_else(|| self.error("a quote is not closed"))?;
        let text = self.rest()[..end].to_owned();
        self.at += end + 1;
        Ok(text)
    }

    fn filter(&mut self) -> Result<Step, PathError> {
        self.skip_spaces();
        if !self.eat("@") {
            return Err(self.error("a filter starts with @"));
        }
        let path = self.steps()?;
        self.skip_spaces();
        let comparison = COMPARISONS.iter().find(|(text, _)| self.rest().starts_with(text));
        let test = match comparison {
            None => None,
            Some((text, comparison)) => {
                self.at += text.len();
                self.skip_spaces();
                Some((*comparison, self.literal()?))
            }
        };
        self.skip_spaces();
        if self.eat(")") { Ok(Step::Filter { path, test }) } else { Err(self.error(") is missing")) }
    }

    fn literal(&mut self) -> Result<Value, PathError> {
        if self.rest().starts_with(['\'', '"']) {
            return self.quoted().map(Value::String);
        }
        let end = self.rest().find(')').ok_or_else(|| self.error(") is missing"))?;
        let value = serde_json::from_str(self.rest()[..end].trim())
            .map_err(|_| self.error("a filter compares with a string, a number or true and false"))?;
        self.at += end;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::JsonPath;

    fn find(path: &str) -> Vec<String> {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "spec": {"list": [{"n": 1}, {"n": 2}]},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Drifted", "status": "False"}]}
        });
        JsonPath::parse(path).unwrap().find(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_find_fields_items_and_conditions() {
        assert_eq!(find(".status.conditions[?(@.type==\"Ready\")].status"), ["\"True\""]);
        assert_eq!(find(".status.conditions[?(@.type=='Drifted')].status"), ["\"False\""]);
        assert_eq!(find(".spec.list[*].n"), ["1", "2"]);
        assert_eq!(find(".spec.list[-1].n"), ["2"]);
        assert_eq!(find(".spec.list[?(@.n > 1)].n"), ["2"]);
        assert_eq!(find(r".metadata.annotations.a\.b/c"), ["\"x\""]);
        assert_eq!(find(".metadata.annotations['a.b/c']"), ["\"x\""]);
        assert_eq!(find(".spec.missing.deep"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_path_says_where() {
        for path in [".spec.list[", ".spec[?(@.a==]", ".spec..x", "spec extra"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
