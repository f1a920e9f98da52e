//! `proxy-config` and its like against what istioctl prints for the same dumps (`../shared/goldens`, where that is present).

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reads its cases and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ran, Stdio};
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use xdsight::dump::sync::ControlPlane;
use xdsight::inventory::{ClusterFilter, EndpointFilter, ListenerFilter, newest_push, proxy_status};
use xdsight::istioctl::{All, Document, Form, Output, Query, Verb, answer, compare};
use xdsight::render::proxy_status_types;

/// Time at which istioctl judged the certificates.
const AS_OF: &str = "2026-11-23T16:00:00Z";

/// Dumps for which our tables say more than istioctl's, on purpose: a filter is known by its type, also where it was
/// given another name.
const RENAMED_FILTERS: &[&str] = &["086-envoy1.19-osm-curl-egress"];

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")
}

/// One answer of istioctl.
struct Case {
    dump: String,
    arguments: Vec<String>,
    exit: u64,
    stderr: String,
    sha256: String,
    /// The file that holds standard output, where it was kept.
    stdout: Option<PathBuf>,
}

impl Case {
    fn name(&self) -> String {
        format!("{} {}", self.dump, self.arguments.join(" "))
    }

    fn option(&self, name: &str) -> Option<String> {
        let at = self.arguments.iter().position(|argument| argument == name)?;
        self.arguments.get(at + 1).cloned()
    }

    fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|other| other == argument)
    }

    fn query(&self) -> Query {
        let port = self.option("--port").map(|port| port.parse().unwrap());
        let verbose = !self.has("--verbose=false");
        let (fqdn, subset, direction) = (self.option("--fqdn"), self.option("--subset"), self.option("--direction"));
        let clusters = ClusterFilter { fqdn, port, subset, direction };
        let listeners = ListenerFilter { address: self.option("--address"), port, kind: self.option("--type") };
        let (address, cluster, status) = (self.option("--address"), self.option("--cluster"), self.option("--status"));
        let endpoints = EndpointFilter { address, port, cluster, status };
        let route = self.option("--name");
        let verb = match self.arguments[1].as_str() {
            "bootstrap" => Verb::Bootstrap,
            "cluster" => Verb::Clusters(clusters),
            "listener" => Verb::Listeners(listeners, verbose),
            "route" => Verb::Routes(route, verbose),
            "endpoint" => Verb::Endpoints(endpoints),
            "eds" => Verb::Eds(endpoints),
            "secret" => Verb::Secrets,
            "ecds" => Verb::Ecds,
            "all" => {
                let with_headers = self.has("--with-headers");
                Verb::All(Box::new(All { clusters, listeners, route, endpoints, verbose, with_headers }))
            }
            other => panic!("{other}"),
        };
        let output = match self.option("-o").as_deref() {
            Some("json") => Output::Json,
            Some("yaml") => Output::Yaml,
            _ => Output::Short,
        };
        Query { verb, output, as_of: AS_OF.parse().ok() }
    }
}

