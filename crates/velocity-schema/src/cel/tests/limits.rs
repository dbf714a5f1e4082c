//! Attacks. Each must end within its budget, measured in steps, and on a stack of a worker thread or less, in debug
//! builds as well.

use proptest::prelude::*;

use super::{fields, full, record, s};
use crate::cel::check::Checker;
use crate::cel::eval::budget::{BYTES_MAX, Budget, STEPS_MAX};
use crate::cel::eval::{Evaluator, Failure};
use crate::cel::ir::Expr;
use crate::cel::{EvaluationError, Purpose, RULE_ROOTS, compile_filter, compile_rule, cost, parse};
use crate::value::Value;

/// A tokio worker has 2 MiB, of which other frames take some.
const WORKER_STACK: usize = 1024 * 1024;

fn on_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(WORKER_STACK)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    })
}

/// The checked rule, whatever it costs.
fn unpriced(rule: &str) -> Expr {
    let syntax = parse::parse(rule).unwrap();
    Checker::new(rule, &fields(), &RULE_ROOTS, Purpose::Evaluate).condition(&syntax).unwrap()
}

/// The outcome, and the steps that were spent.
fn run(expr: &Expr, record: &[Value]) -> (Result<Option<bool>, EvaluationError>, u64) {
    let mut evaluator = Evaluator::new(record, Failure::Stops, Budget::of(STEPS_MAX, BYTES_MAX));
    let outcome = evaluator.condition(expr);
    (outcome, STEPS_MAX - evaluator.budget.steps_left())
}

fn many(count: usize) -> Value {
    Value::Array((0..count).map(|i| s(&format!("note {i}"))).collect())
}

#[test]
fn rules_that_multiply_are_refused_with_their_cost() {
    for rule in [
        "self.notes.all(a, self.notes.all(b, a != b))",
        "self.notes.all(a, self.notes.all(b, self.notes.exists(c, a + b == c)))",
        "self.notes.map(a, self.notes.map(b, a + b)).all(l, size(l) > 0)",
        "self.notes.map(a, self.body + self.body).all(t, t != '')",
    ] {
        let error = compile_rule(rule, &fields()).unwrap_err();
        assert!(error.message.contains("steps and") && error.message.contains("maxItems"), "{rule}: {error}");
    }
    insta::assert_snapshot!(
        compile_rule("self.notes.all(a, self.notes.all(b, a != b))", &fields()).unwrap_err()
    );
    let bounded = compile_rule("self.tags.all(a, self.tags.exists(b, a == b))", &fields()).unwrap();
    assert!(bounded.cost().steps < 10_000, "{:?}", bounded.cost());
}

#[test]
fn what_runs_over_its_budget_is_stopped() {
    let big = record(&[
        ("notes", many(3_000)),
        ("body", s(&"x".repeat(300_000))),
        ("address", Value::Json(format!("[{}]", vec!["[1,2,3]"; 50_000].join(",")))),
    ]);
    for rule in [
        "self.notes.all(a, self.notes.all(b, self.notes.exists(c, a + b != c)))",
        "self.notes.map(a, self.notes.map(b, a + b)).all(l, size(l) > 0)",
        "self.notes.map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a) == ['']",
        "self.body + self.body + self.body + self.body == ''",
        "self.notes.all(a, self.body.contains(a) || true)",
        "self.notes.all(a, self.body.matches('(x+x+)+y') || true)",
        "self.address.all(a, self.address.all(b, a == b || true))",
        "self.notes.all(a, self.address.size() > 0)",
        "self.notes.all(a, 1 / 0 == 1 || self.notes.exists(b, a == 'x'))",
    ] {
        let (outcome, steps) = run(&unpriced(rule), &big);
        assert_eq!(outcome, Err(EvaluationError::BudgetExceeded), "{rule} after {steps} steps");
    }
}

#[test]
fn numbers_cannot_grow_beyond_the_budget() {
    let mut product = "self.amount".to_owned();
    for _ in 0..9 {
        product = format!("({product}*{product})");
    }
    let error = compile_rule(&format!("{product} > 0"), &fields()).unwrap_err();
    assert!(error.message.contains("tokens") || error.message.contains("steps"), "{error}");
    let long = vec!["self.amount"; 30].join(" * ");
    let rule = unpriced(&format!("{long} > 1e300"));
    let (outcome, steps) = run(&rule, &full());
    assert_eq!(outcome, Ok(Some(false)));
    assert!(steps < 1_000, "{steps}");
}

#[test]
fn a_budget_is_enough_for_what_was_estimated() {
    let worst = record(&[
        ("status", s("approved")),
        ("region", s(&"é".repeat(20))),
        ("approved_by", s(&"é".repeat(100))),
        ("tags", Value::Array(vec![s(&"é".repeat(20)); 20])),
        ("sizes", Value::Array(vec![Value::Integer(i64::MAX); 20])),
        ("notes", many(1_000)),
        ("body", s(&"b".repeat(4_096))),
        ("amount", super::n("9999999999999999.99")),
    ]);
    for rule in [
        "self.tags.all(a, self.tags.all(b, a == b))",
        "self.tags.map(a, a + self.region).all(t, t.contains(self.region))",
        "self.notes.all(n, n != '')",
        "self.sizes.all(a, self.sizes.all(b, double(a) * b > 0.5 && a in self.sizes))",
        "self.body.matches('b+c') || self.body.contains('bc') || size(self.body) > 0",
        "self.amount * self.amount * self.amount / 3 > 1 && string(self.amount) != ''",
        "self.tags.filter(t, t.lowerAscii().upperAscii() == t).size() >= 0",
        "self.approved_by.endsWith(self.region) ? true : self.status in ['approved', 'draft']",
    ] {
        let expr = unpriced(rule);
        let estimate = cost::estimate(&expr, &fields());
        let (outcome, steps) = run(&expr, &worst);
        assert_eq!(outcome, Ok(Some(true)), "{rule}");
        assert!(steps <= estimate.steps, "{rule}: {steps} steps, {estimate:?}");
        assert!(estimate.is_affordable(), "{rule}: {estimate:?}");
    }
}

