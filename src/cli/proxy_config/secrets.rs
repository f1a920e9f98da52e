//! `xdsight proxy-config secrets`

use jiff::Timestamp;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::dump::{Proxy, State};
use crate::istioctl::{Document, Form, Verb};
use crate::{inventory, render};

/// List the secrets that wait or are in force, and the certificates in them
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["secret", "s"])]
pub(super) struct SecretsArgs {
    #[command(flatten)]
    common: Common,

    /// Judge certificates at this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

impl SecretsArgs {
    /// The same question to istioctl, and the time that is given.
    pub(super) fn query(&self) -> (&str, Format, Verb, Option<Timestamp>) {
        (self.common.name(), self.common.output, Verb::Secrets, self.as_of)
    }
}

pub(super) fn run(ui: &mut Ui, args: &SecretsArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let listing = inventory::secrets(&proxy, args.as_of);
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            print(ui, format, &proxy)?;
        }
        Format::Short | Format::Wide if listing.rows.is_empty() => {
            ui.answer("No active or warming secrets found.\n")?
        }
        format @ (Format::Wide | Format::Jsonl) => {
            if args.as_of.is_none()
                && let Some(time) = inventory::newest(&proxy)
            {
                ui.hint(&format!(
                    "certificates are judged at {time}, the newest time in the input; --as-of TIME sets another"
                ));
            }
            let details = inventory::secret_details(&proxy, &listing.rows, args.as_of);
            ui.answer(&match format {
                Format::Jsonl => render::secret_records(&listing.rows, &details)?,
                _ => render::secrets_wide(&listing.rows, &details).render(),
            })?;
        }
        _ => ui.answer(&render::secrets(&listing.rows).render())?,
    }
    Ok(super::verdict(ui, &listing.warnings))
}

/// Prints the whole section.
fn print(ui: &mut Ui, format: Format, proxy: &Proxy) -> Result<(), CliError> {
    const LISTS: [(&str, &str, State); 3] = [
        ("staticSecrets", "StaticSecret", State::Static),
        ("dynamicActiveSecrets", "DynamicSecret", State::Active),
        ("dynamicWarmingSecrets", "DynamicSecret", State::Warming),
    ];
    let of_state = |state| proxy.secrets().iter().filter(move |secret| secret.state == state);
    let texts =
        LISTS.map(|(_, _, state)| of_state(state).map(|secret| (secret, secret.printable_entry())).collect::<Vec<_>>());
    let mut fields = Vec::new();
    for ((list, element, _), texts) in LISTS.iter().zip(&texts) {
        let name = format!("envoy.admin.v3.SecretsConfigDump.{element}");
        let documents: Result<Vec<_>, _> = texts
            .iter()
            .map(|(secret, text)| match secret.is_bare() {
                false => Document::message(&name, text),
                true => Ok(Document::message(secret.kind().message(), text)?.within("secret")),
            })
            .collect();
        fields.push((*list, documents?));
    }
    let section = Document::of_fields(fields);
    let text = if format == Format::Yaml { section.yaml() } else { section.json(Form::Jsonpb) };
    ui.bytes(format!("{text}\n").as_bytes())
}
