//! CIDR ranges.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::proto::envoy::config::core::v3::CidrRange;
use crate::proto::xds::core::v3::CidrRange as XdsCidrRange;

/// Whether a range holds an address. A range of one IP version holds no address of the other, and an IPv4 address in its
/// IPv6 form (`::ffff:10.0.0.1`) is IPv6.
pub(crate) fn contains(range: &CidrRange, ip: IpAddr) -> bool {
    network(&range.address_prefix, range.prefix_len.map(|len| len.value)).is_some_and(|net| in_network(&net, ip))
}

/// As [`contains`] for the range of the xDS API.
pub(crate) fn xds_contains(range: &XdsCidrRange, ip: IpAddr) -> bool {
    xds_network(range).is_some_and(|net| in_network(&net, ip))
}

/// The range as a network; `None` if its prefix is no address.
pub(crate) fn xds_network(range: &XdsCidrRange) -> Option<IpNet> {
    network(&range.address_prefix, range.prefix_len.map(|len| len.value))
}

/// An address prefix and its length as a network. A missing length is 0, one beyond the address is all of it.
pub(crate) fn network(prefix: &str, len: Option<u32>) -> Option<IpNet> {
    let ip: IpAddr = prefix.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let len = u8::try_from(len.unwrap_or_default().min(longest)).ok()?;
    IpNet::new(ip, len).ok()
}

/// Whether a network holds an address, read as [`contains`] does.
pub(crate) fn in_network(net: &IpNet, ip: IpAddr) -> bool {
    net.contains(&ip)
}

/// The range in words.
pub(crate) fn describe(range: &CidrRange) -> String {
    match range.prefix_len {
        Some(len) => format!("{}/{}", range.address_prefix, len.value),
        None => format!("{}/0", range.address_prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, len: u32, ip: &str, expected: bool) {
        let range = CidrRange { address_prefix: prefix.to_owned(), prefix_len: Some(len.into()) };
        assert_eq!(contains(&range, ip.parse().unwrap()), expected, "{prefix}/{len} {ip}");
    }

    #[test]
    fn ranges_hold_addresses_of_their_own_version() {
        check("10.1.2.3", 8, "10.200.0.1", true);
        check("10.0.0.0", 8, "11.0.0.1", false);
        check("10.0.0.1", 99, "10.0.0.1", true);
        check("0.0.0.0", 0, "::1", false);
        check("::", 0, "10.0.0.1", false);
        check("10.0.0.0", 8, "::ffff:10.0.0.1", false);
        check("::ffff:0:0", 96, "::ffff:10.0.0.1", true);
        check("not an address", 8, "10.0.0.1", false);
    }
}
