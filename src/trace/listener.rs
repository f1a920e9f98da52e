//! Which listener handles a connection: the bound one that accepts it, or the one it is handed to (semantics §2.2).

use std::net::{IpAddr, SocketAddr};

use super::context::Context;
use super::outcome::{Disposition, Rejected, Step};
use super::request::Request;
use super::walk::Walk;
use crate::dump::{Kind, Resource, State};
use crate::proto::envoy::config::core::v3::Address;
use crate::proto::envoy::config::core::v3::address::Address as AddressKind;
use crate::proto::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol as SocketProtocol};
use crate::proto::envoy::config::listener::v3::Listener;

/// A listener in force, decoded.
#[derive(Clone, Copy)]
pub(crate) struct Accepting<'a> {
    pub(crate) resource: &'a Resource<Listener>,
    pub(crate) listener: &'a Listener,
}

/// Every listener in force that can be decoded, in the order of the dump.
pub(crate) fn in_force<'a>(cx: &Context<'a>) -> impl Iterator<Item = Accepting<'a>> + use<'a> {
    cx.proxy
        .listeners()
        .iter()
        .filter(|resource| resource.state.is_in_force())
        .filter_map(|resource| resource.get().ok().map(|listener| Accepting { resource, listener }))
}

/// The bound listener that the kernel gives a connection to.
pub(crate) fn accept<'a>(
    cx: &Context<'a>,
    walk: &mut Walk,
    request: &Request,
    to: SocketAddr,
) -> Option<Accepting<'a>> {
    let dialled = match request.redirected_to {
        // REDIRECT keeps the family and changes address and port to the host's own.
        Some(port) => SocketAddr::new(loopback(to.ip()), port),
        None => to,
    };
    let bound = |address: SocketAddr| at(cx, address, |l| is_bound(l.listener));
    let found = bound(dialled).or_else(|| bound(wildcard(dialled)));
    if let Some(found) = found {
        let why = match request.redirected_to {
            Some(port) => format!("the connection to {to} is redirected to port {port}, where it is bound"),
            None => format!("it is bound to {}", address_text(found.listener)),
        };
        walk.outcome.listener = named(&found);
        walk.step(step("listener", &found, why));
        return Some(found);
    }
    nobody(cx, walk, dialled);
    None
}

/// Says why no listener accepts: not in the dump, not in force, or really none.
fn nobody(cx: &Context<'_>, walk: &mut Walk, dialled: SocketAddr) {
    if !cx.proxy.has_section(Kind::Listener) {
        walk.missing("listeners: this file has no listeners section");
        walk.end(Disposition::InsufficientInfo);
        return;
    }
    let addresses = [dialled, wildcard(dialled)];
    let waiting = cx.proxy.listeners().iter().find(|resource| {
        matches!(resource.state, State::Warming | State::Error)
            && resource.get().is_ok_and(|l| is_bound(l) && addresses.iter().any(|a| listens_on(l, *a)))
    });
    if let Some(resource) = waiting {
        let error = resource.envelope().error.as_ref().map(|e| format!(": {}", e.details)).unwrap_or_default();
        let step = Step::new("listener", &resource.name, format!("it is {} and not in force{error}", resource.state));
        walk.step(step.at(Some(resource.origin())));
        walk.end(Disposition::NotInForce);
        return;
    }
    let unbound = in_force(cx).find(|l| !is_bound(l.listener) && addresses.iter().any(|a| listens_on(l.listener, *a)));
    let rejected = unbound
        .map(|l| Rejected {
            name: l.resource.name.clone(),
            because: "bind_to_port is false: only a hand-off reaches it".to_owned(),
        })
        .into_iter()
        .collect();
    walk.step(
        Step::new("listener", "none", format!("no listener is bound to {dialled}: the connection is refused"))
            .not(rejected),
    );
    walk.end(Disposition::NoListener);
}

/// The listener that a restored connection is handed to: exact address, then the wildcard of its family.
pub(crate) fn hand_off<'a>(
    cx: &Context<'a>,
    walk: &mut Walk,
    from: Accepting<'a>,
    to: SocketAddr,
) -> Option<Accepting<'a>> {
    let exact = at(cx, to, |_| true);
    let found = exact.or_else(|| at(cx, wildcard(to), |_| true));
    let Some(found) = found.filter(|found| !std::ptr::eq(found.resource, from.resource)) else {
        let step =
            step("hand-off", &from, format!("no listener for {to}: {} keeps the connection", display_name(&from)));
        walk.step(step.not(near_port(cx, to, &from)));
        return None;
    };
    let how = if exact.is_some() {
        "its address is the original destination"
    } else {
        "it is the wildcard of that port, and none has that address"
    };
    walk.outcome.listener = named(&found);
    walk.step(step("hand-off", &found, format!("original destination {to}: {how}")));
    Some(found)
}

