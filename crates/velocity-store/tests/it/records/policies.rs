//! What row filters, conditions and views cost: every filter still finds its index.

use serde_json::json;
use velocity_schema::Value;
use velocity_schema::cel::{ActorView, Condition, RequestView};
use velocity_schema::schema::View;
use velocity_sql::Bind;
use velocity_sql::query::{ListPlan, ListRequest, Reading};

use super::world::World;

fn orders(search: &str) -> String {
    format!(
        r"
org: acme
app: tests
domain: policies
object: order
version: v1
fields:
  - {{name: code, type: string, filterable: true, sortable: true}}
  - {{name: amount, type: number, filterable: true, sortable: true}}
  - {{name: extra, type: json, filterable: true}}
  - {{name: tags, type: array, items: string, filterable: true}}
  - {{name: due, type: timestamp, filterable: true}}
  - {{name: title, type: string}}
  - {{name: note, type: string}}
  - {{name: region, type: string}}
  - {{name: team, type: string}}
search: {{{search}, fields: [title, note]}}
access:
  roles: {{create: [writer], read: [writer, regional]}}
  rowFilter:
    - {{role: regional, condition: record.region == actor.attributes.region}}
  fieldAccess:
    - {{field: note, read: [boss]}}
    - {{field: code, read: [boss, regional], masking: {{strategy: hash}}}}
  abac:
    - {{operations: [read], condition: record.team in actor.attributes.teams || record.due > request.time}}
"
    )
}

/// Ten thousand rows, one in two thousand of which each condition of the tests fits.
async fn world(search: &str) -> World {
    let world = World::new(&orders(search)).await;
    let sql = "begin; set local velocity.actor = 'me';
        insert into acme__tests__policies.order_v1 (id, code, amount, extra, tags, due, title, note, region, team)
        select md5(i::text)::uuid, 'C' || i, i, jsonb_build_object('n', i / 5, 'size', jsonb_build_object('w', i % 2000)),
          array['t' || i % 2000, 'all'], timestamptz '2026-01-01' + i * interval '1 minute', 'paper ' || md5(i::text),
          case when i % 2000 = 0 then 'a needle in it' else 'only grass' end || case when i % 4000 = 0 then ' hay' else '' end,
          case when i % 10 = 0 then 'east' else 'west' end, case when i % 3 = 0 then 'red' else 'blue' end
        from generate_series(1, 10000) i;
        update acme__tests__policies.order_v1 set title = 'a needle too' where amount in (1234, 5678); commit";
    let owner = world.database.owner().await;
    owner.batch_execute(sql).await.unwrap();
    owner.batch_execute("vacuum analyze acme__tests__policies.order_v1").await.unwrap();
    world
}

fn literal(bind: &Bind) -> String {
    let value = match &bind.value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("'{}'", item.to_text())).collect();
            format!("array[{}]", items.join(", "))
        }
        Value::Null => "null".to_owned(),
        value => format!("'{}'", value.to_text()),
    };
    format!("{value}::{}", bind.sql_type.sql())
}

