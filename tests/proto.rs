//! Holds `proto/` against the tables of Envoy's API: every name, number, type, label and oneof.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads the tables that it compares with, and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Packages that the tables don't hold: filters of Istio's proxy, which dumps carry as JSON, so that their field
/// numbers never matter.
const NOT_IN_THE_TABLES: [&str; 10] = [
    "io.istio.http.connect_authority.",
    "io.istio.http.connect_baggage.",
    "io.istio.http.peer_metadata.",
    "io.istio.network.authn.",
    "istio.authentication.v1alpha1.",
    "istio.envoy.config.filter.http.authn.v2alpha1.",
    "istio.envoy.config.filter.http.misdirected_request.v1alpha1.",
    "istio.set_internal_dst_address.v1.",
    "istio.workload.BootstrapExtension",
    "stats.",
];

/// One row of a table, or the same said by `proto/`.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Row {
    number: i32,
    ty: String,
    label: String,
    oneof: String,
}

/// Fields, enum values and reserved names, each by message or enum and name.
#[derive(Default)]
struct Api {
    messages: BTreeSet<String>,
    fields: BTreeMap<String, BTreeMap<String, Row>>,
    enums: BTreeMap<String, BTreeMap<String, i32>>,
    reserved: BTreeMap<String, BTreeSet<String>>,
}

fn table(path: &Path) -> Option<Api> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut api = Api::default();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let column = |nth: usize| columns.get(nth).copied().unwrap_or_default().to_owned();
        let (of, name) = (column(1), column(2));
        match columns[0] {
            "message" => {
                api.messages.insert(of);
            }
            "field" => {
                let number = column(3).parse().unwrap();
                let row = Row { number, ty: column(4).replace(' ', ""), label: column(5), oneof: column(6) };
                api.fields.entry(of).or_default().insert(name, row);
            }
            "enum" => {
                api.enums.entry(of).or_default().insert(name, column(3).parse().unwrap());
            }
            kind => panic!("unknown kind {kind} in {}", path.display()),
        }
    }
    let named = api.fields.keys().chain(api.enums.keys()).cloned().collect::<Vec<_>>();
    api.messages.extend(api.fields.keys().cloned());
    // A message may hold nothing but other messages.
    for name in named {
        let mut name = name.as_str();
        while let Some((parent, _)) = name.rsplit_once('.') {
            if parent.rsplit('.').next().is_some_and(|last| last.starts_with(char::is_uppercase)) {
                api.messages.insert(parent.to_owned());
            }
            name = parent;
        }
    }
    Some(api)
}

fn ours() -> Api {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let mut api = Api::default();
    for file in FileDescriptorSet::decode(bytes).unwrap().file {
        if file.package() == "google.protobuf" {
            continue;
        }
        file.message_type.iter().for_each(|message| add_message(&mut api, file.package(), message));
        file.enum_type.iter().for_each(|each| add_enum(&mut api, file.package(), each));
    }
    api
}

fn add_message(api: &mut Api, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for nested in message.nested_type.iter().filter(|nested| !is_entry(nested)) {
        add_message(api, &name, nested);
    }
    message.enum_type.iter().for_each(|nested| add_enum(api, &name, nested));
    let fields = message.field.iter().map(|field| (field.name().to_owned(), row(field, message))).collect();
    api.fields.insert(name.clone(), fields);
    api.reserved.insert(name.clone(), message.reserved_name.iter().cloned().collect());
    api.messages.insert(name);
}

fn add_enum(api: &mut Api, scope: &str, each: &EnumDescriptorProto) {
    let values = each.value.iter().map(|value| (value.name().to_owned(), value.number())).collect();
    api.enums.insert(format!("{scope}.{}", each.name()), values);
}

fn is_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

