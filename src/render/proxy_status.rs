//! Tables of `proxy-status` (spec/istioctl.md §4).

use std::borrow::Cow;

use jiff::Timestamp;

use super::table::Table;
use crate::dump::sync::short_type;
use crate::inventory::ProxyStatus;

/// istioctl's columns, and one that it doesn't have: what isn't synced, with the proxy's words where it rejected a push.
#[must_use]
pub fn proxy_status(status: &ProxyStatus, now: Option<Timestamp>) -> Table<'_> {
    let mut table = Table::new(&["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES", "STATUS"], 5);
    for row in &status.rows {
        let client = &row.client;
        table.row([
            client.name.as_str().into(),
            client.cluster.as_str().into(),
            row.istiod().into(),
            client.version.as_str().into(),
            status.subscribed(row).into(),
            status.trouble(row, now).into(),
        ]);
    }
    table
}

/// istioctl's default columns.
#[must_use]
pub fn proxy_status_istioctl(status: &ProxyStatus) -> Table<'_> {
    let mut table = Table::new(&["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"], 5);
    for row in &status.rows {
        let client = &row.client;
        table.row([
            client.name.as_str().into(),
            client.cluster.as_str().into(),
            row.istiod().into(),
            client.version.as_str().into(),
            status.subscribed(row).into(),
        ]);
    }
    table
}

/// A column for each type, with the age of its last push.
#[must_use]
pub fn proxy_status_types(status: &ProxyStatus, now: Option<Timestamp>) -> Table<'_> {
    let columns = status.columns();
    let types = columns.iter().map(|url| Cow::Owned(short_type(url).to_owned()));
    let header = ["NAME", "CLUSTER"].into_iter().map(Cow::Borrowed).chain(types);
    let mut table = Table::with_header(header.chain(["ISTIOD", "VERSION"].map(Cow::Borrowed)).collect(), 5);
    for row in &status.rows {
        let client = &row.client;
        let mut cells: Vec<Cow<'_, str>> = vec![client.name.as_str().into(), client.cluster.as_str().into()];
        cells.extend(columns.iter().map(|url| Cow::Owned(row.cell(url, now))));
        cells.extend([row.istiod().into(), client.version.as_str().into()]);
        table.row(cells);
    }
    table
}

/// Everything: a column for each type, what isn't synced, and the proxy's own dump.
#[must_use]
pub fn proxy_status_wide(status: &ProxyStatus, now: Option<Timestamp>) -> Table<'_> {
    let columns = status.columns();
    let types = columns.iter().map(|url| Cow::Owned(short_type(url).to_owned()));
    let header = ["NAME", "CLUSTER"].into_iter().map(Cow::Borrowed).chain(types);
    let header = header.chain(["ISTIOD", "VERSION", "DUMP", "STATUS"].map(Cow::Borrowed));
    let mut table = Table::with_header(header.collect(), 2);
    for row in &status.rows {
        let client = &row.client;
        let mut cells: Vec<Cow<'_, str>> = vec![client.name.as_str().into(), client.cluster.as_str().into()];
        cells.extend(columns.iter().map(|url| Cow::Owned(row.cell(url, now))));
        let dump = row.dump.as_ref().map_or("-", |dump| dump.file.as_str());
        cells.extend([
            row.istiod().into(),
            client.version.as_str().into(),
            dump.into(),
            status.trouble(row, now).into(),
        ]);
        table.row(cells);
    }
    table
}

/// What each istiod carries.
#[must_use]
pub fn istiods(status: &ProxyStatus) -> Table<'_> {
    let mut table = Table::new(&["ISTIOD", "PROXIES", "NOT SYNCED"], 2);
    for row in &status.istiods {
        table.row([row.istiod.as_str().into(), row.proxies.to_string().into(), row.not_synced.to_string().into()]);
    }
    table
}
