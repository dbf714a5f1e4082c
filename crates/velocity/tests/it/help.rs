use crate::harness::Home;

#[test]
fn the_overview_fits_a_screen_and_names_every_command() {
    let home = Home::new();
    insta::assert_snapshot!(home.run("--help").ok());
}

#[test]
fn each_command_explains_itself() {
    let home = Home::new();
    for command in [
        "apply",
        "get",
        "describe",
        "delete",
        "diff",
        "approve",
        "drift",
        "reconcile",
        "explain",
        "validate",
        "record",
        "record import",
        "record create",
        "record list",
        "history",
        "context add",
        "auth token",
        "auth login",
        "auth revoke",
        "grant",
        "revoke",
        "role list",
        "can-i",
        "api-key create",
        "api-key list",
        "api-key rotate",
    ] {
        let text = home.run(&format!("{command} --help")).ok();
        insta::assert_snapshot!(command.replace(' ', "_"), text);
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let home = Home::new();
    for line in
        ["", "aply", "record list", "get sd --nope", "get sd -o xml", "context add x --server nonsense"]
    {
        assert_eq!(home.run(line).code, 2, "{line}");
    }
}

#[test]
fn completion_scripts_are_made_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&format!("completion {shell}")).ok().contains("velocity"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let mut child = home.start("completion bash");
    drop(child.stdout.take());
    let run = crate::harness::Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.all());
}
