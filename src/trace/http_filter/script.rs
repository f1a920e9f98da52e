//! Filters that run code of the user: Lua, Wasm.

use super::{Call, Verdict};
use crate::proto::envoy::extensions::filters::http::lua::v3::lua_per_route::Override;
use crate::proto::envoy::extensions::filters::http::lua::v3::{Lua, LuaPerRoute};
use crate::proto::envoy::extensions::filters::http::wasm::v3::Wasm;
use crate::proto::envoy::extensions::wasm::v3::plugin_config::Vm;
use crate::trace::walk::Walk;

/// A Lua filter without a script does nothing.
pub(super) fn lua(call: &Call<'_>, walk: &mut Walk) -> Verdict {
    let per_route = call.overriding::<LuaPerRoute>(walk, "envoy.extensions.filters.http.lua.v3.LuaPerRoute");
    let runs = match per_route.as_ref().and_then(|per_route| per_route.r#override.as_ref()) {
        Some(Override::Disabled(disabled)) => !disabled,
        Some(Override::Name(_) | Override::SourceCode(_)) => true,
        None => {
            call.own::<Lua>(walk).is_some_and(|lua| !lua.inline_code.is_empty() || lua.default_source_code.is_some())
        }
    };
    if runs { call.pass_opaque(walk, "lua", "Lua may answer or change the request") } else { Verdict::Continue }
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
