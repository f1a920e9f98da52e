//! `xdsight proxy-config rootca-compare`

use super::super::error::CliError;
use super::super::ui::Ui;
use super::Verdict;
use crate::cli::input;
use crate::dump::Proxy;
use crate::inventory;

/// Tell whether two proxies trust a root certificate in common
#[derive(Debug, clap::Args)]
#[command(visible_alias = "rc")]
pub(super) struct RootcaCompareArgs {
    /// Dump of the one proxy
    first: String,

    /// Dump of the other
    second: String,
}

pub(super) fn run(ui: &mut Ui, args: &RootcaCompareArgs) -> Result<Verdict, CliError> {
    let load = |name: &str| -> Result<(String, Vec<Vec<u8>>), CliError> {
        let proxy = input::load(name)?;
        let certificates = inventory::root_certificates(&proxy);
        let certificates = certificates.map_err(|error| CliError::input(name.to_owned()).caused_by(error))?;
        Ok((name_of(&proxy), certificates))
    };
    let ((first, ours), (second, theirs)) = (load(&args.first)?, load(&args.second)?);
    let is_shared = ours.iter().any(|certificate| theirs.contains(certificate));
    // istioctl's words.
    let (how, whether) = if is_shared { ("identical", "available") } else { ("non identical", "unavailable") };
    let text = format!(
        "Both [{first}] and [{second}] have the {how} ROOTCA, theoretically the connectivity between them is {whether}\n"
    );
    ui.answer(&text)?;
    Ok(if is_shared { Verdict::Clean } else { Verdict::Found })
}

/// `POD.NAMESPACE`, or the file if the dump doesn't say it.
fn name_of(proxy: &Proxy) -> String {
    inventory::held_proxy(proxy).map_or_else(|| proxy.file().to_owned(), |held| held.name)
}
