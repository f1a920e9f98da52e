//! What the command line promises in every command: help, exit codes, streams, colour, pipes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const DUMP: &str = "testdata/example/config_dump.json";

/// Runs the program from the project's root, away from the user's environment.
struct TestEnv {
    variables: Vec<(&'static str, &'static str)>,
    stdin: String,
}

/// What the program printed, and how it ended.
struct Ran {
    stdout: String,
    stderr: String,
    code: i32,
}

impl TestEnv {
    fn new() -> Self {
        Self { variables: Vec::new(), stdin: String::new() }
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xdsight"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).envs(self.variables.iter().copied());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
            if !self.variables.iter().any(|(name, _)| *name == variable) {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut child = self.command(arguments).spawn().unwrap();
        // The program may end without reading it all.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        let Output { stdout, stderr, status } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { stdout: text(stdout), stderr: text(stderr), code: status.code().unwrap() }
    }
}

#[track_caller]
fn run(arguments: &[&str]) -> Ran {
    TestEnv::new().run(arguments)
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("cli-{name}"), text));
}

/// Commands named in a help text.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_of_all_commands() {
    fn add(path: &[String], out: &mut String) {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ran = run(&arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        out.push_str(&format!("$ xdsight {}\n{}\n", arguments.join(" "), ran.stdout));
        for command in commands(&ran.stdout) {
            add(&[path, &[command]].concat(), out);
        }
    }
    let mut out = String::new();
    add(&[], &mut out);
    let long: Vec<&str> = out.lines().filter(|line| line.chars().count() > 110).collect();
    assert!(long.is_empty(), "lines that don't fit: {long:#?}");
    snapshot("help", &out);
}

#[test]
fn exit_codes() {
    let delivered = ["trace", DUMP, "http://catalog:9080/products/1"];
    let refused = ["trace", DUMP, "http://10.0.0.1:1/", "--to", "10.0.0.1:1", "--inbound", "--http2"];
    assert!(run(&delivered).code <= 1);
    assert!(run(&refused).code <= 1);
    assert_eq!(run(&["summary", DUMP]).code, 0);
    assert_eq!(run(&["--version"]).code, 0);
    for wrong in [
        &["bogus"][..],
        &[],
        &["summary"],
        &["summary", DUMP, "-o", "xml"],
        &["summary", "testdata/nothing.json"],
        &["summary", "tests/cli.rs"],
        &["trace", DUMP],
        &["trace", DUMP, "ftp://a"],
        &["trace", DUMP, "--requests", "testdata/nothing.jsonl"],
        &["trace", "-", "--requests", "-"],
    ] {
        let ran = run(wrong);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(ran.stderr.starts_with("error: ") || ran.stderr.contains("Usage:"), "{wrong:?}: {}", ran.stderr);
    }
}

#[test]
fn an_error_says_what_and_what_to_do() {
    let html = TestEnv::new().stdin("<!DOCTYPE html><html>").run(&["summary", "-"]);
    let mut out = String::new();
    for (what, ran) in [
        ("no file", run(&["summary", "testdata/nothing.json"])),
        ("a page", html),
        (
            "a name nearly right",
            run(&["graph", DUMP, "--from", "cluster:outbound|9080||catalogue.shop.svc.cluster.local"]),
        ),
        ("a URL", run(&["trace", DUMP, "ftp://a"])),
        ("a command", run(&["sumary", DUMP])),
    ] {
        out.push_str(&format!("# {what}\n{}\n", ran.stderr));
    }
    snapshot("errors", &out);
}

#[test]
fn colour_only_where_it_is_wanted() {
    const ESCAPE: char = '\u{1b}';
    let summary = ["summary", DUMP];
    assert!(!run(&summary).stdout.contains(ESCAPE));
    assert!(run(&["--color", "always", "summary", DUMP]).stdout.contains(ESCAPE));
    assert!(run(&["summary", DUMP, "--color=always"]).stdout.contains(ESCAPE));
    let forced = TestEnv::new().variable("CLICOLOR_FORCE", "1");
    assert!(forced.run(&summary).stdout.contains(ESCAPE));
    assert!(!forced.variable("NO_COLOR", "1").run(&["summary", DUMP, "--color", "never"]).stdout.contains(ESCAPE));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    for arguments in [&["proxy-config", "clusters", DUMP, "-o", "json"][..], &["--help"], &["completions", "bash"]] {
        let mut child = TestEnv::new().command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn json_answers_name_their_schema() {
    for (arguments, schema) in [
        (&["summary", DUMP, "-o", "json"][..], "xdsight.summary/1"),
        (&["trace", DUMP, "http://a/", "-o", "json"], "xdsight.trace/1"),
        (&["graph", DUMP, "-o", "json"], "xdsight.graph/1"),
        (&["authz", "check", DUMP, "-o", "json"], "xdsight.authz/1"),
        (&["proxy-config", "clusters", DUMP, "--why", "-o", "json"], "xdsight.why/1"),
        (&["proxy-config", "log", "testdata/proxy-config/log/logging.txt", "-o", "json"], "xdsight.log/1"),
    ] {
        let answer: serde_json::Value = serde_json::from_str(&run(arguments).stdout).unwrap();
        assert_eq!(answer.get("schema").and_then(serde_json::Value::as_str), Some(schema), "{arguments:?}");
    }
    for (kind, schema) in [
        ("listeners", "xdsight.listener/1"),
        ("clusters", "xdsight.cluster/1"),
        ("routes", "xdsight.route/1"),
        ("endpoints", "xdsight.endpoint/1"),
    ] {
        let lines = run(&["proxy-config", kind, DUMP, "-o", "jsonl"]).stdout;
        let of_line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        assert!(!lines.is_empty() && lines.lines().all(|line| of_line(line)["schema"] == schema), "{kind}");
    }
}

#[test]
fn a_batch_answers_every_line_in_order() {
    let requests = "\
{\"id\":\"a\",\"connect\":[\"10.96.1.11\",9080],\"authority\":\"catalog:9080\",\"redirected_to\":15001}\n\
\n\
{\"id\":\"b\",\"connect\":[\"10.96.1.11\",\"x\"]}\n\
nonsense\n\
{\"id\":\"c\",\"url\":\"http://catalog:9080/\",\"colour\":\"red\"}\n";
    let ran = TestEnv::new().stdin(requests).run(&["trace", DUMP, "--requests", "-", "-o", "jsonl"]);
    let answers: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = answers.iter().map(|answer| answer["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "line 4", "c"]);
    let errors: Vec<Option<&str>> = answers.iter().map(|answer| answer["error"].as_str()).collect();
    assert_eq!(errors[1], Some("-:3: connect: not a port"));
    assert!(errors[0].is_none() && errors[2].is_some() && errors[3].is_none());
    assert!(!answers[0]["outcomes"].as_array().unwrap().is_empty());
    assert!(ran.stderr.contains("warning: -:5: not known and not used: colour"), "{}", ran.stderr);
    assert_eq!(ran.code, 2);
}

#[test]
fn completions_and_manual_come_from_the_definition() {
    assert!(run(&["completions", "bash"]).stdout.contains("proxy-config"));
    assert!(run(&["manual"]).stdout.starts_with(".ie"));
    let ran = run(&["manual", "sumary"]);
    assert!(ran.code == 2 && ran.stderr.contains("did you mean summary?"), "{}", ran.stderr);
}
