//! What an import survives: each good row is there exactly once afterwards.

use crate::fake_api::{FakeApi, Fault};
use crate::harness::{Home, Run, eventually};

const ROWS: usize = 60;
const COMMAND: &str = "record import order -f o.csv --batch 5";

fn orders(home: &Home) {
    let rows: Vec<String> = (0..ROWS).map(|row| format!("O-{row},{row}\n")).collect();
    home.write("o.csv", format!("id,amount\n{}", rows.concat()));
}

fn assert_each_row_once(api: &FakeApi) {
    let world = api.world();
    assert_eq!(world.created.len(), ROWS);
    assert!(world.created.values().all(|times| *times == 1), "{:?}", world.created);
}

#[test]
fn lost_answers_and_busy_servers_double_nothing() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    api.world().faults.extend([
        Fault::AnswerLost,
        Fault::Busy,
        Fault::AnswerLost,
        Fault::Busy,
        Fault::Busy,
        Fault::AnswerLost,
    ]);
    let run = home.run(COMMAND);
    assert_eq!(run.last_line(), "imported 60, skipped 0, rejected 0", "{}", run.all());
    assert_each_row_once(&api);
    assert!(api.world().replays > 0);
}

#[test]
fn a_server_that_has_just_started_may_not_know_the_schema_for_a_moment() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    api.world().faults.extend([Fault::Slow, Fault::AnswerLost, Fault::Ignorant, Fault::Ignorant]);
    let run = home.run(COMMAND);
    assert_eq!(run.last_line(), "imported 60, skipped 0, rejected 0", "{}", run.all());
    assert_each_row_once(&api);
    // Without an outage before it, a schema that is not there is not waited for.
    api.world().faults.push_back(Fault::Ignorant);
    let run = home.run(&format!("{COMMAND} --anew"));
    assert_eq!(run.code, 3, "{}", run.all());
}

#[test]
fn a_killed_import_goes_on_where_it_was() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    api.world().always_slow = true;
    let mut child = home.start(COMMAND);
    eventually("the fourth batch", || api.world().bulks >= 4);
    child.kill().unwrap();
    child.wait().unwrap();
    api.world().always_slow = false;
    assert!(api.world().records.len() < ROWS, "the kill came too late to show anything");
    let run = home.run(COMMAND);
    assert_eq!(run.last_line(), "imported 60, skipped 0, rejected 0", "{}", run.all());
    assert_each_row_once(&api);
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_on_its_way_and_says_how_to_go_on() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    api.world().always_slow = true;
    let child = home.start(COMMAND);
    eventually("the second batch", || api.world().bulks >= 2);
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let run = Run::from(child.wait_with_output().unwrap());
    api.world().always_slow = false;
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("run the same command again"), "{}", run.all());
    let stored = api.world().records.len();
    assert!(stored < ROWS, "the interrupt came too late to show anything");
    assert_eq!(
        run.last_line(),
        format!("imported {stored}, skipped 0, rejected 0"),
        "what was sent was waited for"
    );
    home.run(COMMAND).ok();
    assert_each_row_once(&api);
}

#[test]
fn a_server_that_is_gone_for_good_ends_the_import_with_6() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    api.world().always_slow = true;
    let child = home.start(COMMAND);
    eventually("the second batch", || api.world().bulks >= 2);
    let id = child.id().to_string();
    api.crash();
    // Two minutes of patience are too many for a test: an interrupt ends them.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 6, "{}", run.all());
    assert!(run.stderr.contains("imports no row twice"), "{}", run.all());
}

#[test]
fn rows_that_failed_for_want_of_a_target_are_tried_anew() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.world().customers = vec!["C-1".into()];
    home.write("o.csv", "id,customer\nA,C-1\nB,C-2\nC,C-3\n");
    let command = "record import order -f o.csv --rejects bad.csv";
    assert_eq!(home.run(command).last_line(), "imported 1, skipped 0, rejected 2");
    api.world().customers.push("C-2".into());
    // The server answers from memory that two rows failed; one of them would not any more.
    assert_eq!(home.run(command).last_line(), "imported 2, skipped 0, rejected 1");
    api.world().customers.push("C-3".into());
    assert_eq!(home.run(command).last_line(), "imported 3, skipped 0, rejected 0");
    assert_eq!(home.run(command).last_line(), "imported 3, skipped 0, rejected 0");
    assert_eq!(home.read("bad.csv"), "line,reason,row\n");
    assert!(api.world().created.values().all(|times| *times == 1));
}

#[test]
fn the_rejects_of_a_resumed_import_are_complete() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("o.csv", "id,amount\nA,1\nB,bad\nC,2\nD,worse\n");
    let command = "record import order -f o.csv --batch 1 --rejects bad.csv";
    home.run(command);
    let first = home.read("bad.csv");
    let run = home.run(command);
    assert_eq!(run.last_line(), "imported 2, skipped 0, rejected 2", "{}", run.all());
    assert_eq!(home.read("bad.csv"), first);
    assert!(first.contains("3,\"amount: must be a number\",\"B,bad\"\n"), "{first}");
}

#[test]
fn an_import_is_repeated_only_when_that_is_asked_for() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    orders(&home);
    assert!(!home.run(COMMAND).stderr.contains("earlier run"));
    let again = home.run(COMMAND);
    assert_eq!(again.last_line(), "imported 60, skipped 0, rejected 0");
    assert!(again.stderr.contains("60 of these rows were imported by an earlier run"), "{}", again.all());
    assert_each_row_once(&api);
    // Every id is taken by now, which shows that the server was really asked.
    let anew = home.run(&format!("{COMMAND} --anew"));
    assert_eq!(anew.last_line(), "imported 0, skipped 0, rejected 60", "{}", anew.all());
}
