//! Any bytes are a dump that loads and decodes, or an error: never a panic, and never endless.

use xdsight::dump::{Proxy, Resource};
use xdsight::input::{Source, recognise};
use xdsight::proto::Message;

fn touch<T: Message>(resources: &[Resource<T>]) {
    for resource in resources {
        let _ = (resource.get().map_err(ToString::to_string), resource.envelope());
        let origin = resource.origin();
        let _ = (origin.line(), origin.path(), resource.type_url(), resource.set_name());
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let Ok(artifact) = recognise(Source::from_bytes("fuzz", bytes.to_vec())) else { return };
    let Ok(proxy) = Proxy::load(&[artifact]) else { return };
    touch(proxy.listeners());
    touch(proxy.routes());
    touch(proxy.scoped_routes());
    touch(proxy.clusters());
    touch(proxy.load_assignments());
    touch(proxy.secrets());
    touch(proxy.ecds());
    for route in proxy.routes() {
        if let Some(Ok(table)) = proxy.table_of(route) {
            for host in &table.virtual_hosts {
                let _ = host.get().map_err(ToString::to_string);
            }
        }
    }
    let _ = (proxy.bootstrap(), proxy.counts(), proxy.unmodelled());
}
