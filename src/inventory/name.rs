//! Names of Istio's clusters: `direction|port|subset|host`.

use std::cmp::Ordering;

/// The parts of a cluster's name; a name of another form is all `host` (spec/istioctl.md §0.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubsetKey<'a> {
    /// `outbound`, `inbound` …
    pub direction: &'a str,
    /// 0 where it isn't a number.
    pub port: u32,
    /// Subset of a DestinationRule, or empty.
    pub subset: &'a str,
    /// Host of the service, or the whole name.
    pub host: &'a str,
    /// Whether the name has the form.
    pub is_subset_key: bool,
}

impl<'a> SubsetKey<'a> {
    /// Takes a name apart.
    #[must_use]
    pub fn parse(name: &'a str) -> Self {
        let mut parts = name.splitn(4, '|');
        let (Some(direction), Some(port), Some(subset), Some(host)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self { direction: "", port: 0, subset: "", host: name, is_subset_key: false };
        };
        let host = if host.contains('|') { "" } else { host };
        Self { direction, port: port.parse().unwrap_or_default(), subset, host, is_subset_key: true }
    }

    /// istioctl's order: host, subset, port, direction.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (self.host, self.subset, self.port, self.direction).cmp(&(
            other.host,
            other.subset,
            other.port,
            other.direction,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_name() {
        let key = SubsetKey::parse("outbound|80|v1|a.b");
        assert_eq!((key.direction, key.port, key.subset, key.host), ("outbound", 80, "v1", "a.b"));
        let key = SubsetKey::parse("outbound|x||a|b");
        assert_eq!((key.port, key.host, key.is_subset_key), (0, "", true));
        let key = SubsetKey::parse("inbound|80|a");
        assert_eq!((key.direction, key.host, key.is_subset_key), ("", "inbound|80|a", false));
    }
}
