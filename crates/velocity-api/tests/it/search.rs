//! `q` on lists and exports.

use serde_json::json;
use velocity_api::Config;

use crate::app::{App, Client, ORDERS};

async fn app(search: &str) -> App {
    let spec = ORDERS.replace("access:\n", &format!("{search}\naccess:\n"));
    let app = App::with(&spec, Config::default()).await;
    let client = app.as_writer();
    for (code, note, region) in
        [("A", "Red shoes, 50% off", "west"), ("B", "A red hat", "east"), ("C", "Blaue Hüte", "west")]
    {
        client.post("", &json!({"code": code, "amount": 1, "note": note, "region": region})).await.is(201);
    }
    app
}

async fn codes(client: &Client<'_>, query: &str) -> String {
    let found = client.get(query).await.is(200).data();
    found.as_array().unwrap().iter().map(|record| record["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_searched_by_the_tier_of_the_schema() {
    let pieces = app("search: { tier: 1, fields: [note, region] }").await;
    let words = app("search: { tier: 2, fields: [note, region], language: english }").await;
    for (query, in_pieces, in_words) in [
        ("?q=red&sort=code", "AB", "AB"),
        ("?q=RE&sort=code", "AB", ""),
        ("?q=shoe+west", "A", "A"),
        ("?q=50%25+off", "A", "A"),
        ("?q=%25", "A", ""),
        ("?q=h%C3%BCt", "C", ""),
        ("?q=H%C3%9CTE", "C", "C"),
        ("?q=red&filter[code]=B&count=exact", "B", "B"),
        ("?q=red&sort=-code&limit=1", "B", "B"),
        ("?q=%27%29+or+true+--", "", ""),
    ] {
        assert_eq!(codes(&pieces.as_writer(), query).await, in_pieces, "{query}");
        assert_eq!(codes(&words.as_writer(), query).await, in_words, "{query}");
    }
}

#[tokio::test]
async fn a_search_goes_on_behind_its_own_cursor_only() {
    let app = app("search: { tier: 1, fields: [note] }").await;
    let client = app.as_writer();
    let first = client.get("?q=red&sort=code&limit=1").await.is(200).json();
    let cursor = first["pagination"]["nextCursor"].as_str().unwrap();
    assert_eq!(codes(&client, &format!("?q=red&sort=code&limit=1&cursor={cursor}")).await, "B");
    for query in ["?q=hat", "?", "?q=Red"] {
        let problem = client.get(&format!("{query}&sort=code&limit=1&cursor={cursor}")).await;
        let problem = problem.is_problem(400, "MALFORMED_REQUEST");
        assert!(problem["detail"].as_str().unwrap().contains("keep filter, sort and q"), "{problem}");
    }
}

#[tokio::test]
async fn an_export_has_what_a_search_finds() {
    let app = app("search: { tier: 2, fields: [note] }").await;
    let csv = app
        .as_roles(&["admin", "reader"])
        .get("/export?format=csv&fields=code&sort=code&q=red")
        .await
        .is(200);
    assert_eq!(csv.body, "code\r\nA\r\nB\r\n");
}

#[tokio::test]
async fn a_text_that_cannot_be_searched_for_is_refused_with_a_way_out() {
    let searched = app("search: { tier: 1, fields: [note] }").await;
    let plain = App::new().await;
    let long = "x".repeat(1001);
    let many = "x+".repeat(33);
    for (app, query, hint) in [
        (&plain, "q=x", "set `searchable: true`"),
        (&searched, "q=", "is empty"),
        (&searched, "q=+%09", "is empty"),
        (&searched, "q=a%00b", "U+0000"),
        (&searched, &format!("q={long}"), "more than 1000 characters"),
        (&searched, &format!("q={many}"), "has 33 words"),
    ] {
        for route in ["", "/export"] {
            let problem = app.as_roles(&["admin", "reader"]).get(&format!("{route}?{query}")).await;
            let problem = problem.is_problem(400, "VALIDATION_ERROR");
            assert!(problem["detail"].as_str().unwrap().contains(hint), "{query}: {problem}");
        }
    }
    searched.as_writer().get("?q=a&q=b").await.is_problem(400, "MALFORMED_REQUEST");
    searched.as_writer().post("/search", &json!({"q": "x"})).await.is_problem(404, "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn more_words_than_the_index_takes_are_the_callers_error() {
    let app = app("search: { tier: 2, fields: [note] }").await;
    let note = (0..200_000).map(|n| format!("{n:07}")).collect::<Vec<_>>().join(" ");
    let reply = app.as_writer().post("", &json!({"code": "L", "amount": 1, "note": note})).await;
    let problem = reply.is_problem(400, "VALIDATION_ERROR");
    assert!(problem.to_string().contains("too many words"), "{problem}");
}
