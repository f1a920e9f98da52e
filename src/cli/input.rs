//! `INPUT` to a proxy.

use super::error::CliError;
use super::ui::Ui;
use crate::dump::Proxy;
use crate::input::{Limits, read};

/// Reads an input and makes a proxy of it. The caller shows its warnings, as part of the answer or with [`warn`].
pub(super) fn load(input: &str) -> Result<Proxy, CliError> {
    Ok(Proxy::load(&read(input, Limits::default())?)?)
}

/// Tells on standard error what was skipped or lost while loading.
pub(super) fn warn(ui: &mut Ui, proxy: &Proxy) {
    for warning in proxy.warnings() {
        ui.warn(warning);
    }
}