/// How a list is answered, as the API's login under the domain's role, with a row filter and a condition.
async fn explained(world: &World, view: &View, pairs: &[(&str, &str)]) -> String {
    let conditions: Vec<&Condition> =
        world.schema.access().abac().iter().map(|rule| &rule.condition).collect();
    let request = RequestView { time: 1_800_000_000_000_000, operation: "read", ip: None };
    let attributes = json!({"region": "west", "teams": ["red", "blue"]}).to_string();
    let actor = ActorView { id: "mia", actor_type: "user", roles: &[], attributes: &attributes };
    let reading = Reading { view, conditions: &conditions, actor, request };
    let list = ListRequest::parse(pairs.iter().copied()).unwrap();
    let plan = ListPlan::plan(&world.schema, &list, world.records.cursor_key(), &reading).unwrap();
    let rendered = plan.render(world.table.sql());
    let mut sql = rendered.sql;
    for (index, bind) in rendered.binds.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), &literal(bind));
    }
    let mut api = world.database.client("velocity_api").await;
    let transaction = api.transaction().await.unwrap();
    let settings = format!(
        "set local role acme__tests__policies; set local velocity.actor = 'mia'; set local velocity.roles = 'regional';
         set local velocity.attributes = '{attributes}'"
    );
    transaction.batch_execute(&settings).await.unwrap();
    let rows =
        transaction.query(&format!("explain (analyze, costs off, timing off) {sql}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>().join("\n")
}

fn regional(world: &World) -> View {
    world.schema.view(&|role| role == "regional")
}

#[tokio::test]
async fn conditions_on_fields_find_their_index_under_a_row_filter_and_a_condition() {
    let world = world("tier: 1").await;
    let view = regional(&world);
    for (filter, value, index) in [
        ("filter[code]", "C77", "order_v1-code_idx"),
        ("filter[code][in]", "C77,C78", "order_v1-code_idx"),
        ("filter[code][startsWith]", "C777", "order_v1-code_idx"),
        ("filter[amount]", "77", "order_v1-amount_idx"),
        ("filter[amount][between]", "77.5,80", "order_v1-amount_idx"),
        ("filter[amount][gt]", "9995", "order_v1-amount_idx"),
        ("filter[due][lt]", "2026-01-01T00:05:00Z", "order_v1-due_idx"),
        ("filter[extra][contains]", "{\"size\": {\"w\": 77}}", "order_v1-extra_gin"),
        ("filter[extra.size.w]", "77", "order_v1-extra_gin"),
        ("filter[tags][contains]", "t77", "order_v1-tags_gin"),
    ] {
        let found = explained(&world, &view, &[(filter, value)]).await;
        assert!(!found.contains("Seq Scan"), "{filter}:\n{found}");
        assert!(found.contains(&format!("\"{index}\"")), "{filter}:\n{found}");
        assert!(found.contains("Index Cond"), "{filter}:\n{found}");
        // What asks about the actor is asked once and not for each row.
        assert!(found.contains("InitPlan"), "{filter}:\n{found}");
        for line in found.lines().filter(|line| line.contains("Filter:")) {
            assert!(!line.contains("current_setting"), "{filter}:\n{found}");
        }
    }
}

#[tokio::test]
async fn pages_are_read_in_the_order_of_an_index_under_a_row_filter_and_a_condition() {
    let world = world("tier: 1").await;
    for (sort, index) in
        [("id", "order_v1-_pkey"), ("amount", "order_v1-amount_idx"), ("-amount", "order_v1-amount_idx")]
    {
        let found = explained(&world, &regional(&world), &[("sort", sort), ("limit", "20")]).await;
        assert!(!found.contains("Seq Scan") && !found.contains("Sort"), "{sort}:\n{found}");
        let index = index.replace("-_pkey", "_pkey");
        assert!(found.contains(&index), "{sort}:\n{found}");
    }
}

#[tokio::test]
async fn a_search_finds_its_index_also_where_a_searched_field_is_hidden() {
    for (tier, view_is_whole, text, rows, indexes) in [
        ("tier: 1", true, "needle", 2, &["order_v1-title_pieces", "order_v1-note_pieces"][..]),
        ("tier: 1", false, "needle", 2, &["order_v1-title_pieces"]),
        ("tier: 2, language: english", true, "needles -hay", 2, &["order_v1-title-note_words_english"]),
        ("tier: 2, language: english", false, "needles", 2, &["order_v1-title-note_words_english"]),
        (
            "tier: 2, language: english",
            false,
            "needles -hay -grass",
            2,
            &["order_v1-title-note_words_english"],
        ),
        (
            "tier: 2, language: english",
            false,
            "\"needle too\" or trout",
            2,
            &["order_v1-title-note_words_english"],
        ),
    ] {
        let world = world(tier).await;
        let view = if view_is_whole { View::whole() } else { regional(&world) };
        let found = explained(&world, &view, &[("q", text), ("sort", "id")]).await;
        assert!(!found.contains("Seq Scan"), "{tier} {text}:\n{found}");
        for index in indexes {
            assert!(found.contains(&format!("Bitmap Index Scan on \"{index}\"")), "{tier} {text}:\n{found}");
        }
        if !view_is_whole {
            assert!(found.contains(&format!("actual rows={rows} ")), "{tier} {text}:\n{found}");
        }
    }
}
