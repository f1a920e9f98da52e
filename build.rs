//! Compiles `proto/` to prost types with the protobuf JSON mapping.
//!
//! protox reads the `.proto` files, so no `protoc` is needed. prost-build writes the messages, pbjson-build their
//! serde code, which is then loosened: an enum value that `proto/` doesn't know, or a `null`, is no error.

#![expect(clippy::disallowed_methods, reason = "the rule is for the program; a build script reads and writes files")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_build::Config;
use protox::prost::Message as _;
use protox::prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

const OPEN: &str = "crate::proto::Open";

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let root = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();

    let descriptors = protox::compile(&files, [root])?;
    let encoded = descriptors.encode_to_vec();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What packages that are gone have left behind must not be read again.
    fs::remove_dir_all(&out)?;
    fs::create_dir_all(&out)?;
    // For tests, which need no comments.
    let mut bare = descriptors.clone();
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(out.join("descriptors.bin"), bare.encode_to_vec())?;
    Described::of(bare).write(&out)?;

    let packages = descriptors.file.iter().map(|file| format!(".{}", file.package()));
    let packages: BTreeSet<String> = packages.filter(|package| package != ".google.protobuf").collect();
    let packages = Vec::from_iter(packages);

    Config::new()
        .compile_well_known_types()
        .extern_path(".google.protobuf.Any", "crate::proto::Any")
        .extern_path(".google.protobuf.Struct", "crate::proto::Struct")
        .extern_path(".google.protobuf", "::pbjson_types")
        .enable_type_names()
        .btree_map(["."])
        .include_file("tree.rs")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .extern_path(".google.protobuf", "::pbjson_types")
        .ignore_unknown_fields()
        .btree_map(["."])
        .build(&packages)?;
    join_serde(&out)
}

/// For `src/proto/describe.rs`: each message and enum by full name, so that one is decoded without the others.
#[derive(Default)]
struct Described {
    messages: BTreeMap<String, Vec<u8>>,
    enums: BTreeMap<String, Vec<u8>>,
}

impl Described {
    fn of(descriptors: FileDescriptorSet) -> Self {
        let mut all = Self::default();
        for file in descriptors.file.into_iter().filter(|file| file.package() != "google.protobuf") {
            let package = file.package().to_owned();
            file.message_type.into_iter().for_each(|message| all.add_message(&package, message));
            file.enum_type.into_iter().for_each(|each| all.add_enum(&package, &each));
        }
        all
    }

    fn add_message(&mut self, scope: &str, mut message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        let is_entry = |nested: &DescriptorProto| nested.options.as_ref().is_some_and(|options| options.map_entry());
        // The entries of maps belong to their fields.
        let (entries, nested) = std::mem::take(&mut message.nested_type).into_iter().partition(is_entry);
        message.nested_type = entries;
        Vec::into_iter(nested).for_each(|nested| self.add_message(&name, nested));
        std::mem::take(&mut message.enum_type).iter().for_each(|nested| self.add_enum(&name, nested));
        self.messages.insert(name, message.encode_to_vec());
    }

    fn add_enum(&mut self, scope: &str, each: &EnumDescriptorProto) {
        self.enums.insert(format!("{scope}.{}", each.name()), each.encode_to_vec());
    }

