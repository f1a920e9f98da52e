//! One object, whatever its kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::types::{
    ConfigMap, DestinationRule, Gateway, Namespace, PeerAuthentication, Pod, Service, VirtualService, or_default,
};

/// One object.
#[derive(Debug)]
pub struct Object {
    /// API group; empty for Kubernetes' own core.
    pub group: String,
    /// Kind, as `VirtualService`.
    pub kind: String,
    /// Who it is.
    pub metadata: Metadata,
    /// Where it stands.
    pub place: Place,
    pub(super) body: Body,
}

impl Object {
    /// `Kind namespace/name`.
    #[must_use]
    pub fn name(&self) -> String {
        let Metadata { namespace, name, .. } = &self.metadata;
        if namespace.is_empty() { format!("{} {name}", self.kind) } else { format!("{} {namespace}/{name}", self.kind) }
    }
}

/// Where an object stands in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File.
    pub file: Arc<str>,
    /// First line of its document.
    pub line: usize,
    /// Place in a list, as `items[3]`; empty if the document is the object.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", self.path) }
    }
}

/// `metadata` of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Namespace; empty for what is in none.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339 time of its creation.
    pub creation_timestamp: Option<String>,
    /// Unique id.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
}

/// A kind that is modelled.
pub trait Modelled: DeserializeOwned {
    /// API group; empty for Kubernetes' own core.
    const GROUP: &'static str;
    /// Kind.
    const KIND: &'static str;

    #[doc(hidden)]
    fn of(body: &Body) -> Option<&Self>;

    #[doc(hidden)]
    fn into_body(self) -> Body;
}

macro_rules! kinds {
    ($($kind:ident of $group:literal,)*) => {
        /// What an object says, by kind.
        #[doc(hidden)]
        #[derive(Debug)]
        pub enum Body {
            $(#[doc = "One of these."] $kind(Box<$kind>),)*
            /// A kind that isn't modelled.
            Other,
        }

        impl Body {
            pub(super) fn is_same(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$kind(a), Self::$kind(b)) => a == b,)*
                    (Self::Other, Self::Other) => true,
                    _ => false,
                }
            }

            /// Reads an object of a kind; the error says where.
            pub(super) fn read(
                group: &str,
                kind: &str,
                value: serde_json::Value,
            ) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
                match (group, kind) {
                    $(($group, stringify!($kind)) => {
                        serde_path_to_error::deserialize::<_, $kind>(value).map(Modelled::into_body)
                    })*
                    _ => Ok(Self::Other),
                }
            }
        }

        $(impl Modelled for $kind {
            const GROUP: &'static str = $group;
            const KIND: &'static str = stringify!($kind);

            fn of(body: &Body) -> Option<&Self> {
                match body {
                    Body::$kind(found) => Some(found),
                    _ => None,
                }
            }

            fn into_body(self) -> Body {
                Body::$kind(Box::new(self))
            }
        })*
    };
}

kinds! {
    ConfigMap of "",
    Namespace of "",
    Pod of "",
    Service of "",
    DestinationRule of "networking.istio.io",
    Gateway of "networking.istio.io",
    VirtualService of "networking.istio.io",
    PeerAuthentication of "security.istio.io",
}

/// An object with what it says.
#[derive(Debug)]
pub struct Held<'a, T> {
    /// The object.
    pub object: &'a Object,
    /// What it says.
    pub spec: &'a T,
}

impl<T> Clone for Held<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Held<'_, T> {}

impl<'a, T> Held<'a, T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.object.metadata.name
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        &self.object.metadata.namespace
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &'a BTreeMap<String, String> {
        &self.object.metadata.labels
    }
}
