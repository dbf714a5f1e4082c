//! Search: declared, another tier, another language, other fields, and back.

use serde_json::{Value as Json, json};
use velocity_schema::Schema;

use super::{MONTH, applied, blocked, changed, provisioned, shown};
use crate::ddl::live::{Live, Trigrams};
use crate::ddl::plan;

fn searched(search: Json) -> Schema {
    changed(|spec| {
        spec["fields"].as_array_mut().unwrap().push(json!({"name": "note", "type": "string"}));
        if !search.is_null() {
            spec["search"] = search;
        }
    })
}

fn change(from: Json, to: Json) -> String {
    shown(&applied(&searched(to), &provisioned(&searched(from))))
}

#[test]
fn another_tier_language_or_list_of_fields_is_built_beside_the_old_index_which_goes_last() {
    let pieces = || json!({"tier": 1, "fields": ["code", "note"]});
    let words = |language: &str| json!({"tier": 2, "fields": ["code", "note"], "language": language});
    let all = [
        ("none to 1", json!(null), pieces()),
        ("1 to 2", pieces(), words("simple")),
        ("2 to 1", words("simple"), pieces()),
        ("simple to english", words("simple"), words("english")),
        ("a field less on 1", pieces(), json!({"tier": 1, "fields": ["note"]})),
        ("a field less on 2", words("simple"), json!({"tier": 2, "fields": ["note"]})),
        ("2 to none", words("simple"), json!(null)),
    ];
    let all: Vec<String> =
        all.into_iter().map(|(what, from, to)| format!("{what}:\n{}", change(from, to))).collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn what_is_searched_already_needs_nothing() {
    for search in
        [json!({"tier": 1, "fields": ["code", "note"]}), json!({"tier": 2, "fields": ["code", "note"]})]
    {
        let schema = searched(search);
        let plan = plan(&schema, &provisioned(&schema), MONTH);
        assert!(plan.is_empty(), "{plan:#?}");
    }
}

#[test]
fn the_statements_say_tier_and_language() {
    let live = provisioned(&searched(json!(null)));
    let sql = |search: Json| {
        let steps = applied(&searched(search), &live);
        steps.into_iter().map(|step| step.sql).find(|sql| sql.starts_with("create index")).unwrap()
    };
    insta::assert_snapshot!(
        [
            sql(json!({"tier": 1, "fields": ["note"]})),
            sql(json!({"tier": 2, "fields": ["code", "status", "note"], "language": "german"})),
        ]
        .join("\n")
    );
}

#[test]
fn the_extension_is_made_where_it_can_be_and_used_where_it_is() {
    let wanted = searched(json!({"tier": 1, "fields": ["note"]}));
    let at = |trigrams: Trigrams| Live { trigrams, ..provisioned(&searched(json!(null))) };
    let steps = applied(&wanted, &at(Trigrams::Available));
    assert!(
        steps[0].sql.ends_with("create extension if not exists pg_trgm with schema platform"),
        "{}",
        steps[0].sql
    );
    assert!(
        steps[1].sql.ends_with("using gin (\"note\" collate \"default\" \"platform\".gin_trgm_ops)"),
        "{}",
        steps[1].sql
    );
    let steps = applied(&wanted, &at(Trigrams::In("my ext".to_owned())));
    assert!(steps[0].sql.ends_with("\"my ext\".gin_trgm_ops)"), "{}", steps[0].sql);
    // The index is the same one, wherever its operator class is.
    let moved = Live { trigrams: Trigrams::In("public".to_owned()), ..provisioned(&wanted) };
    assert!(plan(&wanted, &moved, MONTH).is_empty());
}

#[test]
fn without_the_extension_tier_1_is_blocked_with_a_way_out_and_tier_2_is_not() {
    let wanted = searched(json!({"tier": 1, "fields": ["note"]}));
    let live = Live { trigrams: Trigrams::Unavailable, ..provisioned(&searched(json!(null))) };
    assert!(blocked(&wanted, &live).contains("create extension pg_trgm [breaking, NONE, refused]"));
    let plan = plan(&wanted, &live, MONTH);
    let reason = plan.steps.iter().find_map(|step| step.reason.as_deref()).unwrap();
    assert!(reason.contains("postgresql-contrib") && reason.contains("use tier 2"), "{reason}");
    let new = Live { targets: live.targets.clone(), ..Live::default() };
    assert!(blocked(&wanted, &new).contains("create extension pg_trgm"));
    applied(&searched(json!({"tier": 2, "fields": ["note"]})), &live);
}

#[test]
fn the_index_of_a_renamed_field_is_renamed_and_not_built_again() {
    for search in [json!({"tier": 1, "fields": ["note"]}), json!({"tier": 2, "fields": ["code", "note"]})] {
        let live = provisioned(&searched(search.clone()));
        let renamed = changed(|spec| {
            let field = json!({"name": "remark", "type": "string", "renamedFrom": "note"});
            spec["fields"].as_array_mut().unwrap().push(field);
            spec["search"] = search;
            for field in spec["search"]["fields"].as_array_mut().unwrap() {
                if *field == "note" {
                    *field = json!("remark");
                }
            }
        });
        let steps = shown(&applied(&renamed, &live));
        assert!(
            steps.contains("rename index ") && !steps.contains("build") && !steps.contains("drop"),
            "{steps}"
        );
    }
}