    /// Writes the descriptors one behind the other, and tables of their names, sorted, and where each stands.
    fn write(self, out: &Path) -> Fallible<()> {
        let mut bytes = Vec::new();
        let mut tables = String::new();
        for (table, each) in [("MESSAGES", self.messages), ("ENUMS", self.enums)] {
            writeln!(tables, "static {table}: [(&str, usize, usize); {}] = [", each.len())?;
            for (name, descriptor) in each {
                let start = bytes.len();
                bytes.extend(descriptor);
                writeln!(tables, "    ({name:?}, {start}, {}),", bytes.len())?;
            }
            tables.push_str("];\n");
        }
        fs::write(out.join("described.bin"), bytes)?;
        fs::write(out.join("described.rs"), tables)?;
        Ok(())
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Fallible<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension() == Some(OsStr::new("proto")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Appends each package's serde code to its messages, so that one module holds both.
fn join_serde(out: &Path) -> Fallible<()> {
    let mut loosened = Loosened::default();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let Some(package) = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(".serde.rs"))
        else {
            continue;
        };
        let serde = loosen(&fs::read_to_string(&path)?, &mut loosened)?;
        let messages = out.join(format!("{package}.rs"));
        fs::write(&messages, fs::read_to_string(&messages)? + &serde)?;
    }
    // A shape that is gone altogether would go unnoticed below.
    if loosened.enums == 0 || loosened.values == 0 || loosened.numbers == 0 || loosened.maps == 0 {
        return Err("pbjson's code looks no longer as expected: see `loosen` in build.rs".into());
    }
    Ok(())
}

/// How often each shape was found.
#[derive(Default)]
struct Loosened {
    enums: usize,
    values: usize,
    numbers: usize,
    maps: usize,
}

/// Makes every enum field read and write through `crate::proto::Open`, and every field take `null` for its default:
/// pbjson fails the whole message on either, but neither may cost the resource.
fn loosen(serde: &str, loosened: &mut Loosened) -> Fallible<String> {
    const VALUE: (&str, &str) = ("= Some(map_.next_value()?);", "= map_.next_value()?;");
    const NUMBER: (&str, &str) = (
        "Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)",
        "map_.next_value::<Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)",
    );
    const MAP: &str = "map_.next_value::<std::collections::BTreeMap<_, _>>()?";

    let mut out = String::with_capacity(serde.len() + serde.len() / 64);
    let mut lines = serde.lines().peekable();
    while let Some(line) = lines.next() {
        let failure = lines.next_if(|next| next.trim_start().starts_with(".map_err(|_| serde::ser::Error::custom("));
        let line = if let Some(failure) = failure {
            loosened.enums += 1;
            open_write(line, failure).ok_or_else(|| unexpected(line))?
        } else if line.contains(" as i32") {
            loosened.enums += 1;
            open_read(line).ok_or_else(|| unexpected(line))?
        } else if line.ends_with("= Some(") && lines.next_if(|next| next.trim_start() == MAP).is_some() {
            loosened.maps += 1;
            lines.next_if(|next| next.trim_start() == ");").ok_or_else(|| unexpected(line))?;
            line.replace("Some(", "map_.next_value()?;")
        } else {
            loosened.values += usize::from(line.contains(VALUE.0));
            loosened.numbers += usize::from(line.contains(NUMBER.0));
            // A map's entries are copied before they are written: keep them in order.
            let line = line.replace("std::collections::HashMap<_, _> =", "std::collections::BTreeMap<_, _> =");
            line.replace(VALUE.0, VALUE.1).replace(NUMBER.0, NUMBER.1)
        };
        if [" as i32", "Invalid variant", "HashMap"].iter().any(|left| line.contains(left)) {
            return Err(unexpected(&line));
        }
        out.push_str(&line);
        out.push('\n');
    }
    Ok(out)
}

/// `E::try_from(v)` and, on the next line, the error for an unknown number.
fn open_write(line: &str, failure: &str) -> Option<String> {
    let (before, value) = line.split_once("::try_from(")?;
    let (before, name) = before.split_at(before.rfind(' ')? + 1);
    let end = if failure.ends_with("?;") { "?;" } else { "" };
    Some(format!("{before}Ok::<_, S::Error>({OPEN}::<{name}>::new({value}){end}"))
}

/// `next_value::<E>()? as i32`, `next_value::<Option<E>>()?.map(|x| … x as i32)` or the same with `Vec<E>`.
fn open_read(line: &str) -> Option<String> {
    let (before, turbofish) = line.split_once("::<")?;
    let (types, after) = turbofish.split_once(">()?")?;
    let types = match types.strip_suffix('>') {
        Some(container) => {
            let (container, inner) = container.rsplit_once('<')?;
            format!("{container}<{OPEN}<{inner}>>")
        }
        None => format!("{OPEN}<{types}>"),
    };
    let after = after.replace("x as i32", "x.number()").replacen(" as i32)", ".number())", 1);
    Some(format!("{before}::<{types}>()?{after}"))
}

fn unexpected(line: &str) -> Box<dyn Error> {
    format!("pbjson's code has a shape that build.rs doesn't know: {line}").into()
}
