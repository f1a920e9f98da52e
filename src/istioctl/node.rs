//! What is printed: messages in the shape of their JSON, in the order of their declaration.

use std::borrow::Cow;

/// A value to print.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// In the form of Go's JSON.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Shape, Vec<Self>),
    Object(Shape, Vec<(Cow<'a, str>, Self)>),
    /// An `Any` of a type that istioctl doesn't know; the URL is empty if it has none.
    Unregistered(Cow<'a, str>),
}

/// Where brackets come from: jsonpb indents them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A message.
    Message,
    /// A repeated field or a map.
    Field,
    /// `google.protobuf.Struct` or `ListValue`.
    Struct,
    /// One of these in a `google.protobuf.Value`.
    Value,
}

impl<'a> Node<'a> {
    /// A field of a message, by its JSON name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(member, _)| member == name).map(|(_, node)| node)
    }

    /// A field below fields.
    pub(super) fn path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(super) fn members(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Object(_, members) => members,
            _ => &[],
        }
    }

    /// The elements of a field; none if it is absent.
    pub(super) fn items(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::List(_, items)) => items,
            _ => &[],
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a field; empty if it is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Self::as_text).unwrap_or_default()
    }

    /// The number of a field, also in a wrapper; 0 if it is absent.
    pub(super) fn number(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Self::Number(number) | Self::Text(number)) => number.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    /// Whether a field is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Self::Bool(true)))
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.items(name).iter().filter_map(Self::as_text).collect()
    }

    /// Full name of the type of what was an `Any`; empty if it isn't one.
    pub(super) fn type_name(&self) -> &str {
        let url = self.type_url();
        url.rsplit('/').next().unwrap_or(url)
    }

    /// Type URL of what was an `Any`.
    pub(super) fn type_url(&self) -> &str {
        match self {
            Self::Unregistered(url) => url,
            _ => self.text("@type"),
        }
    }

    /// The message that an `Any` is read as whatever it says of its type, as istioctl reads resources: another type's
    /// fields aren't there.
    pub(super) fn into_message(self, name: &str) -> Self {
        if self.type_name() == name
            && let Self::Object(shape, mut members) = self
        {
            members.retain(|(name, _)| name != "@type");
            return Self::Object(shape, members);
        }
        Self::Object(Shape::Message, Vec::new())
    }

    /// The same as protojson sees it: an `Any` without a type is empty, and an `Empty` in one has a value.
    pub(super) fn as_protojson(&self) -> Self {
        match self {
            Self::Unregistered(url) if url.is_empty() => Self::Object(Shape::Message, Vec::new()),
            Self::List(shape, items) => Self::List(*shape, items.iter().map(Self::as_protojson).collect()),
            Self::Object(shape, members) => {
                let member = |(name, node): &(Cow<'a, str>, Self)| (name.clone(), node.as_protojson());
                let mut members: Vec<_> = members.iter().map(member).collect();
                if members.len() == 1 && self.type_name() == "google.protobuf.Empty" {
                    members.push((Cow::Borrowed("value"), Self::Object(Shape::Message, Vec::new())));
                }
                Self::Object(*shape, members)
            }
            other => other.clone(),
        }
    }

    /// Whether a test holds for each text, names of members included.
    pub(super) fn all_texts(&self, test: fn(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => test(text),
            Self::List(_, items) => items.iter().all(|item| item.all_texts(test)),
            Self::Object(_, members) => members.iter().all(|(name, node)| test(name) && node.all_texts(test)),
            _ => true,
        }
    }

    /// Type URL of the first `Any` that istioctl doesn't know.
    pub(super) fn unregistered(&self) -> Option<&str> {
        match self {
            Self::Unregistered(url) => Some(url),
            Self::List(_, items) => items.iter().find_map(Self::unregistered),
            Self::Object(_, members) => members.iter().find_map(|(_, node)| node.unregistered()),
            _ => None,
        }
    }
}