fn row(field: &FieldDescriptorProto, message: &DescriptorProto) -> Row {
    let last = field.type_name().rsplit('.').next().unwrap_or_default();
    let entry = message.nested_type.iter().find(|nested| nested.name() == last && is_entry(nested));
    let (ty, label) = match entry {
        Some(entry) => (format!("map<{},{}>", ty(&entry.field[0]), ty(&entry.field[1])), "map"),
        None if field.label() == Label::Repeated => (ty(field), "repeated"),
        None if field.proto3_optional() => (ty(field), "optional"),
        None => (ty(field), ""),
    };
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    let oneof = oneof.map(|nth| message.oneof_decl[nth as usize].name().to_owned()).unwrap_or_default();
    Row { number: field.number(), ty, label: label.to_owned(), oneof }
}

fn ty(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

/// Every way in which `ours` differs from the tables; messages that the first lacks are held against the second.
fn differences(ours: &Api, tables: &[Api]) -> Vec<String> {
    let mut out = Vec::new();
    for message in ours.messages.iter().filter(|m| !NOT_IN_THE_TABLES.iter().any(|package| m.starts_with(package))) {
        let Some(table) = tables.iter().find(|table| table.messages.contains(message)) else {
            out.push(format!("{message}: no such message"));
            continue;
        };
        let none = BTreeMap::new();
        let theirs = table.fields.get(message).unwrap_or(&none);
        let (fields, reserved) = (&ours.fields[message], &ours.reserved[message]);
        for (name, field) in fields {
            match theirs.get(name) {
                None => out.push(format!("{message}.{name}: no such field")),
                Some(theirs) if theirs != field => out.push(format!("{message}.{name}: {field:?}, but is {theirs:?}")),
                Some(_) => {}
            }
        }
        for name in reserved.iter().filter(|name| !theirs.contains_key(*name)) {
            out.push(format!("{message}.{name}: reserved, but no such field"));
        }
        for name in theirs.keys().filter(|name| !fields.contains_key(*name) && !reserved.contains(*name)) {
            out.push(format!("{message}.{name}: neither a field nor reserved"));
        }
    }
    let in_tables = |name: &str| !NOT_IN_THE_TABLES.iter().any(|prefix| name.starts_with(prefix));
    for (name, values) in ours.enums.iter().filter(|(name, _)| in_tables(name)) {
        match tables.iter().find_map(|table| table.enums.get(name)) {
            None => out.push(format!("{name}: no such enum")),
            Some(theirs) if theirs != values => out.push(format!("{name}: {values:?}, but is {theirs:?}")),
            Some(_) => {}
        }
    }
    out
}

#[test]
fn proto_says_what_the_tables_of_the_api_say() {
    let spec = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/spec");
    let Some(tables) =
        ["envoy-api.tsv", "envoy-api-2020.tsv"].map(|file| table(&spec.join(file))).into_iter().collect()
    else {
        eprintln!("LEFT OUT: no table of the API in {}", spec.display());
        return;
    };
    let tables: Vec<Api> = tables;
    assert_eq!(differences(&ours(), &tables).join("\n"), "");
}

#[test]
fn a_difference_is_seen() {
    let row = |number| Row { number, ty: "string".into(), label: String::new(), oneof: String::new() };
    let api = |fields: &[(&str, i32)], reserved: &[&str]| Api {
        messages: BTreeSet::from(["a.B".into()]),
        fields: BTreeMap::from([("a.B".into(), fields.iter().map(|(name, n)| ((*name).into(), row(*n))).collect())]),
        enums: BTreeMap::new(),
        reserved: BTreeMap::from([("a.B".into(), reserved.iter().map(|name| (*name).into()).collect())]),
    };
    let theirs = [api(&[("name", 1), ("buffer", 2)], &[])];
    assert!(differences(&api(&[("name", 1)], &["buffer"]), &theirs).is_empty());
    assert_eq!(differences(&api(&[("name", 3)], &["buffer"]), &theirs).len(), 1);
    assert_eq!(differences(&api(&[("name", 1)], &[]), &theirs), ["a.B.buffer: neither a field nor reserved"]);
    assert_eq!(differences(&api(&[("nam", 1)], &["name", "buffer"]), &theirs), ["a.B.nam: no such field"]);
}
