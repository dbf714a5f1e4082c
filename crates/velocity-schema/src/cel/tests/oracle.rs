//! Where nothing is null and no decimals or types of ours are involved, an expression means what CEL says. The `cel`
//! crate's interpreter is the judge.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{array, field, s, text};
use crate::cel::{EvaluationError, compile_rule};
use crate::field::{Field, FieldType};
use crate::value::Value;

fn fields() -> Vec<Field> {
    let integer = || FieldType::Integer { min: None, max: None };
    vec![
        field("a", integer()),
        field("b", integer()),
        field("t", text(Some(20))),
        field("u", text(Some(20))),
        field("yes", FieldType::Boolean),
        field("ints", array(integer(), Some(4))),
        field("texts", array(text(Some(20)), Some(4))),
    ]
}

#[derive(Debug, Clone)]
struct Record {
    a: i64,
    b: i64,
    t: String,
    u: String,
    yes: bool,
    ints: Vec<i64>,
    texts: Vec<String>,
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3..4_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "B", "é", "aé😀", "ab"]).prop_map(str::to_owned)
}

fn record() -> impl Strategy<Value = Record> {
    let lists = (prop::collection::vec(integer(), 0..4), prop::collection::vec(word(), 0..4));
    (integer(), integer(), word(), word(), any::<bool>(), lists)
        .prop_map(|(a, b, t, u, yes, (ints, texts))| Record { a, b, t, u, yes, ints, texts })
}

fn one_of(leaves: &[&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(leaves.to_vec()).prop_map(str::to_owned).boxed()
}

fn ints(depth: u32) -> BoxedStrategy<String> {
    let leaf =
        one_of(&["self.a", "self.b", "1", "0", "-2", "size(self.t)", "size(self.ints)", "self.ints[0]"]);
    if depth == 0 {
        return leaf;
    }
    let below = ints(depth - 1);
    let operator = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
    prop_oneof![
        leaf,
        (below.clone(), operator, below.clone()).prop_map(|(l, o, r)| format!("({l} {o} {r})")),
        (bools(depth - 1), below.clone(), below.clone()).prop_map(|(c, l, r)| format!("({c} ? {l} : {r})")),
        below.prop_map(|inner| format!("-({inner})")),
    ]
    .boxed()
}

fn texts(depth: u32) -> BoxedStrategy<String> {
    let leaf = one_of(&["self.t", "self.u", "'a'", "''", "'é'", "self.texts[1]", "string(self.a)"]);
    if depth == 0 {
        return leaf;
    }
    let below = texts(depth - 1);
    prop_oneof![leaf, (below.clone(), below).prop_map(|(l, r)| format!("({l} + {r})"))].boxed()
}

fn bools(depth: u32) -> BoxedStrategy<String> {
    let leaf = one_of(&[
        "self.yes",
        "true",
        "self.a in self.ints",
        "self.t in self.texts",
        "self.texts == ['a']",
        "self.ints.map(x, x % 2) != [1, 0]",
        "self.ints.filter(x, x > 0).size() > 1",
        "self.texts.exists_one(x, x == self.t)",
        "self.ints.all(x, self.ints.exists(y, x == -y))",
        "self.texts.map(x, x != '', x + 'a') == ['aa', 'Ba']",
    ]);
    if depth == 0 {
        return leaf;
    }
    let below = bools(depth - 1);
    let comparison = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let test = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
    let quantifier = prop::sample::select(vec!["all", "exists", "exists_one"]);
    let variable = one_of(&["1 / x > 0", "x > self.a", "x * x > 1", "x + self.b != 0", "self.yes"]);
    prop_oneof![
        leaf,
        (below.clone(), below.clone()).prop_map(|(l, r)| format!("({l} && {r})")),
        (below.clone(), below.clone()).prop_map(|(l, r)| format!("({l} || {r})")),
        (below.clone(), below.clone(), below.clone()).prop_map(|(c, l, r)| format!("({c} ? {l} : {r})")),
        below.prop_map(|inner| format!("!({inner})")),
        (ints(depth), comparison(), ints(depth)).prop_map(|(l, o, r)| format!("({l} {o} {r})")),
        (texts(depth), comparison(), texts(depth)).prop_map(|(l, o, r)| format!("({l} {o} {r})")),
        (texts(1), test, texts(1)).prop_map(|(l, f, r)| format!("{l}.{f}({r})")),
        (quantifier, variable).prop_map(|(q, body)| format!("self.ints.{q}(x, {body})")),
    ]
    .boxed()
}

/// Our answer; `None` is a failure.
fn ours(rule: &str, record: &Record) -> Option<bool> {
    let values = [
        Value::Integer(record.a),
        Value::Integer(record.b),
        s(&record.t),
        s(&record.u),
        Value::Boolean(record.yes),
        Value::Array(record.ints.iter().map(|number| Value::Integer(*number)).collect()),
        Value::Array(record.texts.iter().map(|text| s(text)).collect()),
    ];
    match compile_rule(rule, &fields()).unwrap().evaluate(&values, None) {
        Ok(answer) => Some(answer),
        Err(EvaluationError::Failed(_)) => None,
        Err(over) => panic!("{rule}: {over}"),
    }
}

/// The judge's answer; `None` is a failure.
fn theirs(rule: &str, record: &Record) -> Option<bool> {
    let map: HashMap<String, cel::Value> = [
        ("a", record.a.into()),
        ("b", record.b.into()),
        ("t", record.t.clone().into()),
        ("u", record.u.clone().into()),
        ("yes", record.yes.into()),
        ("ints", record.ints.clone().into()),
        ("texts", record.texts.clone().into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let program = cel::Program::compile(rule).unwrap();
    let mut context = cel::Context::default();
    context.add_variable_from_value("self", map);
    match program.execute(&context) {
        Ok(cel::Value::Bool(answer)) => Some(answer),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn plain_expressions_mean_what_cel_says(rule in bools(3), record in record()) {
        prop_assert_eq!(ours(&rule, &record), theirs(&rule, &record));
    }
}
