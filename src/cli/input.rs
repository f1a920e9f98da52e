//! `INPUT` to a proxy.

use std::mem::ManuallyDrop;

use super::error::CliError;
use super::ui::Ui;
use crate::dump::Proxy;
use crate::input::{Artifact, Limits};

/// Reads an input and makes a proxy of it. The caller shows its warnings, as part of the answer or with [`warn`].
///
/// It isn't dropped: the end of the process frees what belongs to it in less time.
pub(super) fn load(input: &str) -> Result<ManuallyDrop<Proxy>, CliError> {
    Ok(ManuallyDrop::new(Proxy::load(&read(input)?)?))
}

/// Reads an input.
pub(super) fn read(input: &str) -> Result<Vec<Artifact>, CliError> {
    Ok(crate::input::read(input, Limits::default())?)
}

/// Tells on standard error what was skipped or lost while loading.
pub(super) fn warn(ui: &mut Ui, proxy: &Proxy) {
    warn_but_of(ui, proxy, None);
}

/// The same without what is said of a file that isn't meant as part of the input, though it is in its folder.
pub(super) fn warn_but_of(ui: &mut Ui, proxy: &Proxy, file: Option<&str>) {
    let is_of = |warning: &str| file.is_some_and(|file| warning.starts_with(&format!("{file}: not used")));
    for warning in proxy.warnings().iter().filter(|warning| !is_of(warning)) {
        ui.warn(warning);
    }
}
