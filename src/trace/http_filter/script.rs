//! Filters that run code of the user: Lua, Wasm.

use std::collections::BTreeSet;

use super::{Call, Verdict};
use crate::proto::envoy::config::core::v3::DataSource;
use crate::proto::envoy::config::core::v3::data_source::Specifier;
use crate::proto::envoy::extensions::filters::http::lua::v3::lua_per_route::Override;
use crate::proto::envoy::extensions::filters::http::lua::v3::{Lua, LuaPerRoute};
use crate::proto::envoy::extensions::filters::http::wasm::v3::Wasm;
use crate::proto::envoy::extensions::wasm::v3::plugin_config::Vm;
use crate::trace::walk::Walk;

/// A Lua filter without a script does nothing. One that stands in the configuration shows with which statuses it answers,
/// if it writes them out.
pub(super) fn lua(call: &Call<'_>, walk: &mut Walk) -> Verdict {
    let per_route = call.overriding::<LuaPerRoute>(walk, "envoy.extensions.filters.http.lua.v3.LuaPerRoute");
    let own = call.own::<Lua>(walk).unwrap_or_default();
    let script = match per_route.as_ref().and_then(|per_route| per_route.r#override.as_ref()) {
        Some(Override::Disabled(true)) => None,
        Some(Override::Name(name)) => Some(inline(own.source_codes.get(name))),
        Some(Override::SourceCode(source)) => Some(inline(Some(source))),
        Some(Override::Disabled(false)) | None if own.default_source_code.is_some() => {
            Some(inline(own.default_source_code.as_ref()))
        }
        Some(Override::Disabled(false)) | None => Some(own.inline_code.as_str()).filter(|script| !script.is_empty()),
    };
    let Some(script) = script else { return Verdict::Continue };
    call.pass_or_reply(walk, "lua", "Lua may answer or change the request", &statuses(call, script))
}

/// The text of a script that isn't in a file.
fn inline(source: Option<&DataSource>) -> &str {
    match source.and_then(|source| source.specifier.as_ref()) {
        Some(Specifier::InlineString(script)) => script,
        _ => "",
    }
}

/// The statuses of the answers that a script writes out: `h:respond({[":status"] = "403"}, …)`.
fn statuses(call: &Call<'_>, script: &str) -> Vec<u16> {
    if !script.contains("respond") {
        return Vec::new();
    }
    let Ok(pattern) = call.cx.cache.search_regex(r#"\[\s*["']:status["']\s*\]\s*=\s*["']?([2-5]\d\d)\b"#) else {
        return Vec::new();
    };
    let found = pattern.captures_iter(script).filter_map(|found| found.get(1)?.as_str().parse().ok());
    found.collect::<BTreeSet<u16>>().into_iter().collect()
}

/// Modules that are part of the proxy are Istio's telemetry; any other may do anything.
pub(super) fn wasm(call: &Call<'_>, walk: &mut Walk) -> Verdict {
    let config = call.own::<Wasm>(walk).and_then(|wasm| wasm.config.clone());
    let is_built_in = config.is_some_and(|config| is_built_in(config.vm.as_ref()));
    if is_built_in {
        return Verdict::Continue;
    }
    call.pass_opaque(walk, "wasm", "a Wasm module may answer or change the request")
}

/// Whether the code runs without a machine of its own.
pub(crate) fn is_built_in(vm: Option<&Vm>) -> bool {
    vm.is_some_and(|Vm::VmConfig(vm)| vm.runtime == "envoy.wasm.runtime.null")
}
