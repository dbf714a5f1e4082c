use super::{fields, full, record, s};
use crate::cel::{ActorView, compile_filter};
use crate::value::Value;

const ROLES: [&str; 2] = ["reader", "region-manager"];

fn sees(filter: &str, record: &[Value]) -> Option<bool> {
    let roles = ROLES.map(str::to_owned);
    let actor = ActorView {
        id: "ada",
        actor_type: "user",
        roles: &roles,
        attributes: r#"{"region":"EU","limit":10.5,"regions":["EU","US",5],"senior":true,"owner":"0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f","level":5}"#,
    };
    compile_filter(filter, &fields(), true).unwrap().truth(record, Some(actor)).unwrap()
}

#[test]
fn filters_ask_about_the_record_and_the_actor() {
    for filter in [
        "record.region == actor.attributes.region",
        "record.region in actor.attributes.regions",
        "record.amount <= actor.attributes.limit",
        "actor.attributes.senior",
        "record.owner == actor.attributes.owner",
        "record.approved_by == actor.id",
        "'region-manager' in actor.roles",
        "!('admin' in actor.roles)",
        "actor.type == 'user'",
        "record.status in ['draft', 'approved'] && 'red' in record.tags",
        "record.address.city == 'Köln'",
    ] {
        assert_eq!(sees(filter, &full()), Some(true), "{filter}");
    }
}

#[test]
fn what_is_missing_or_of_another_type_hides() {
    for filter in [
        "record.region == actor.attributes.nothing",
        "record.region != actor.attributes.nothing",
        "record.region == actor.attributes.level",
        "record.region != actor.attributes.level",
        "record.owner == actor.id",
        "record.region in actor.attributes.region",
        "record.quantity / (record.quantity - 7) == 1",
        "record.tags[5] == 'x'",
    ] {
        assert_eq!(sees(filter, &full()), None, "{filter}");
    }
    assert_eq!(sees("record.region == actor.attributes.region", &record(&[])), None);
    assert_eq!(sees("record.region != 'EU'", &record(&[])), None);
}

#[test]
fn nobody_is_unknown() {
    for filter in
        ["record.region == actor.attributes.region", "!('admin' in actor.roles)", "actor.id != 'ada'"]
    {
        let filter = compile_filter(filter, &fields(), true).unwrap();
        assert!(filter.uses_actor());
        assert_eq!(filter.evaluate(&full(), None), Ok(false), "{}", filter.source());
        let nobody = ActorView { id: "", actor_type: "", roles: &[], attributes: "" };
        assert_eq!(filter.evaluate(&full(), Some(nobody)), Ok(false), "{}", filter.source());
    }
}

#[test]
fn integers_of_a_filter_do_not_overflow() {
    let huge = record(&[("quantity", Value::Integer(i64::MAX)), ("region", s("EU"))]);
    assert_eq!(sees("record.quantity * record.quantity > record.quantity", &huge), Some(true));
    assert_eq!(sees("record.quantity + 1 > record.quantity", &huge), Some(true));
}

#[test]
fn the_filter_of_an_index_sees_no_actor() {
    let error = compile_filter("record.region == actor.id", &fields(), false).unwrap_err();
    assert!(error.message.contains("`actor` is not known"), "{error}");
    assert!(!compile_filter("record.active", &fields(), false).unwrap().uses_actor());
}
