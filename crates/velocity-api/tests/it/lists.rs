//! Lists: what is asked for in the query string.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn pages_follow_each_other_by_cursor_without_loss() {
    let app = App::new().await;
    let client = app.as_writer();
    for n in 0..7 {
        client.order(&format!("A-{n}"), &format!("{}", n % 3), None).await;
    }
    let (mut codes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            client.get(&format!("?sort=-amount&limit=3&fields=code,amount{cursor}")).await.is(200).json();
        for record in page["data"].as_array().unwrap() {
            assert_eq!(record.as_object().unwrap().len(), 2);
            codes.push(record["code"].as_str().unwrap().to_owned());
        }
        assert_eq!(page["pagination"]["limit"], 3);
        match page["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut unique = codes.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((codes.len(), unique.len()), (7, 7), "{codes:?}");
    assert!(codes[0] == "A-2" || codes[0] == "A-5", "{codes:?}");
}

#[tokio::test]
async fn conditions_are_bound_by_the_fields_type() {
    let app = App::new().await;
    let client = app.as_writer();
    client.order("A", "10", Some("west")).await;
    client.order("B", "11", None).await;
    for (query, expected) in [
        ("filter[amount][gte]=10.5", 1),
        ("filter[amount][gte]=10", 2),
        ("filter[amount][between]=10,11", 2),
        ("filter%5Bcode%5D=A", 1),
        ("filter[region][isNull]=true", 1),
        ("filter[code][in]=A,B&filter[amount][lt]=11", 1),
    ] {
        let found = client.get(&format!("?{query}")).await.is(200).data();
        assert_eq!(found.as_array().unwrap().len(), expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_unknown_or_not_allowed_in_a_query_is_refused_by_name() {
    let app = App::new().await;
    let client = app.as_writer();
    for (query, code, hint) in [
        ("limt=1", "VALIDATION_ERROR", "did you mean `limit`"),
        ("filter[amout]=1", "VALIDATION_ERROR", "amount"),
        ("filter[note]=1", "FIELD_NOT_FILTERABLE", "filterable"),
        ("sort=note", "FIELD_NOT_FILTERABLE", "sortable"),
        ("filter[amount]=abc", "VALIDATION_ERROR", "number"),
        ("offset=990&limit=20", "PAGINATION_LIMIT_EXCEEDED", "nextCursor"),
        ("cursor=abc", "MALFORMED_REQUEST", "cursor"),
        ("limit=%zz", "MALFORMED_REQUEST", "percent-encoded"),
        ("filter[code]=%00", "VALIDATION_ERROR", ""),
    ] {
        let problem = client.get(&format!("?{query}")).await.is_problem(400, code);
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{query}: {problem}");
    }
}

#[tokio::test]
async fn counts_come_only_when_asked_for() {
    let app = App::new().await;
    let client = app.as_writer();
    client.order("A", "10", None).await;
    let plain = client.get("").await.is(200).json();
    assert_eq!(plain["pagination"], json!({ "limit": 100, "nextCursor": null }));
    let counted = client.get("?count=exact").await.is(200).json();
    assert_eq!(counted["pagination"]["total"], 1);
}
