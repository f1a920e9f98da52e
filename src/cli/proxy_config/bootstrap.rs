//! `xdsight proxy-config bootstrap`

use super::super::cluster_flags::{ClusterFlags, PodNamespace};
use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::Verdict;
use crate::cli::input;
use crate::istioctl::{Document, Form, Verb};
use crate::{inventory, render};

/// Show the bootstrap, or with -o short its versions
#[derive(Debug, clap::Args)]
#[command(visible_alias = "b")]
pub(super) struct BootstrapArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    input: Option<String>,

    /// The same, as istioctl takes it
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "json",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _namespace: PodNamespace,
}

impl BootstrapArgs {
    fn name(&self) -> &str {
        self.input.as_deref().or(self.file.as_deref()).unwrap_or("-")
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.name(), self.output, Verb::Bootstrap)
    }
}

pub(super) fn run(ui: &mut Ui, args: &BootstrapArgs) -> Result<Verdict, CliError> {
    let proxy = input::load(args.name())?;
    input::warn(ui, &proxy);
    let Some((bootstrap, is_section)) = proxy.printable_bootstrap() else {
        let error = CliError::input(format!("{}: there is no bootstrap in it", proxy.file()));
        return Err(error.hint("capture a whole /config_dump, without mask or resource"));
    };
    match args.output {
        Format::Short | Format::Wide | Format::Jsonl => ui.answer(&render::versions(&inventory::versions(&proxy)))?,
        format => {
            let document = if is_section {
                Document::message("envoy.admin.v3.BootstrapConfigDump", &bootstrap)?
            } else {
                Document::message("envoy.config.bootstrap.v3.Bootstrap", &bootstrap)?.within("bootstrap")
            };
            let text = if format == Format::Yaml { document.yaml() } else { document.json(Form::Jsonpb) };
            ui.bytes(format!("{text}\n").as_bytes())?;
        }
    }
    Ok(Verdict::Clean)
}
