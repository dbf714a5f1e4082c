use super::{fields, full, n, record, s};
use crate::cel::{EvaluationError, compile_rule};
use crate::value::Value;

fn holds(rule: &str, record: &[Value]) -> Result<bool, String> {
    let program = compile_rule(rule, &fields()).map_err(|e| e.to_string())?;
    program.evaluate(record, None).map_err(|e| e.to_string())
}

#[track_caller]
fn all_hold(rules: &[&str], record: &[Value]) {
    for rule in rules {
        assert_eq!(holds(rule, record), Ok(true), "{rule}");
        assert_eq!(holds(&format!("!({rule})"), record), Ok(false), "!({rule})");
    }
}

/// The rule is unknown: neither it nor its opposite is violated.
#[track_caller]
fn all_unknown(rules: &[&str], record: &[Value]) {
    for rule in rules {
        assert_eq!(holds(rule, record), Ok(true), "{rule}");
        assert_eq!(holds(&format!("!({rule})"), record), Ok(true), "!({rule})");
    }
}

#[test]
fn the_contracts_rules_hold_as_people_expect() {
    let approved_by = "self.status != 'approved' || has(self.approved_by)";
    assert_eq!(holds("self.amount > 0", &full()), Ok(true));
    assert_eq!(holds("self.amount > 0", &record(&[("amount", n("0"))])), Ok(false));
    assert_eq!(holds(approved_by, &full()), Ok(true));
    assert_eq!(holds(approved_by, &record(&[("status", s("approved"))])), Ok(false));
    assert_eq!(holds(approved_by, &record(&[("status", s("draft"))])), Ok(true));
}

#[test]
fn a_rule_on_an_absent_optional_field_does_not_fail_the_create() {
    all_unknown(
        &[
            "self.amount > 0",
            "self.status == 'draft'",
            "self.amount * 2 - 1 > self.quantity",
            "self.region.startsWith('E')",
            "'red' in self.tags",
            "self.tags.all(t, t != '')",
            "self.address.city == 'Köln'",
            "size(self.body) < 10",
            "self.due > timestamp('2024-01-01T00:00:00Z')",
            "self.amount > 0 && self.quantity > 0",
            "self.active ? true : false",
        ],
        &record(&[]),
    );
}

#[test]
fn presence_is_never_unknown() {
    all_hold(
        &["!has(self.amount)", "self.amount == null", "null == self.tags", "!has(self.address.city)"],
        &record(&[]),
    );
    all_hold(
        &[
            "has(self.amount)",
            "self.amount != null",
            "has(self.address.city)",
            "!has(self.address.old)",
            "self.address.old == null",
            "!has(self.address.city.name)",
            "has(self.tags)",
            "has(self.notes)",
        ],
        &full(),
    );
}

#[test]
fn logic_has_three_values() {
    let empty = record(&[]);
    all_hold(&["self.active || true", "true || self.active", "!(self.active && false)"], &empty);
    all_unknown(&["self.active && true", "self.active || false", "!self.active"], &empty);
}

#[test]
fn decimals_are_exact() {
    all_hold(
        &[
            "self.amount == 10.5",
            "self.amount * 3 == 31.5",
            "self.amount + 0.1 + 0.2 == 10.8",
            "0.1 + 0.2 == 0.3",
            "self.amount > self.quantity",
            "self.amount / 3 > 3.49 && self.amount / 3 < 3.51",
            "6.0 / 3 == 2",
            "self.quantity + 0.5 == 7.5",
            "self.amount in [10, 10.50]",
            "double('0.10') == 0.1",
            "-self.amount < -10",
            "9007199254740993.0 != 9007199254740992",
            "1e3 == 1000",
        ],
        &full(),
    );
}

#[test]
fn integers_divide_towards_zero() {
    all_hold(
        &[
            "self.quantity / 2 == 3",
            "-self.quantity / 2 == -3",
            "self.quantity % 4 == 3",
            "-7 % 4 == -3",
            "int(3.99) == 3",
            "int(-3.99) == -3",
            "int('42') == 42",
        ],
        &full(),
    );
}

