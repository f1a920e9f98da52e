//! Output formats: the same words in every command, each taking those that fit it.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for people.
    Short,
    /// The same under the name that `istioctl proxy-status` has for it.
    Table,
    /// Text with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// One line of JSON for each request, or each proxy.
    Jsonl,
    /// A drawing for Graphviz.
    Dot,
    /// A drawing for Markdown.
    Mermaid,
}

const ALL: [Format; 8] = [
    Format::Short,
    Format::Table,
    Format::Wide,
    Format::Json,
    Format::Yaml,
    Format::Jsonl,
    Format::Dot,
    Format::Mermaid,
];

impl Format {
    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Jsonl => "jsonl",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
        }
    }

    /// A parser that takes these formats and names them in the help.
    pub(super) fn among(formats: &'static [Self]) -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new(formats.iter().map(|format| PossibleValue::new(format.name())))
            .map(|name| ALL.into_iter().find(|format| format.name() == name).unwrap_or(Self::Short))
    }
}
