//! Parts of the configuration on a request's way that the tracer doesn't know: each is named as unknown.

use super::context::Context;
use super::walk::Walk;
use crate::dump::{Origin, Resource, RouteTable, VirtualHostEntry};
use crate::proto::describe::{Unmodelled, What};

/// Notes the unmodelled parts of a resource whose JSON path, from the start of the resource, is on the way.
pub(crate) fn in_resource<T>(
    cx: &Context<'_>,
    walk: &mut Walk,
    resource: &Resource<T>,
    is_on_the_way: impl Fn(&str) -> bool,
) {
    let key = std::ptr::from_ref(resource) as usize;
    note(walk, &cx.cache.unmodelled(key, || resource.unmodelled()), || resource.origin(), is_on_the_way);
}

/// As [`in_resource`] for what stands beside the virtual hosts of a route configuration.
pub(crate) fn in_routes(walk: &mut Walk, table: &RouteTable, origin: &Origin) {
    note(walk, &table.unmodelled, || origin.clone(), |_| true);
}

/// As [`in_resource`] for a virtual host.
pub(crate) fn in_virtual_host(
    cx: &Context<'_>,
    walk: &mut Walk,
    entry: &VirtualHostEntry,
    is_on_the_way: impl Fn(&str) -> bool,
) {
    let Some(origin) = entry.origin() else { return };
    let key = std::ptr::from_ref(entry) as usize;
    note(walk, &cx.cache.unmodelled(key, || entry.unmodelled()), || origin.clone(), is_on_the_way);
}

/// Index of the element of a list in which a path stands.
pub(crate) fn element(path: &str, list: &str) -> Option<usize> {
    let (index, _) = path.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
    index.parse().ok()
}

fn note(walk: &mut Walk, parts: &[Unmodelled], origin: impl Fn() -> Origin, is_on_the_way: impl Fn(&str) -> bool) {
    for part in parts.iter().filter(|part| is_on_the_way(&part.path)) {
        let origin = origin().within(&part.path);
        let what = match &part.what {
            What::EnumValue(name, value) => format!("{value} is no value of {name}"),
            What::Field(name) | What::LeftOut(name) | What::Type(name) => format!("{name} is no field"),
        };
        walk.missing(format!("{} at {}: {what} that is known here", origin.file(), origin.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_element() {
        assert_eq!(element(".routes[12].x", ".routes"), Some(12));
        assert_eq!(element(".domains.x", ".routes"), None);
    }
}
