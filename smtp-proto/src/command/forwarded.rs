//! What a proxy or a filter of ours knows of the client in front of it: the attributes of XCLIENT and XFORWARD.
//!
//! Both commands are Postfix's; no RFC has them. They were compared with Postfix 3.7.

use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::CommandError;
use super::parameters::{once, xtext};

/// A fact that a proxy was asked to tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Told<T> {
    /// It is this.
    Value(T),
    /// `[UNAVAILABLE]`: there is none.
    Unavailable,
    /// `[TEMPUNAVAIL]`: it could not be found out just now.
    TemporarilyUnavailable,
}

impl<T> Told<T> {
    /// The value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Told::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// Where a message that XFORWARD describes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `LOCAL`: from the machine of our filter itself.
    Local,
    /// `REMOTE`: from the net.
    Remote,
}

/// The attributes of an XCLIENT or XFORWARD command. `None`: the command did not name it, and what was told before holds.
///
/// Texts are decoded, without controls and at most 255 octets long. They are the word of somebody else: escape them before
/// they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAttributes {
    /// `NAME`: the name of the client's address, a host name.
    pub name: Option<Told<String>>,
    /// `ADDR`: its address.
    pub addr: Option<Told<IpAddr>>,
    /// `PORT`: its port.
    pub port: Option<Told<u16>>,
    /// `PROTO`: what it spoke, such as `ESMTP`; in capitals, letters and digits.
    pub proto: Option<Told<String>>,
    /// `HELO`: what it called itself. Octets that no host name has stand as `?`.
    pub hello: Option<Told<String>>,
    /// `LOGIN` (XCLIENT): who logged in at the proxy.
    pub login: Option<Told<String>>,
    /// `DESTADDR` (XCLIENT): the address that the client connected to.
    pub dest_addr: Option<Told<IpAddr>>,
    /// `DESTPORT` (XCLIENT): the port that it connected to.
    pub dest_port: Option<Told<u16>>,
    /// `IDENT` (XFORWARD): the name of the message in our filter's log.
    pub ident: Option<Told<String>>,
    /// `SOURCE` (XFORWARD).
    pub source: Option<Told<Source>>,
}

/// The attributes of XCLIENT, as EHLO tells them.
pub(crate) const XCLIENT: &str = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
/// The attributes of XFORWARD, as EHLO tells them.
pub(crate) const XFORWARD: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";

/// Octets of a decoded value.
const VALUE_MAX: usize = 255;
/// Octets of the name of a protocol.
const PROTO_MAX: usize = 64;

/// `1*( SP attribute "=" xtext )` with these attributes.
pub(super) fn attributes(argument: &str, offered: &str) -> Result<ClientAttributes, CommandError> {
    let mut told = ClientAttributes::default();
    let mut words = argument.split(' ').filter(|word| !word.is_empty()).peekable();
    words.peek().ok_or(CommandError::Argument)?;
    for word in words {
        let (name, value) = word.split_once('=').ok_or(CommandError::Argument)?;
        let name = offered.split(' ').find(|known| known.eq_ignore_ascii_case(name)).ok_or(CommandError::Argument)?;
        let value = xtext(value).filter(|value| fits(value)).ok_or(CommandError::Argument)?;
        match name {
            "NAME" => once(&mut told.name, read(&value, host_name)?),
            "ADDR" => once(&mut told.addr, read(&value, address)?),
            "PORT" => once(&mut told.port, read(&value, port)?),
            "PROTO" => once(&mut told.proto, read(&value, protocol)?),
            "HELO" => once(&mut told.hello, read(&value, |name| Some(hello(name)))?),
            "LOGIN" => once(&mut told.login, read(&value, |name| Some(name.into()))?),
            "DESTADDR" => once(&mut told.dest_addr, read(&value, address)?),
            "DESTPORT" => once(&mut told.dest_port, read(&value, port)?),
            "IDENT" => once(&mut told.ident, read(&value, |name| Some(name.into()))?),
            "SOURCE" => once(&mut told.source, read(&value, source)?),
            _ => unreachable!("every attribute on offer has a line above"),
        }
        .map_err(|_| CommandError::Argument)?;
    }
    Ok(told)
}

fn fits(value: &str) -> bool {
    (1..=VALUE_MAX).contains(&value.len()) && !value.chars().any(char::is_control)
}

fn read<T>(value: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Told<T>, CommandError> {
    if value.eq_ignore_ascii_case("[UNAVAILABLE]") {
        Ok(Told::Unavailable)
    } else if value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        Ok(Told::TemporarilyUnavailable)
    } else {
        parse(value).map(Told::Value).ok_or(CommandError::Argument)
    }
}

