//! Names that are meant when one is mistyped.

/// The name among `known` that is closest to `wanted`, if one is close enough to be meant.
pub(super) fn closest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, left), (b, right)| a.total_cmp(b).then_with(|| right.cmp(left)))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_suggested() {
        assert_eq!(closest("80800", ["80", "8080", "x"]), Some("8080"));
        assert_eq!(closest("Reviews", ["ratings", "reviews"]), Some("reviews"));
        assert_eq!(closest("abc", ["xyz"]), None);
    }
}
