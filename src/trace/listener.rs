//! Which listener handles a connection: the bound one that accepts it, or the one it is handed to (semantics §2.2).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use rayon::prelude::*;

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

/// Where a listener in force listens: read without decoding it, so that only the one that is wanted is.
#[derive(Debug)]
pub(crate) struct Place {
    nth: usize,
    /// Addresses, each with whether an IPv6 wildcard takes IPv4, too.
    addresses: Vec<(SocketAddr, bool)>,
    /// Whether the kernel gives it connections.
    pub(crate) is_bound: bool,
}

impl Place {
    fn of(nth: usize, resource: &Resource<Listener>) -> Option<Self> {
        let names = ["address", "additional_addresses", "bind_to_port", "deprecated_v1"];
        let Ok([address, more, bound, deprecated]) = resource.pick(names) else { return Self::decoded(nth, resource) };
        // The few members that place a listener, as a listener of their own.
        let mut text = Vec::from(*b"{");
        for (name, value) in names.iter().zip([address, more, bound, deprecated]) {
            let Some(value) = value else { continue };
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(format!("\"{name}\":").as_bytes());
            text.extend_from_slice(value);
        }
        text.push(b'}');
        match crate::dump::decode::<Listener>(&text) {
            Ok(listener) => Some(Self::at(nth, &listener)),
            Err(_) => Self::decoded(nth, resource),
        }
    }

    fn decoded(nth: usize, resource: &Resource<Listener>) -> Option<Self> {
        resource.get().ok().map(|listener| Self::at(nth, listener))
    }

    fn at(nth: usize, listener: &Listener) -> Self {
        let addresses = all_addresses(listener).filter_map(|a| Some((tcp_address(a)?, is_compatible(a)))).collect();
        Self { nth, addresses, is_bound: is_bound(listener) }
    }

    /// Its TCP addresses, the additional ones too.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|(address, _)| *address)
    }

    /// Whether it takes connections to an address; an IPv6 wildcard may take those to `0.0.0.0`.
    fn listens_on(&self, wanted: SocketAddr) -> bool {
        self.addresses.iter().any(|(own, takes_v4)| {
            *own == wanted
                || *takes_v4
                    && own.ip() == IpAddr::from([0_u16; 8])
                    && wanted == SocketAddr::new(IpAddr::from([0, 0, 0, 0]), own.port())
        })
    }

    /// The listener itself; `None` if it can't be decoded.
    pub(crate) fn accepting<'a>(&self, cx: &Context<'a>) -> Option<Accepting<'a>> {
        let resource = cx.proxy.listeners().get(self.nth)?;
        resource.get().ok().map(|listener| Accepting { resource, listener })
    }

    fn name(&self, cx: &Context<'_>) -> String {
        let name = cx.proxy.listeners().get(self.nth).map(|resource| resource.name.clone()).unwrap_or_default();
        if name.is_empty() { self.addresses().next().map(|a| a.to_string()).unwrap_or_default() } else { name }
    }
}

/// The places of all listeners in force.
#[derive(Debug)]
pub(crate) struct Places {
    /// In the order of the dump.
    all: Vec<Place>,
    /// Indices of those that have an address of that port, in order.
    by_port: HashMap<u16, Vec<usize>>,
}

impl Places {
    fn of(listeners: &[Resource<Listener>]) -> Self {
        let in_force = listeners.par_iter().enumerate().filter(|(_, resource)| resource.state.is_in_force());
        let all: Vec<Place> = in_force.filter_map(|(nth, resource)| Place::of(nth, resource)).collect();
        let mut by_port: HashMap<u16, Vec<usize>> = HashMap::new();
        for (index, place) in all.iter().enumerate() {
            for address in place.addresses() {
                let indices = by_port.entry(address.port()).or_default();
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
        Self { all, by_port }
    }

    /// In the order of the dump.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.all.iter()
    }

    /// Those with an address of that port, in the order of the dump.
    pub(crate) fn on_port(&self, port: u16) -> impl Iterator<Item = &Place> {
        self.by_port.get(&port).into_iter().flatten().filter_map(|index| self.all.get(*index))
    }

    /// Whether any has exactly that address.
    pub(crate) fn have(&self, address: SocketAddr) -> bool {
        self.on_port(address.port()).any(|place| place.addresses().any(|own| own == address))
    }
}

/// Where listeners in force listen.
pub(crate) fn places<'a>(cx: &Context<'a>) -> &'a Places {
    cx.cache.places(|| Places::of(cx.proxy.listeners()))
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
    let bound = |address: SocketAddr| at(cx, address, |place| place.is_bound);
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
            && Place::of(0, resource).is_some_and(|p| p.is_bound && addresses.iter().any(|a| p.listens_on(*a)))
    });
    if let Some(resource) = waiting {
        let error = resource.envelope().error.as_ref().map(|e| format!(": {}", e.details)).unwrap_or_default();
        let step = Step::new("listener", &resource.name, format!("it is {} and not in force{error}", resource.state));
        walk.step(step.at(Some(resource.origin())));
        walk.end(Disposition::NotInForce);
        return;
    }
    let unbound =
        places(cx).on_port(dialled.port()).find(|p| !p.is_bound && addresses.iter().any(|a| p.listens_on(*a)));
    let rejected = unbound
        .map(|l| Rejected { name: l.name(cx), because: "bind_to_port is false: only a hand-off reaches it".to_owned() })
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
fn at<'a>(cx: &Context<'a>, address: SocketAddr, allowed: impl Fn(&Place) -> bool) -> Option<Accepting<'a>> {
    let on_port = || places(cx).on_port(address.port());
    let own = on_port().find(|p| allowed(p) && p.addresses().any(|a| a == address));
    own.or_else(|| on_port().find(|p| allowed(p) && p.listens_on(address)))?.accepting(cx)
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
    let own = display_name(from);
    places(cx)
        .on_port(to.port())
        .filter_map(|place| {
            let address = place.addresses().find(|a| a.port() == to.port())?;
            Some(Rejected { name: place.name(cx), because: format!("its address is {address}") })
        })
        .filter(|rejected| rejected.name != own)
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
