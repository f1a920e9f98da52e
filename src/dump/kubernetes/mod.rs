//! Objects of a Kubernetes cluster: of Kubernetes itself, of Istio and of the Gateway API.
//!
//! Takes files with objects as YAML or JSON, one or many to a file, in lists too, and gives [`Objects`], which finds
//! them by kind, namespace and name. What a document is, its `apiVersion` and `kind` say. One that can't be read is a
//! warning with file and line; the rest is used.

mod object;
mod read;
mod types;

use std::collections::{BTreeMap, BTreeSet};

pub use object::{Held, Metadata, Modelled, Object, Place};
pub use types::{
    ConfigMap, Container, ContainerPort, ContainerStatus, Destination, DestinationRule, Gateway, GatewayServer,
    HttpMatch, HttpRoute, IngressAddress, Mirror, MutualTls, Namespace, NamespacedName, PeerAuthentication, Percentage,
    Pod, PortTraffic, RouteDestination, SecurityContext, Service, ServicePort, StringMatch, Subset, TargetPort,
    TcpRoute, TlsSettings, TrafficPolicy, VirtualService,
};

use crate::input::Source;
use object::Body;

/// Objects by kind, namespace and name. Kinds that aren't modelled are known by name alone.
#[derive(Debug, Default)]
pub struct Objects {
    objects: Vec<Object>,
    /// Group and kind, namespace and name.
    by_name: BTreeMap<(String, String, String), usize>,
    kinds: BTreeSet<String>,
    warnings: Vec<String>,
    contradictions: usize,
}

/// `Kind.group`, as `kubectl` writes it.
fn key(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

impl Objects {
    /// Whether a file holds such objects.
    #[must_use]
    pub fn are_in(source: &Source) -> bool {
        read::holds_objects(source.bytes())
    }

    /// Adds the objects of a file. Of two with one name the first counts.
    pub fn add(&mut self, source: &Source) {
        let read = read::read(source);
        self.kinds.extend(read.kinds);
        self.warnings.extend(read.warnings);
        for object in read.objects {
            let kind = key(&object.group, &object.kind);
            self.kinds.insert(kind.clone());
            let key = (kind, object.metadata.namespace.clone(), object.metadata.name.clone());
            match self.by_name.get(&key).and_then(|held| self.objects.get(*held)) {
                Some(held) if held.body == object.body && held.metadata.labels == object.metadata.labels => {}
                Some(held) => {
                    // One word is enough where two whole captures are side by side.
                    if self.contradictions == 0 {
                        self.warnings.push(format!(
                            "{}: {} differs from that in {}, which is used",
                            object.place,
                            object.name(),
                            held.place
                        ));
                    }
                    self.contradictions += 1;
                }
                None => {
                    self.by_name.insert(key, self.objects.len());
                    self.objects.push(object);
                }
            }
        }
    }

    /// What couldn't be read, and objects that contradict others.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        if self.contradictions > 1 {
            warnings.push(format!("{} more objects differ from others of their name", self.contradictions - 1));
        }
        warnings
    }

    /// Whether there is any object, or an empty list, of a kind. If not, it wasn't captured, rather than that there is
    /// none.
    #[must_use]
    pub fn has_kind<T: Modelled>(&self) -> bool {
        self.kinds.contains(&key(T::GROUP, T::KIND))
    }

    /// The object of a name.
    #[must_use]
    pub fn get<T: Modelled>(&self, namespace: &str, name: &str) -> Option<Held<'_, T>> {
        let key = (key(T::GROUP, T::KIND), namespace.to_owned(), name.to_owned());
        held(self.objects.get(*self.by_name.get(&key)?)?)
    }

    /// All objects of a kind, by namespace and name.
    pub fn all<'a, T: Modelled + 'a>(&'a self) -> impl Iterator<Item = Held<'a, T>> {
        self.from(String::new(), |_| true)
    }

    /// The same of one namespace.
    pub fn of_namespace<'a, T: Modelled + 'a>(
        &'a self,
        namespace: &str,
    ) -> impl Iterator<Item = Held<'a, T>> + use<'a, T> {
        let namespace = namespace.to_owned();
        self.from(namespace.clone(), move |other| other == namespace)
    }

    fn from<'a, T: Modelled + 'a>(
        &'a self,
        namespace: String,
        is_of: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = Held<'a, T>> {
        let kind = key(T::GROUP, T::KIND);
        let of_kind = self.by_name.range((kind.clone(), namespace, String::new())..);
        let of_kind = of_kind.take_while(move |((other, namespace, _), _)| *other == kind && is_of(namespace));
        of_kind.filter_map(|(_, nth)| held(self.objects.get(*nth)?))
    }

    /// Number of objects, whatever they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

fn held<T: Modelled>(object: &Object) -> Option<Held<'_, T>> {
    Some(Held { object, spec: T::of(&object.body)? })
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.body == other.body
    }
}

/// Whether labels have all that a selector asks for.
#[must_use]
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// What isn't modelled has no body to compare.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &str) -> Objects {
        let source = Source::from_bytes("o.yaml", text.as_bytes().to_vec());
        let mut objects = Objects::default();
        assert!(Objects::are_in(&source), "no objects in it");
        objects.add(&source);
        objects
    }

    #[test]
    fn documents_and_lists_are_read() {
        let text = "# head\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns}\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: s, namespace: ns}\n\
                    ---\napiVersion: security.istio.io/v1\nkind: PeerAuthenticationList\nitems: []\n";
        let objects = objects(text);
        assert_eq!(objects.warnings(), Vec::<String>::new());
        assert_eq!(objects.get::<Pod>("ns", "a").unwrap().object.place.to_string(), "o.yaml:2");
        assert_eq!(objects.get::<Service>("ns", "s").unwrap().object.place.to_string(), "o.yaml:6 items[0]");
        assert!(objects.has_kind::<PeerAuthentication>() && !objects.has_kind::<Gateway>());
    }

    #[test]
    fn a_bad_document_does_not_stop_the_rest() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a\n---\nkind: Service\napiVersion: v1\n\
                    metadata: {name: s}\nspec: {ports: [{port: many}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: t}\n";
        let objects = objects(text);
        assert!(objects.get::<Service>("", "t").is_some());
        let warnings = objects.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("o.yaml:"), "{warnings:?}");
        assert!(warnings[1].starts_with("o.yaml:5: Service s is left out: spec.ports[0].port: "), "{warnings:?}");
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let pod =
            |phase: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nstatus: {{phase: {phase}}}\n");
        let objects = objects(&format!("{}---\n{}---\n{}", pod("Running"), pod("Running"), pod("Failed")));
        assert_eq!(objects.get::<Pod>("", "a").unwrap().spec.status.phase.as_deref(), Some("Running"));
        assert_eq!(objects.warnings(), ["o.yaml:11: Pod a differs from that in o.yaml:1, which is used"]);
    }

    #[test]
    fn other_texts_hold_none() {
        for text in ["{\"configs\": []}", "a: b\n", "", "{}", "kind: of\n"] {
            assert!(!Objects::are_in(&Source::from_bytes("f", text.as_bytes().to_vec())), "{text}");
        }
    }
}