/// The cases of a command whose answer is the same from run to run; none without `../shared`.
fn cases(command: &str) -> Vec<Case> {
    let goldens = shared().join("goldens/istioctl-dumps");
    let Ok(cases) = fs::read_to_string(goldens.join("cases.jsonl")) else { return Vec::new() };
    let parse = |line: &str| -> Option<Case> {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let arguments: Vec<String> =
            case["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        let is_stable = case["stable"].as_bool().unwrap_or(true);
        (arguments[0] == command && is_stable).then(|| Case {
            dump: text("dump"),
            arguments,
            exit: case["exit"].as_u64().unwrap(),
            stderr: text("stderr"),
            sha256: text("sha256"),
            stdout: case["stdout"].as_str().map(|file| goldens.join(file)),
        })
    };
    cases.lines().filter_map(parse).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every answer by `--istioctl`, nothing normalised: standard output, exit code, and errors but for the text of
/// go-yaml's about a file that isn't YAML.
#[test]
fn answers_are_those_of_istioctl() {
    let cases = cases("proxy-config");
    let mut dumps: BTreeMap<&str, Arc<Vec<u8>>> = BTreeMap::new();
    for case in &cases {
        dumps.entry(&case.dump).or_insert_with(|| Arc::new(fs::read(shared().join(&case.dump)).unwrap()));
    }
    let failed: Vec<String> = cases
        .par_iter()
        .filter_map(|case| {
            let ours = answer(&dumps[case.dump.as_str()], &case.query());
            let error = ours.error.map(|error| error + "\n").unwrap_or_default();
            let is_same_error = error == case.stderr || case.stderr.starts_with("Error: yaml: line ");
            let is_same = hash(&ours.stdout) == case.sha256 && u64::from(ours.exit) == case.exit && is_same_error;
            (!is_same).then(|| format!("{}: {error}", case.name()))
        })
        .collect();
    assert!(cases.is_empty() || cases.len() > 2000, "only {} cases", cases.len());
    assert!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

fn xdsight(arguments: &[&str], folder: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdsight"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// Whether a case is one of a table that has the same bytes without `--istioctl`.
fn is_plain_table(case: &Case) -> bool {
    let is_ours = match case.arguments[1].as_str() {
        "cluster" | "route" | "secret" | "eds" | "ecds" => true,
        "all" => !RENAMED_FILTERS.iter().any(|name| case.dump.contains(name)) && !case.has("--port"),
        "listener" => !RENAMED_FILTERS.iter().any(|name| case.dump.contains(name)),
        // Without -o it is JSON there.
        "bootstrap" => case.has("short"),
        // Of a dump istioctl shows no endpoints at all.
        "endpoint" => case.dump.contains("/admin/"),
        _ => false,
    };
    is_ours && case.exit == 0 && !case.has("json") && !case.has("yaml")
}

#[test]
fn tables_are_those_of_istioctl() {
    let cases: Vec<Case> =
        cases("proxy-config").into_iter().filter(|case| is_plain_table(case) && case.stdout.is_some()).collect();
    let failed: Vec<String> = cases
        .par_iter()
        .filter(|case| {
            let dump = shared().join(&case.dump);
            let mut arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
            arguments.splice(2..2, ["-f", dump.to_str().unwrap()]);
            if matches!(arguments[1], "secret" | "all") {
                arguments.extend(["--as-of", AS_OF]);
            }
            xdsight(&arguments, Path::new(".")).stdout != fs::read(case.stdout.as_ref().unwrap()).unwrap()
        })
        .map(Case::name)
        .collect();
    assert!(cases.is_empty() || cases.len() > 300, "only {} cases were compared", cases.len());
    assert!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// `ztunnel-config` and `authz check` by `--istioctl`, nothing normalised.
#[test]
fn other_commands_answer_as_istioctl() {
    let cases: Vec<Case> = ["ztunnel-config", "experimental"].into_iter().flat_map(cases).collect();
    let failed: Vec<String> = cases
        .par_iter()
        .filter(|case| {
            let dump = shared().join(&case.dump);
            let mut arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
            arguments.extend(["-f", dump.to_str().unwrap(), "--istioctl"]);
            if matches!(arguments[1], "certificate" | "all") {
                arguments.extend(["--as-of", AS_OF]);
            }
            let ran = xdsight(&arguments, Path::new("."));
            hash(&ran.stdout) != case.sha256 || ran.status.success() != (case.exit == 0)
        })
        .map(Case::name)
        .collect();
    assert!(cases.is_empty() || cases.len() > 130, "only {} cases", cases.len());
    assert!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Istio's own goldens of `proxy-config`, by the command line.
#[test]
fn goldens_of_istio_are_met() {
    let mut compared = 0;
    let Ok(areas) = fs::read_dir(shared().join("goldens/istioctl")) else { return };
    let areas = areas
        .map(|area| area.unwrap().path())
        .filter(|area| area.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("proxy-config-")));
    for folder in areas.flat_map(|area| fs::read_dir(area).unwrap()).map(|case| case.unwrap().path()) {
        let arguments = fs::read_to_string(folder.join("args")).unwrap();
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        arguments.insert(0, "--istioctl");
        if matches!(arguments[2], "secret" | "all") {
            arguments.extend(["--as-of", AS_OF]);
        }
        let ran = xdsight(&arguments, &folder);
        let stdout = String::from_utf8(ran.stdout).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let expected_exit = read("expected-exit").unwrap_or_else(|| "0".to_owned());
        assert_eq!(ran.status.success(), expected_exit.trim() == "0", "{}", folder.display());
        if let Some(expected) = read("expected.txt").or_else(|| read("expected.yaml")) {
            assert_eq!(stdout.trim(), expected.trim(), "{}", folder.display());
        }
        if let Some(expected) = read("expected.json") {
            // The original indents protojson's answer anew before it compares.
            let spaces = |text: &str| text.trim().replace("\":  ", "\": ");
            let is_protojson = arguments[2] == "ecds";
            let stdout = if is_protojson { spaces(&stdout) } else { stdout.trim().to_owned() };
            assert_eq!(stdout, expected.trim(), "{}", folder.display());
        }
        let all = stdout + &String::from_utf8(ran.stderr).unwrap();
        for line in read("expected-contains.txt").unwrap_or_default().lines() {
            assert!(all.contains(line), "{}: {line:?} isn't in {all}", folder.display());
        }
        compared += 1;
    }
    assert!(compared > 10, "only {compared} cases were compared");
}

/// Istio's own goldens of `proxy-status`: of istiod's answers, and of the comparison of a dump with istiod's.
#[test]
fn goldens_of_proxy_status_are_met() {
    let Ok(goldens) = fs::read_dir(shared().join("goldens/istioctl/proxy-status")) else { return };
    for folder in goldens.map(|case| case.unwrap().path()) {
        let arguments = fs::read_to_string(folder.join("args")).unwrap();
        let mut answers: Vec<String> = fs::read_dir(folder.join("syncz"))
            .unwrap()
            .map(|file| format!("syncz/{}", file.unwrap().file_name().to_str().unwrap()))
            .collect();
        answers.sort();
        let arguments = arguments.split_whitespace().chain(answers.iter().map(String::as_str));
        let arguments: Vec<&str> = ["--istioctl"].into_iter().chain(arguments).collect();
        let ran = xdsight(&arguments, &folder);
        let stdout = String::from_utf8(ran.stdout).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let expected =
            read("expected.txt").or_else(|| read("expected.json")).or_else(|| read("expected.yaml")).unwrap();
        assert_eq!(stdout.trim(), expected.trim(), "{}", folder.display());
    }
    for folder in fs::read_dir(shared().join("goldens/istioctl/proxy-status-diff")).unwrap() {
        let folder = folder.unwrap().path();
        let stdout = xdsight(&["ps", "istiod.json", "PROXY", "--file", "envoy.json"], &folder).stdout;
        let stdout = String::from_utf8(stdout).unwrap();
        for line in fs::read_to_string(folder.join("expected-contains.txt")).unwrap().lines() {
            assert!(stdout.contains(line), "{}: {line:?} isn't in {stdout}", folder.display());
        }
    }
}

/// Steps of the mesh for which there are answers of istioctl.
fn steps() -> Vec<PathBuf> {
    let mesh = shared().join("mesh");
    let steps = fs::read_dir(mesh.join("steps")).into_iter().flatten().map(|step| step.unwrap().path());
    steps.chain([mesh.join("base")]).filter(|step| step.join("istioctl/csds.json").is_file()).collect()
}

/// `proxy-status` of a whole mesh in istioctl's bytes. Nothing is normalised: ages are those of a moment within some
/// seconds after the last push, which isn't recorded, so it is looked for.
#[test]
fn proxy_status_answers_as_istioctl() {
    for step in steps() {
        let folder = step.join("istioctl");
        let read = |name: &str| fs::read_to_string(folder.join(format!("proxy-status-{name}.txt"))).unwrap();
        let run = |arguments: &[&str]| {
            let arguments: Vec<&str> =
                ["--istioctl", "proxy-status", "csds.json"].iter().chain(arguments).copied().collect();
            String::from_utf8(xdsight(&arguments, &folder).stdout).unwrap()
        };
        let name = step.display();
        assert_eq!(run(&[]), read("table"), "{name}");
        assert_eq!(run(&["-n", "payments"]), read("namespace-payments"), "{name}");
        assert_eq!(run(&["-o", "json"]), read("json"), "{name}");
        assert_eq!(run(&["-o", "yaml"]), read("yaml"), "{name}");

        let answer = fs::read(folder.join("csds.json")).unwrap();
        let planes = [ControlPlane::parse(&answer, None).unwrap()];
        let status = proxy_status(&planes, &[], None);
        let newest = newest_push(&planes, &[]).unwrap();
        let moments = (0..4000).map(|nth| newest + jiff::SignedDuration::from_millis(nth));
        let expected = read("verbosity-1");
        let text =
            |moment| anstream::adapter::strip_str(&proxy_status_types(&status, Some(moment)).render()).to_string();
        let moment = moments.into_iter().find(|moment| text(*moment) == expected);
        let moment = moment.unwrap_or_else(|| panic!("{name}: there is no moment with these ages"));
        assert_eq!(run(&["-v", "1", "--as-of", &moment.to_string()]), expected, "{name}");
    }
}

/// istioctl's comparison of what istiod means each proxy to have with what it has: the text of the whole diff.
#[test]
fn proxies_are_compared_as_istioctl_does() {
    let base = shared().join("mesh/base/proxies");
    let mut compared = 0;
    for step in steps() {
        for file in fs::read_dir(step.join("istioctl")).unwrap().map(|file| file.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let Some(proxy) = name.strip_prefix("diff-") else { continue };
            let Ok(istiod) = fs::read(step.join(format!("expected/{proxy}.json"))) else { continue };
            let envoy = fs::read(base.join(proxy).join("config_dump.json")).unwrap();
            let ours = String::from_utf8(compare(&istiod, &envoy).stdout).unwrap();
            let expected = fs::read_to_string(&file).unwrap();
            assert!(ours == expected, "{}", file.display());
            compared += 1;
        }
    }
    assert!(compared > 50 || steps().is_empty(), "only {compared} were compared");
}

/// Istio's own goldens of `x describe`: the objects and dumps that its test makes, by the command line.
#[test]
fn goldens_of_describe_are_met() {
    let Ok(cases) = fs::read_dir(shared().join("goldens/istioctl/describe")) else { return };
    let mut compared = 0;
    for folder in cases.map(|case| case.unwrap().path()) {
        let arguments = fs::read_to_string(folder.join("args")).unwrap();
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        arguments.extend(["--istioctl", "objects.yaml"]);
        // The control plane's namespace of that test.
        arguments.extend(["-i", "default"]);
        if folder.join("config_dump").is_dir() {
            arguments.push("config_dump");
        }
        let ran = xdsight(&arguments, &folder);
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let (stdout, stderr) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        let expected_exit = read("expected-exit").unwrap_or_else(|| "0".to_owned());
        assert_eq!(ran.status.success(), expected_exit.trim() == "0", "{}: {stderr}", folder.display());
        if let Some(expected) = read("expected.txt") {
            assert_eq!(stdout, expected, "{}: {stderr}", folder.display());
        }
        let all = stdout + &stderr;
        for line in read("expected-contains.txt").unwrap_or_default().lines() {
            assert!(all.contains(line), "{}: {line:?} isn't in {all}", folder.display());
        }
        compared += 1;
    }
    assert!(compared >= 4, "only {compared} cases were compared");
}

/// A name in lowerCamelCase.
fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut follows = false;
    for c in name.chars() {
        match c {
            '_' => follows = true,
            c if follows => {
                out.push(c.to_ascii_uppercase());
                follows = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a value says nothing: protobuf doesn't tell it from an absent one. AUTO is the default of the one enum that a
/// dump writes out.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "0" | "AUTO"),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) | Value::Bool(true) => false,
    }
}

/// Whether two scalars are spellings of one value: a number as a text or by its name, a time or base64 in another form.
fn is_same(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (a_text, b_text) = (text(a), text(b));
    let number = |text: &str| text.trim_end_matches('s').parse::<f64>().ok();
    let near = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-6;
    a_text == b_text
        || number(&a_text).zip(number(&b_text)).is_some_and(|(a, b)| near(a, b))
        || a_text.replace('-', "+").replace('_', "/").trim_end_matches('=') == b_text.trim_end_matches('=')
        || a_text.trim_end_matches(['Z', '0']) == b_text.trim_end_matches(['Z', '0'])
        || (a.is_number() && b.is_string() && number(&b_text).is_none())
}

/// Where something of `a` isn't in `b`.
fn lost(a: &Value, b: &Value, path: &str, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(members), Value::Object(printed)) => {
            for (name, value) in members {
                match printed.get(name).or_else(|| printed.get(&camel(name))) {
                    Some(found) => lost(value, found, &format!("{path}.{name}"), out),
                    None if is_default(value) => {}
                    None => out.push(format!("{path}.{name}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (nth, (a, b)) in a.iter().zip(b).enumerate() {
                lost(a, b, &format!("{path}[{nth}]"), out);
            }
        }
        (Value::Array(_) | Value::Object(_), _) => out.push(path.to_owned()),
        (a, b) if is_same(a, b) => {}
        _ => out.push(format!("{path}: {a} became {b}")),
    }
}

/// Without `--istioctl` nothing is lost: each value of a dump is in what is printed of it, in both notations, and what
/// is printed is printed the same again.
#[test]
fn nothing_of_a_dump_is_lost() {
    let Ok(files) = fs::read_dir(shared().join("corpus/config_dump")) else { return };
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let failed: Vec<String> = files
        .par_iter()
        .flat_map_iter(|file| {
            let dump: Value =
                fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
            let sections = dump["configs"].as_array().cloned().unwrap_or_default();
            let mut out = Vec::new();
            for (nth, section) in sections.iter().enumerate() {
                let name = section["@type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
                let text = section.to_string();
                let document = Document::message(name, text.as_bytes()).unwrap();
                let json = document.json(Form::List);
                let printed: Value = serde_json::from_str(&json).unwrap();
                let path = format!("{} configs[{nth}]", file.file_name().unwrap().display());
                let mut expected = section.clone();
                if printed.get("@type").is_none() {
                    expected.as_object_mut().unwrap().remove("@type");
                }
                lost(&expected, &printed, &path, &mut out);
                let again = Document::message(name, json.as_bytes()).unwrap().json(Form::List);
                if again != json {
                    out.push(format!("{path} changes when it is printed again"));
                }
                let yaml: Value = serde_saphyr::from_str(&document.yaml()).unwrap();
                lost(&printed, &yaml, &format!("{path} in YAML"), &mut out);
            }
            out
        })
        .collect();
    assert!(failed.is_empty(), "{}:\n{}", failed.len(), failed[..failed.len().min(40)].join("\n"));
}

/// Without `--istioctl` JSON has istioctl's bytes, or says more and nothing else.
#[test]
fn json_is_that_of_istioctl_or_more() {
    let is_compared = |case: &Case| {
        let has_filter = case.arguments.len() > 4;
        let shows_nothing = case.arguments[1] == "endpoint" && !case.dump.contains("/admin/");
        // The dump itself, redacted.
        let is_whole = case.arguments[1] == "all";
        case.exit == 0 && case.has("json") && !has_filter && !shows_nothing && !is_whole
    };
    let cases: Vec<Case> = cases("proxy-config").into_iter().filter(is_compared).collect();
    let more: Vec<String> = cases
        .par_iter()
        .filter_map(|case| {
            let dump = shared().join(&case.dump);
            let mut arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
            arguments.splice(2..2, ["-f", dump.to_str().unwrap()]);
            let ours = xdsight(&arguments, Path::new(".")).stdout;
            if hash(&ours) == case.sha256 {
                return None;
            }
            let theirs = answer(&fs::read(&dump).unwrap(), &case.query()).stdout;
            let [ours, theirs] = [ours, theirs].map(|text| serde_json::from_slice::<Value>(&text).unwrap());
            let mut out = Vec::new();
            lost(&theirs, &ours, &case.name(), &mut out);
            assert!(out.is_empty(), "{}", out.join("\n"));
            Some(case.name())
        })
        .collect();
    // Fields of older versions, and filters of other builds of Envoy.
    assert!(more.len() * 10 < cases.len().max(1), "{} of {}:\n{}", more.len(), cases.len(), more.join("\n"));
}