#[test]
fn what_cannot_be_computed_is_an_error_and_not_a_panic() {
    let record = full();
    for (rule, reason) in [
        ("9223372036854775807 + self.quantity > 0", "64 bits"),
        ("-9223372036854775807 - self.quantity < 0", "64 bits"),
        ("9223372036854775807 * self.quantity > 0", "64 bits"),
        ("self.quantity / (self.quantity - 7) > 0", "division by zero"),
        ("self.quantity % (self.quantity - 7) > 0", "division by zero"),
        ("self.amount / (self.amount - 10.5) > 0", "division by zero"),
        ("self.tags[2] == ''", "no element 2"),
        ("self.sizes[self.quantity - 8] == 1", "no element -1"),
        ("self.address.lines[5] == 'x'", "no element 5"),
        ("self.address.floor == 'x'", "a number where a string"),
        ("self.address.city > 5", "a string where a number"),
        ("timestamp(self.region) > self.due", "no timestamp"),
        ("int(self.region) > 1", "no integer"),
        ("int(self.amount * 1000000000000000000) > 1", "64 bits"),
        ("'x' in self.address.city", "not an array"),
        ("self.address.floor.all(f, true)", "cannot be walked"),
        ("self.due + duration('99999999h') > self.due + duration('-99999999h')", "years 1 to 9999"),
    ] {
        let program = compile_rule(rule, &fields()).unwrap();
        match program.evaluate(&record, None) {
            Err(EvaluationError::Failed(why)) => assert!(why.contains(reason), "{rule}: {why}"),
            other => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn a_failure_beside_a_decisive_term_does_not_matter() {
    all_hold(
        &[
            "1 / (self.quantity - 7) > 0 || true",
            "true || 1 / (self.quantity - 7) > 0",
            "self.sizes.exists(s, 6 / (s - 2) == 6)",
            "!self.sizes.all(s, 6 / (s - 2) == 6)",
        ],
        &full(),
    );
}

#[test]
fn texts_compare_by_code_point_and_count_characters() {
    all_hold(
        &[
            "'B' < 'a'",
            "'z' < 'é'",
            "'\\uFFFD' < '\\U0001F600'",
            "size('Köln') == 4",
            "self.tags[1].size() == 9",
            "'Köln'.endsWith('ln')",
            "self.body.contains('quick')",
            "''.startsWith('')",
            "self.region.lowerAscii() == 'eu'",
            "'é'.upperAscii() == 'é'",
            "' x '.trim() == 'x'",
            "self.region + '-' + self.address.city == 'EU-Köln'",
            "self.body.matches('qu[a-z]+ b')",
            "!self.body.matches('^quick')",
            "r'a\\b' == 'a\\\\b'",
        ],
        &full(),
    );
}

#[test]
fn times_are_utc_and_exact() {
    all_hold(
        &[
            "self.due > timestamp('2024-02-29T00:00:00Z')",
            "self.due == timestamp('2024-02-29T14:14:15.678+01:00')",
            "self.due > '2024-02-29T00:00:00Z'",
            "self.due.getFullYear() == 2024 && self.due.getMonth() == 1 && self.due.getDate() == 29",
            "self.due.getDayOfMonth() == 28 && self.due.getDayOfWeek() == 4 && self.due.getDayOfYear() == 59",
            "self.due.getHours() == 13 && self.due.getMinutes() == 14 && self.due.getSeconds() == 15",
            "self.due.getMilliseconds() == 678",
            "self.due - timestamp('2024-02-29T13:14:15Z') == duration('678ms')",
            "self.due + duration('24h') > timestamp('2024-03-01T00:00:00Z')",
            "self.due - duration('1h') < self.due",
            "duration('90m') == duration('1h30m') && duration('90m').getHours() == 1",
            "self.day == date('2024-02-29') && self.day < '2024-03-01'",
            "date(self.due) == self.day && self.day.getDayOfWeek() == 4",
            "self.day - date('2024-02-28') == duration('24h')",
            "self.opens == time('08:30:00') && self.opens < '09:00' && self.opens.getHours() == 8",
            "string(self.day) == '2024-02-29'",
        ],
        &full(),
    );
}

#[test]
fn json_is_looked_into_by_member_and_place() {
    all_hold(
        &[
            "self.address.city == 'Köln'",
            "self.address['city'] == 'Köln'",
            "self.address.floor == 3",
            "self.address.floor > 2.5",
            "self.address.floor + 1 == 4",
            "self.address.tall",
            "self.address.lines[1] == 'b'",
            "'a' in self.address.lines",
            "!('c' in self.address.lines)",
            "self.address.lines.all(l, l != 'x')",
            "self.address.lines.exists(l, l == 'b')",
            "size(self.address.lines) == 2",
            "size(self.address) == 5",
            "self.address.exists(key, key == 'city')",
            "self.address.lines == self.address['lines']",
            "self.address.lines[0] != self.address.lines[1]",
        ],
        &full(),
    );
    all_unknown(&["self.address.nothing == 'x'", "self.address.city.name == 'x'"], &full());
}

#[test]
fn lists_are_walked_and_searched() {
    all_hold(
        &[
            "'red' in self.tags",
            "!('blue' in self.tags)",
            "self.tags.all(t, size(t) > 2)",
            "self.tags.exists(t, t.startsWith('gro'))",
            "self.tags.exists_one(t, t == 'red')",
            "!self.sizes.exists_one(x, x > 1)",
            "size(self.tags) == 2",
            "self.tags[0] == 'red'",
            "self.sizes.map(x, x * 2) == [2, 4, 6]",
            "self.sizes.filter(x, x > 1) == [2, 3]",
            "self.sizes.map(x, x > 1, x * 10) == [20, 30]",
            "2.0 in self.sizes",
            "self.notes.all(n, false)",
            "self.sizes + [4] == [1, 2, 3, 4]",
            "self.sizes.all(a, self.sizes.exists(b, a * b >= a))",
            "self.sizes.map(a, self.sizes.map(b, a * b)[0]) == [1, 2, 3]",
            "!(self.region in [])",
            "!has(self.tags[5]) && has(self.tags[1]) && self.address.lines[7] == null",
        ],
        &full(),
    );
    all_unknown(&["self.region in ['x']"], &record(&[]));
    all_hold(&["!(self.region in [])"], &record(&[]));
}

#[test]
fn uuids_and_bytes_compare_with_literals() {
    all_hold(
        &[
            "self.owner == '0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f'",
            "self.owner == '0190C8A5-7B1E-7C3A-9F00-1A2B3C4D5E6F'",
            "self.owner == self.id",
            "string(self.id).startsWith('0190')",
            "self.digest == b'\\x01\\x02\\xff'",
            "size(self.digest) == 3",
            "self.owner in ['0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f']",
        ],
        &full(),
    );
}

#[test]
fn a_rule_over_the_old_record_holds_for_updates_only() {
    let rule = compile_rule("self.amount >= oldSelf.amount", &fields()).unwrap();
    let (small, large) = (record(&[("amount", n("1"))]), record(&[("amount", n("2"))]));
    assert!(rule.uses_old());
    assert_eq!(rule.evaluate(&small, None), Ok(true));
    assert_eq!(rule.evaluate(&large, Some(&small)), Ok(true));
    assert_eq!(rule.evaluate(&small, Some(&large)), Ok(false));
    assert!(!compile_rule("self.amount > 0", &fields()).unwrap().uses_old());
}

#[test]
fn a_macro_variable_hides_an_outer_name_only_inside() {
    all_hold(&["self.sizes.all(self, self > 0) && self.quantity == 7"], &full());
    all_hold(&["self.sizes.all(x, self.tags.all(x, x != '') && x > 0)"], &full());
}
