use super::fields;
use crate::cel::{compile_filter, compile_rule};

fn rule_errors(rules: &[&str]) -> String {
    let shown = |rule: &&str| match compile_rule(rule, &fields()) {
        Ok(_) => format!("{rule}\n  accepted\n"),
        Err(error) => format!("{rule}\n  {error}\n"),
    };
    rules.iter().map(shown).collect()
}

fn filter_errors(filters: &[&str]) -> String {
    let shown = |filter: &&str| match compile_filter(filter, &fields(), true) {
        Ok(_) => format!("{filter}\n  accepted\n"),
        Err(error) => format!("{filter}\n  {error}\n"),
    };
    filters.iter().map(shown).collect()
}

#[test]
fn names_that_are_unknown_come_with_the_nearest_known() {
    insta::assert_snapshot!(rule_errors(&[
        "self.amout > 0",
        "self.xyz == 1",
        "true &&\n  self.aproved_by == ''",
        "amount > 0",
        "slef.amount > 0",
        "self == null",
        "actor.id == 'x'",
        "self.tags.all(t, tt != '')",
        "self.region.startWith('x')",
        "now() > self.due",
        "self.amount.city == 1",
        "self['amuont'] > 1",
        "'Köln' == self.adress.city",
    ]));
}

#[test]
fn values_of_the_wrong_type_are_refused_where_they_stand() {
    insta::assert_snapshot!(rule_errors(&[
        "self.amount",
        "self.amount > '5'",
        "self.amount == true",
        "self.status == 'aproved'",
        "self.status in ['draft', 'done']",
        "'done' != self.status",
        "self.region > 5",
        "self.due > '2024-13-01T00:00:00Z'",
        "self.due > timestamp('yesterday')",
        "self.day == '2024-02-30'",
        "self.owner == 'x'",
        "self.opens == '25:00'",
        "self.due == self.day",
        "self.due + self.due > self.due",
        "self.due + duration('1 day') > self.due",
        "self.address == self.due",
        "self.address.a < self.address.b",
        "self.active < true",
        "self.tags == [1]",
        "1 in self.tags",
        "'x' in self.region",
        "[1, 'a'] == [1]",
        "[null] == [1]",
        "self.amount < null",
        "null == null",
        "!self.amount",
        "-self.region == ''",
        "self.amount % 2 == 0",
        "self.active ? 1 : 'x'",
        "has(self.amount > 1)",
        "has(self)",
        "self.region.matches(self.body)",
        "self.region.matches('(')",
        "self.region.matches('(a{1000}){1000}')",
        "self.due.getHours('Europe/Berlin') == 1",
        "self.day.getHours() == 1",
        "self.tags[-1] == ''",
        "self.tags['x'] == ''",
        "self.amount.all(x, true)",
        "self.tags.all(1, true)",
        "self.tags.all(t)",
        "size(self.amount) == 1",
        "size() == 1",
        "string(self.address.lines) == ''",
        "string(self.tags) == ''",
    ]));
}

#[test]
fn what_is_no_expression_is_refused_where_it_goes_wrong() {
    insta::assert_snapshot!(rule_errors(&[
        "",
        "  // nothing",
        "self.amount >",
        "self.amount > > 1",
        "self.amount = 1",
        "self.amount > 0 and self.quantity > 0",
        "self.active & self.active",
        "(self.amount > 0",
        "self.amount > 0)",
        "self.tags[0 == ''",
        "self.region == 'x",
        "self.region == 'ä\\q'",
        "'Köln' == 'x' && self. == 1",
        "self.`a-b` == 1",
        "{'a': 1}.a == 1",
        "Thing{a: 1} == 1",
        "self.?amount == 1",
        "1u == 1",
        "99999999999999999999 > self.quantity",
        "1e999999 > self.amount",
        "1.2.3 > self.amount",
        "self.if == 1",
        "self.in == 1",
        "self['in'] == 1",
        "if == 1",
        ".self.amount > 0",
        "'a\\x00' == self.region",
        "self.amount > 0;",
    ]));
}

#[test]
fn filters_that_sql_cannot_do_are_refused_with_another_way() {
    insta::assert_snapshot!(filter_errors(&[
        "record.tags.exists(t, t == 'red')",
        "record.region.matches('^E')",
        "record.region.trim() == 'EU'",
        "record.amount / 3 > 1.5",
        "size(record.address) > 1",
        "(record.due + duration('1h')).getHours() > 3",
        "(record.due - record.due).getHours() > 3",
        "record.tags[record.quantity] == 'x'",
        "timestamp(record.region) > record.due",
        "double(record.region) > 1",
        "string(record.amount) == '1'",
        "record.active in record.address.flags",
        "record.quantity in record.address.sizes",
        "self.amount > 0",
        "actor.name == 'x'",
        "actor.attributes.region",
        "record.region == actor.attributes.region",
        "record.quantity / 2 == 3",
    ]));
}
