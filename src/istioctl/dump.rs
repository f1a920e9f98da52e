//! The sections of a dump, as istioctl decodes it: whole, or not at all.

use super::Fault;
use super::json::{Content, Dialect, Reader as Json};
use super::node::{Node, Shape};
use super::read::{Reader, Rules};

/// A kind of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Bootstrap,
    Clusters,
    Listeners,
    Routes,
    Endpoints,
    Secrets,
    Ecds,
}

impl Section {
    /// Type URL that istioctl looks for.
    pub(super) fn type_url(self) -> String {
        let name = match self {
            Self::Bootstrap => "Bootstrap",
            Self::Clusters => "Clusters",
            Self::Listeners => "Listeners",
            Self::Routes => "Routes",
            Self::Endpoints => "Endpoints",
            Self::Secrets => "Secrets",
            Self::Ecds => "Ecds",
        };
        format!("type.googleapis.com/envoy.admin.v3.{name}ConfigDump")
    }
}

/// The sections that were asked for.
#[derive(Debug)]
pub(super) struct Dump<'a> {
    sections: Vec<Node<'a>>,
}

impl<'a> Dump<'a> {
    /// Reads a dump and keeps some of its sections.
    pub(super) fn read(text: &'a str, wanted: &[Section]) -> Result<Self, Fault> {
        let wanted: Vec<String> = wanted.iter().map(|section| section.type_url()).collect();
        let reader = Reader::new(text, Rules::Istioctl);
        let mut json = Json::new(text, 0, Dialect::Json);
        let mut sections = Vec::new();
        let mut seen = false;
        if !json.take(b'{') {
            return Err(json.unexpected());
        }
        let mut more = !json.take(b'}');
        while more {
            let (at, name) = json.name()?;
            if name == "configs" {
                if seen {
                    return Err(Fault::at(text, at, "duplicate field \"configs\""));
                }
                seen = true;
                configs(&mut json, |json| {
                    let value = json.value()?;
                    let node = reader.any(&value)?;
                    if wanted.iter().any(|url| url == node.type_url()) {
                        sections.push(node);
                    }
                    Ok(())
                })?;
            } else {
                json.value()?;
            }
            more = json.take(b',');
            if !more && !json.take(b'}') {
                return Err(json.unexpected());
            }
        }
        json.end()?;
        Ok(Self { sections })
    }

    /// The last section of a kind.
    pub(super) fn section(&self, section: Section) -> Option<&Node<'a>> {
        let url = section.type_url();
        self.sections.iter().rev().find(|node| node.type_url() == url)
    }

    /// All sections of a kind.
    pub(super) fn sections(&self, section: Section) -> impl Iterator<Item = &Node<'a>> {
        let url = section.type_url();
        self.sections.iter().filter(move |node| node.type_url() == url)
    }
}

/// Walks the list of configs.
fn configs<'a>(json: &mut Json<'a>, mut each: impl FnMut(&mut Json<'a>) -> Result<(), Fault>) -> Result<(), Fault> {
    if json.peek() == Some(b'n') {
        let value = json.value()?;
        return match value.content {
            Content::Null => Ok(()),
            _ => Err(json.unexpected()),
        };
    }
    if !json.take(b'[') {
        return Err(json.unexpected());
    }
    if json.take(b']') {
        return Ok(());
    }
    loop {
        each(json)?;
        if json.take(b']') {
            return Ok(());
        }
        if !json.take(b',') {
            return Err(json.unexpected());
        }
    }
}

/// The resources in some lists of a section, each read as `name` whatever it says of its type.
pub(super) fn resources<'a>(section: &Node<'a>, lists: &[&str], member: &[&str], name: &str) -> Vec<Node<'a>> {
    let entries = lists.iter().flat_map(|list| section.items(list));
    let resources = entries.filter_map(|entry| entry.path(member));
    resources.map(|resource| resource.clone().into_message(name)).collect()
}

/// A message without its type.
pub(super) fn untyped<'a>(node: &Node<'a>) -> Node<'a> {
    let members = node.members().iter().filter(|(name, _)| name != "@type");
    Node::Object(Shape::Message, members.cloned().collect())
}
