//! The few styles that all texts share.

use anstyle::{AnsiColor, Style};

/// Heads of tables and sections.
pub(super) const HEAD: Style = Style::new().bold();
/// What was chosen.
pub(super) const CHOSEN: Style = Style::new().bold();
/// What is secondary: places, alternatives.
pub(super) const FAINT: Style = Style::new().dimmed();
/// A request that arrives.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A request that doesn't, a rejection.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What isn't known, or deserves a look.
pub(super) const NOTE: Style = AnsiColor::Yellow.on_default().bold();

/// The text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