/// Shapes as deep as the bounds let through, or a little deeper.
fn deep_shapes() -> Vec<String> {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let chain = vec!["1"; 60].join("+");
    let mut shapes = vec![
        format!("{chain} > 0"),
        format!("{}true", "!".repeat(63)),
        format!("{}1 < 0", "- ".repeat(60)),
        format!("self.address{} == 1", ".b".repeat(60)),
        format!("self.address{} == 1", "[0]".repeat(60)),
        format!("self.region{} == ''", ".lowerAscii()".repeat(30)),
        format!("{}true", "true ? true : ".repeat(16)),
        vec!["true"; 1_200].join(" && "),
        vec!["self.active"; 600].join(" || "),
        format!("'a' in [{}]", vec!["'a'"; 2_000].join(",")),
        nested("(", "true", ")", 10),
        nested("!(", "true", ")", 10),
        nested("[", "1", "]", 9) + " == [[[[[[[[[1]]]]]]]]]",
        nested("self.sizes.all(x, ", "true", ")", 4),
    ];
    // Every bracket with as long a chain in it as may be.
    let mut inner = "1".to_owned();
    for _ in 0..9 {
        inner = format!("{}({inner})", "1+".repeat(31));
    }
    shapes.push(format!("{inner} > 0"));
    let mut inner = "true".to_owned();
    for _ in 0..9 {
        inner = format!("{}({inner})", "true ? true : ".repeat(15));
    }
    shapes.push(inner);
    shapes
}

#[test]
fn the_deepest_shapes_fit_a_workers_stack() {
    for shape in deep_shapes() {
        let shown: String = shape.chars().take(60).collect();
        let outcome = on_a_small_stack(|| compile_rule(&shape, &fields()).map(|p| p.evaluate(&full(), None)));
        if let Ok(Err(EvaluationError::BudgetExceeded)) = outcome {
            panic!("{shown}: over its budget");
        }
        on_a_small_stack(|| drop(compile_filter(&shape.replace("self", "record"), &fields(), true)));
    }
}

#[test]
fn the_worst_shapes_fit_the_parsers_stack() {
    for shape in deep_shapes() {
        // A quarter of what the parser has.
        let outcome = parse::parse_on(&shape, parse::STACK_BYTES / 4);
        assert!(!outcome.is_err_and(|e| e.message.contains("cannot be read")));
    }
}

#[test]
fn longer_and_deeper_shapes_are_refused_before_they_are_parsed() {
    for (shape, reason) in [
        (vec!["1"; 2_000].join("+"), "in a row"),
        (format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000)), "nest at most 10"),
        (format!("self.address{}", ".b".repeat(2_000)), "in a row"),
        (format!("self.address{}", "[0]".repeat(1_300)), "in a row"),
        (format!("{}true", "!".repeat(4_000)), "in a row"),
        (format!("{}1 == 1", "-".repeat(4_000)), "in a row"),
        (format!("{}true", "true?true:".repeat(900)), "in a row"),
        (format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000)), "nest at most 10"),
        (format!("{}1{}", "{1:".repeat(1_000), "}".repeat(1_000)), "nest at most 10"),
        ("x".repeat(11_000), "at most 10240 bytes"),
        (format!("[{}] == []", "1,".repeat(4_000)), "at most 4096 tokens"),
        ("(".repeat(4_000), "nest at most 10"),
        ("'".repeat(9_999), "no closing quote"),
    ] {
        let error = on_a_small_stack(|| compile_rule(&shape, &fields()).unwrap_err());
        assert!(error.message.contains(reason), "{}: {error}", &shape[..20]);
    }
}

const PIECES: [&str; 48] = [
    "self",
    ".",
    "amount",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'a'",
    "1",
    "2.5",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">",
    "&&",
    "||",
    "!",
    "?",
    ":",
    ",",
    "in",
    "has",
    "all",
    "exists",
    "map",
    "x",
    "tags",
    "address",
    "true",
    "null",
    "timestamp",
    "'2024-01-01T00:00:00Z'",
    "duration",
    "size",
    "\"",
    "//",
    "\n",
    "é",
    "b'\\x00'",
    "0x1F",
    ".?",
];

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,80}") {
        let _ = compile_rule(&text, &fields());
    }

    #[test]
    fn any_row_of_tokens_is_compiled_or_refused(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: Vec<&str> = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        if let Ok(rule) = compile_rule(&text.join(" "), &fields()) {
            let _ = rule.evaluate(&full(), None);
        }
        let _ = compile_rule(&text.concat(), &fields());
    }
}
