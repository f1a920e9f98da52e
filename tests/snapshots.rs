//! Runs the program over `testdata/` and holds what it prints against `snapshots/`.
//!
//! A folder `testdata/<area>/<case>/` (or `testdata/<case>/`) with a file `args` is a case: each line is one command line without the
//! program's name, run from that folder. `provenance` says where its files are from. To add a case, add the folder;
//! to accept what it prints, `INSTA_UPDATE=always cargo test --test snapshots`, and read the difference.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reads its cases and fails by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names of the cases, `<area>/<case>`, in ascending order.
fn cases(root: &Path) -> BTreeSet<String> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let areas = folders(root);
    let cases = areas.iter().flat_map(|area| folders(area)).chain(areas.clone());
    let cases = cases.filter(|case| case.join("args").is_file());
    cases.map(|case| case.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
}

/// The words of a line as a shell reads them: blanks part them, quotes of both kinds keep them together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "a quote isn't closed: {line}");
    words.extend(word);
    words
}

/// What one command line prints, and how it ends.
fn run(folder: &Path, line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xdsight"))
        .args(words(line))
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = format!("$ xdsight {line}\n{}", String::from_utf8(output.stdout).unwrap());
    let errors = String::from_utf8(output.stderr).unwrap();
    if !errors.is_empty() {
        write!(text, "[standard error]\n{errors}").unwrap();
    }
    if !output.status.success() {
        let code = output.status.code().unwrap_or_else(|| panic!("{line}: killed by a signal"));
        writeln!(text, "[exit code {code}]").unwrap();
    }
    text
}

#[test]
fn every_case_prints_its_snapshot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (testdata, snapshots) = (root.join("testdata"), root.join("snapshots"));
    let cases = cases(&testdata);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&snapshots);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut failed = Vec::new();
    for case in &cases {
        let folder = testdata.join(case);
        assert!(folder.join("provenance").is_file(), "{case}: say in a file `provenance` where its data is from");
        let lines = fs::read_to_string(folder.join("args")).unwrap();
        let text: Vec<String> = lines.lines().filter(|line| !line.is_empty()).map(|line| run(&folder, line)).collect();
        let name = case.replace('/', "-");
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            settings.bind(|| insta::assert_snapshot!(name.as_str(), text.join("\n")));
        }));
        failed.extend(outcome.err().map(|_| case));
    }
    assert!(failed.is_empty(), "not as in their snapshots: {failed:?}");

    // A snapshot whose case is gone would never be read again.
    for entry in fs::read_dir(&snapshots).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".snap") else { continue };
        let is_case = cases.iter().any(|case| case.replace('/', "-") == name);
        let is_ours = fs::read_to_string(snapshots.join(&file)).unwrap().contains("source: tests/snapshots.rs");
        assert!(is_case || !is_ours, "{file}: no case has this name");
    }
}

#[test]
fn a_line_is_split_as_a_shell_does() {
    assert_eq!(words(r#"trace d -H 'a: b' "" x"y z""#), ["trace", "d", "-H", "a: b", "", "xy z"]);
}