/// A name that DNS could have given. An address is none: it would pass for one that leads back to itself.
fn host_name(name: &str) -> Option<String> {
    let of_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    let is_name = name.bytes().all(of_name) && !name.starts_with(['.', '-']) && name.parse::<Ipv4Addr>().is_err();
    is_name.then(|| name.into())
}

/// An address; of IPv6 with `IPV6:` in front, which some leave out.
fn address(text: &str) -> Option<IpAddr> {
    const TAG: &str = "IPV6:";
    match text.get(..TAG.len()) {
        Some(tag) if tag.eq_ignore_ascii_case(TAG) => {
            text[TAG.len()..].parse().ok().map(|ip: Ipv6Addr| IpAddr::V6(ip).to_canonical())
        }
        _ => text.parse().ok().map(|ip: IpAddr| ip.to_canonical()),
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|octet| octet.is_ascii_digit()))
}

fn protocol(text: &str) -> Option<String> {
    (text.len() <= PROTO_MAX && text.bytes().all(|octet| octet.is_ascii_alphanumeric()))
        .then(|| text.to_ascii_uppercase())
}

/// What the client called itself was its own choice, and the proxy passes it on: nothing in it may break a Received field.
fn hello(text: &str) -> String {
    let of_name = |c: &char| c.is_ascii_alphanumeric() || "-._:[]".contains(*c);
    text.chars().map(|c| if of_name(&c) { c } else { '?' }).collect()
}

fn source(text: &str) -> Option<Source> {
    match text {
        _ if text.eq_ignore_ascii_case("LOCAL") => Some(Source::Local),
        _ if text.eq_ignore_ascii_case("REMOTE") => Some(Source::Remote),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn all_attributes() {
        let xclient = "name=a.example ADDR=IPV6:2001:db8::1 PORT=25 PROTO=esmtp HELO=c+2Bd.example LOGIN=j+C3+B6e+3D1 \
                       DESTADDR=192.0.2.1 DESTPORT=587";
        let told = attributes(xclient, XCLIENT).unwrap();
        assert_eq!(told.name, Some(Told::Value("a.example".into())));
        assert_eq!(told.addr, Some(Told::Value("2001:db8::1".parse().unwrap())));
        assert_eq!((told.port, told.dest_port), (Some(Told::Value(25)), Some(Told::Value(587))));
        assert_eq!(told.proto, Some(Told::Value("ESMTP".into())));
        assert_eq!(told.hello, Some(Told::Value("c?d.example".into())));
        assert_eq!(told.login, Some(Told::Value("jöe=1".into())));
        assert_eq!(told.dest_addr.and_then(|told| told.value().copied()), Some([192, 0, 2, 1].into()));
        let told = attributes("IDENT=4AbC SOURCE=local ADDR=[unavailable] NAME=[TEMPUNAVAIL]", XFORWARD).unwrap();
        assert_eq!((told.ident, told.source), (Some(Told::Value("4AbC".into())), Some(Told::Value(Source::Local))));
        assert_eq!((told.addr, told.name), (Some(Told::Unavailable), Some(Told::TemporarilyUnavailable)));
        let told = attributes("ADDR=::ffff:192.0.2.7", XCLIENT).unwrap();
        assert_eq!(told.addr, Some(Told::Value([192, 0, 2, 7].into())));
    }

    #[test]
    fn what_is_no_attribute() {
        let long = format!("LOGIN={}", "x".repeat(256));
        for wrong in [
            "",
            " ",
            "NAME",
            "NAME=",
            "=x",
            "NAME=a b",
            "COLOUR=blue",
            "IDENT=x",
            "NAME=a NAME=b",
            "NAME=192.0.2.1",
            "NAME=a(b",
            "NAME=a+0D+0Ab",
            "NAME=a+zz",
            "ADDR=a.example",
            "ADDR=IPV6:192.0.2.1",
            "ADDR=[192.0.2.1]",
            "ADDR=192.0.2",
            "PORT=65536",
            "PORT=+1",
            "PORT=-1",
            "PROTO=ESMTP/1",
            "LOGIN=a+00",
            "LOGIN=+FF",
            &long,
        ] {
            assert_eq!(attributes(wrong, XCLIENT), Err(CommandError::Argument), "{wrong}");
        }
        assert_eq!(attributes("SOURCE=ELSEWHERE", XFORWARD), Err(CommandError::Argument));
        assert_eq!(attributes("LOGIN=joe", XFORWARD), Err(CommandError::Argument));
    }
}