/// The listener of an address: its own, else an IPv6 wildcard that takes IPv4, too.
fn at<'a>(cx: &Context<'a>, address: SocketAddr, allowed: impl Fn(&Accepting<'a>) -> bool) -> Option<Accepting<'a>> {
    let own = in_force(cx).find(|l| allowed(l) && addresses(l.listener).any(|a| a == address));
    own.or_else(|| in_force(cx).find(|l| allowed(l) && listens_on(l.listener, address)))
}

/// An internal listener by name (semantics §2.2 step 4).
pub(crate) fn internal<'a>(cx: &Context<'a>, name: &str) -> Option<Accepting<'a>> {
    use crate::proto::envoy::config::listener::v3::listener::ListenerSpecifier;
    let resource = cx.proxy.listener(name)?;
    let listener = resource.get().ok()?;
    matches!(listener.listener_specifier, Some(ListenerSpecifier::InternalListener(_)))
        .then_some(Accepting { resource, listener })
}

/// Listeners of another port on that address, and of that port on another: what one may have meant.
fn near_port(cx: &Context<'_>, to: SocketAddr, from: &Accepting<'_>) -> Vec<Rejected> {
    in_force(cx)
        .filter(|l| !std::ptr::eq(l.resource, from.resource))
        .filter_map(|l| {
            let address = addresses(l.listener).find(|a| a.port() == to.port())?;
            Some(Rejected { name: display_name(&l), because: format!("its address is {address}") })
        })
        .take(2)
        .collect()
}

fn step(kind: &'static str, found: &Accepting<'_>, why: String) -> Step {
    Step::new(kind, display_name(found), why).at(Some(found.resource.origin()))
}

/// Name of the listener; Envoy logs none for a nameless one.
fn named(found: &Accepting<'_>) -> Option<String> {
    Some(found.listener.name.clone()).filter(|name| !name.is_empty())
}

pub(crate) fn display_name(found: &Accepting<'_>) -> String {
    if found.listener.name.is_empty() { address_text(found.listener) } else { found.listener.name.clone() }
}

fn address_text(listener: &Listener) -> String {
    addresses(listener).next().map_or_else(|| "no address".to_owned(), |a| a.to_string())
}

/// Effective `bind_to_port`: the field, else its deprecated form, else true (semantics §2.1).
pub(crate) fn is_bound(listener: &Listener) -> bool {
    let deprecated = listener.deprecated_v1.as_ref().and_then(|v1| v1.bind_to_port);
    listener.bind_to_port.or(deprecated).is_none_or(|v| v.value) && addresses(listener).next().is_some()
}

fn listens_on(listener: &Listener, wanted: SocketAddr) -> bool {
    all_addresses(listener).any(|address| match tcp_address(address) {
        Some(own) if own == wanted => true,
        // `::` takes IPv4, too, if it isn't for IPv6 alone.
        Some(own) => {
            wanted == SocketAddr::new(IpAddr::from([0, 0, 0, 0]), own.port())
                && own.ip() == IpAddr::from([0_u16; 8])
                && is_compatible(address)
        }
        None => false,
    })
}

fn is_compatible(address: &Address) -> bool {
    matches!(&address.address, Some(AddressKind::SocketAddress(socket)) if socket.ipv4_compat)
}

/// TCP addresses of a listener, the additional ones too.
pub(crate) fn addresses(listener: &Listener) -> impl Iterator<Item = SocketAddr> + '_ {
    all_addresses(listener).filter_map(tcp_address)
}

fn all_addresses(listener: &Listener) -> impl Iterator<Item = &Address> {
    let more = listener.additional_addresses.iter().filter_map(|a| a.address.as_ref());
    listener.address.iter().chain(more)
}

/// The socket address of a TCP `Address`.
pub(crate) fn tcp_address(address: &Address) -> Option<SocketAddr> {
    let Some(AddressKind::SocketAddress(socket)) = &address.address else { return None };
    if socket.protocol == SocketProtocol::Udp as i32 {
        return None;
    }
    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { return None };
    Some(SocketAddr::new(socket.address.parse().ok()?, u16::try_from(port).ok()?))
}

/// The wildcard address of the same family and port.
fn wildcard(of: SocketAddr) -> SocketAddr {
    let any = if of.is_ipv4() { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::from([0_u16; 8]) };
    SocketAddr::new(any, of.port())
}

fn loopback(of: IpAddr) -> IpAddr {
    if of.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]) }
}
