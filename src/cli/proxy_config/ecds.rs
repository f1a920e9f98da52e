//! `xdsight proxy-config ecds`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::dump::Resource;
use crate::istioctl::{self, Document, Form, Verb};

/// List the filters that ECDS has delivered
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ec")]
pub(super) struct EcdsArgs {
    #[command(flatten)]
    common: Common,
}

impl EcdsArgs {
    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Ecds)
    }
}

pub(super) fn run(ui: &mut Ui, args: &EcdsArgs) -> Result<Verdict, CliError> {
    super::without_records(args.common.output)?;
    let proxy = args.common.load(ui)?;
    let texts: Vec<_> = proxy.ecds().iter().map(Resource::printable_entry).collect();
    let name = "envoy.admin.v3.EcdsConfigDump.EcdsFilterConfig";
    let filters: Result<Vec<_>, _> = texts.iter().map(|text| Document::message(name, text)).collect();
    let filters = filters?;
    let text = match args.common.output {
        Format::Json => Document::of_fields(vec![("ecdsFilters", filters)]).json(Form::Protojson) + "\n",
        Format::Yaml => Document::of_fields(vec![("ecdsFilters", filters)]).yaml() + "\n",
        _ => istioctl::ecds_table(&filters),
    };
    ui.bytes(text.as_bytes())?;
    Ok(Verdict::Clean)
}
