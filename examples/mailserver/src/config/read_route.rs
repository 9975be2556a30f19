//! From TOML to routes.

use std::net::IpAddr;
use std::path::Path;

use pillarbox::mailcore::address::{Address, Domain};
use pillarbox::smtp_proto::route::RouteTable;
use toml::Spanned;

use super::error::Mistake;
use super::read::host_name;
use super::sending::{HostRoute, NextHop, RouteOf, RouteRule, RouteTls};
use super::table::{self, Table, Value};
use crate::password::PasswordSource;

/// Reads all `[[route]]`. The passwords that they need are noted with their places.
pub fn read_routes(
    value: &Value<'_>,
    base: &Path,
    domains: Option<&[String]>,
    passwords: &mut Vec<Spanned<PasswordSource>>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<RouteRule> {
    let mut patterns = Patterns { table: RouteTable::new(), has_rest: false, domains: domains.unwrap_or_default() };
    let mut rules = Vec::new();
    for item in table::list(value, mistakes).unwrap_or_default() {
        rules.extend(read_route(item, base, &mut patterns, passwords, mistakes));
    }
    rules
}

/// The patterns so far, among which none may stand twice.
struct Patterns<'a> {
    table: RouteTable<()>,
    has_rest: bool,
    domains: &'a [String],
}

fn read_route(
    value: &Value<'_>,
    base: &Path,
    patterns: &mut Patterns<'_>,
    passwords: &mut Vec<Spanned<PasswordSource>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<RouteRule> {
    const TLS: [(&str, RouteTls); 4] = [
        ("none", RouteTls::None),
        ("opportunistic", RouteTls::Opportunistic),
        ("required", RouteTls::Required),
        ("verified", RouteTls::Verified),
    ];
    let before = mistakes.len();
    let mut route = table::table(value, mistakes)?;
    let (recipients, senders) = (route.optional("recipients"), route.optional("senders"));
    let of = match (recipients, senders) {
        (Some(list), None) => patterns.recipients(list, mistakes),
        (None, Some(list)) => patterns.senders(list, mistakes),
        (None, None) => {
            let message =
                "a route needs `recipients` or `senders`: addresses and domains, or [\"*\"] for all other mail";
            mistakes.push(Mistake::new(value.span(), message));
            None
        }
        (Some(_), Some(list)) => {
            let message = "a route is found by `recipients` or by `senders`, not by both: make two of it";
            mistakes.push(Mistake::new(list.span(), message));
            None
        }
    };
    let to = route.required("to");
    let to_at = to.map_or(value.span(), |to| to.span());
    let hop = to.and_then(|v| match holds_password(v) {
        true => {
            mistakes.push(Mistake::secret(v.span(), PASSWORD_IN_PLACE));
            None
        }
        false => table::parsed(v, mistakes, |text| parse_hop(base, text)),
    });
    let tls = route.optional("tls").map(|v| Spanned::new(v.span(), table::word(v, &TLS, mistakes)));
    let address = route.optional("address").map(|v| {
        let parsed = table::parsed(v, mistakes, |text| {
            text.parse::<IpAddr>()
                .map_err(|_| format!("`{text}` is not an address such as `192.0.2.1` or `2001:db8::1`"))
        });
        Spanned::new(v.span(), parsed)
    });
    let password = read_password(&mut route, base, mistakes);
    passwords.extend(password.clone());
    route.finish(mistakes);
    if mistakes.len() > before {
        return None;
    }
    let (of, mut tell) = (of?, |span, message: String| mistakes.push(Mistake::new(span, message)));
    let tls = tls.and_then(|tls| tls.get_ref().map(|word| Spanned::new(tls.span(), word)));
    let password_at = password.as_ref().map(Spanned::span);
    let to = match hop? {
        Hop::Host { scheme, user, host, port } => {
            let route = host_route(scheme, host, port, address, tls, (user, password.as_ref()), &to_at, &mut tell);
            NextHop::Host(route)
        }
        other => {
            if let Some(span) = password_at.or(address.map(|address| address.span())) {
                tell(span, "this is for a route to a host only, such as `smtp://you@smtp.example.net`".into());
            }
            match (other, tls) {
                (Hop::Socket(path), None) => NextHop::LmtpSocket(path),
                (Hop::Socket(_), Some(tls)) => {
                    tell(tls.span(), "there is no TLS on a socket in the file system".into());
                    return None;
                }
                (_, None) => NextHop::Mx,
                (_, Some(tls)) => {
                    let is_plain = |pattern: &String| !pattern.starts_with('.');
                    if !matches!(&of, RouteOf::Recipients(list) if list.iter().all(is_plain)) {
                        let message = "with `mx`, `tls` can be said for `recipients` that are whole domains or addresses; for \
                                       all others it is what their domain has published (DANE, MTA-STS)";
                        tell(tls.span(), message.into());
                    }
                    NextHop::MxWithTls(*tls.get_ref())
                }
            }
        }
    };
    (mistakes.len() == before).then_some(RouteRule { of, to })
}

impl Patterns<'_> {
    fn recipients(&mut self, value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<RouteOf> {
        let before = mistakes.len();
        let items = table::list(value, mistakes)?;
        if let [only] = items
            && matches!(only.get_ref(), toml::de::DeValue::String(text) if text == "*")
        {
            if std::mem::replace(&mut self.has_rest, true) {
                mistakes.push(Mistake::new(only.span(), "there are two routes for all other mail"));
            }
            return Some(RouteOf::Rest);
        }
        let mut list = Vec::new();
        for item in items {
            list.extend(table::parsed(item, mistakes, |text| {
                let domain = text.rsplit_once('@').map_or(text, |(_, domain)| domain).to_ascii_lowercase();
                if text == "*" {
                    return Err("`*` stands for all other mail, and stands alone".into());
                }
                if self.domains.contains(&domain) {
                    return Err(format!(
                        "mail for {domain} is delivered here, as `domains` says: a route is for other mail"
                    ));
                }
                self.table.by_recipient(text, ()).map_err(|error| error.to_string())?;
                Ok(text.to_owned())
            }));
        }
        none_is_wrong(items, value, mistakes);
        (mistakes.len() == before).then_some(RouteOf::Recipients(list))
    }

    fn senders(&mut self, value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<RouteOf> {
        let before = mistakes.len();
        let items = table::list(value, mistakes)?;
        let mut list = Vec::new();
        for item in items {
            list.extend(table::parsed(item, mistakes, |text| {
                self.table.by_sender(text, ()).map_err(|error| error.to_string())?;
                Ok(text.to_owned())
            }));
        }
        none_is_wrong(items, value, mistakes);
        (mistakes.len() == before).then_some(RouteOf::Senders(list))
    }
}

fn none_is_wrong(items: &[Value<'_>], value: &Value<'_>, mistakes: &mut Vec<Mistake>) {
    if items.is_empty() {
        mistakes.push(Mistake::new(
            value.span(),
            "at least one address or domain is needed, or [\"*\"] for all other mail",
        ));
    }
}

/// Where the password is, and never the password itself.
fn read_password(
    route: &mut Table<'_, '_>,
    base: &Path,
    mistakes: &mut Vec<Mistake>,
) -> Option<Spanned<PasswordSource>> {
    let mut found: Option<Spanned<PasswordSource>> = None;
    for key in ["password_file", "password_env", "password_credential"] {
        let Some(value) = route.optional(key) else { continue };
        let Some(text) = table::text(value, mistakes) else { continue };
        if found.is_some() {
            mistakes.push(Mistake::new(value.span(), "a route has one password"));
        }
        let source = match key {
            "password_file" => PasswordSource::File(base.join(text)),
            "password_env" => PasswordSource::Env(text.to_owned()),
            _ => PasswordSource::Credential(text.to_owned()),
        };
        if let Err(message) = source.check_name() {
            mistakes.push(Mistake::new(value.span(), message));
        }
        found = Some(Spanned::new(value.span(), source));
    }
    if let Some(value) = route.optional("password") {
        mistakes.push(Mistake::secret(
            value.span(),
            "a password does not belong in this file, which is shown, copied and kept in version control: say where it is with \
             `password_file`, `password_env` or `password_credential`",
        ));
    }
    found
}

const PASSWORD_IN_PLACE: &str = "a password does not belong here: say where it is with `password_file`, `password_env` or \
                                 `password_credential` (a colon in the name of a user is written %3A)";

/// Whether it is written as `smtp://you:secret@host`.
fn holds_password(value: &Value<'_>) -> bool {
    let toml::de::DeValue::String(text) = value.get_ref() else { return false };
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// What `to` says.
enum Hop {
    Mx,
    Host { scheme: Scheme, user: Option<String>, host: String, port: Option<u16> },
    Socket(std::path::PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Smtp,
    Smtps,
    Lmtp,
}

fn parse_hop(base: &Path, text: &str) -> Result<Hop, String> {
    let unknown = || {
        format!(
            "`{text}` is not a way such as `mx`, `smtp://you@smtp.example.net`, `smtps://...`, `lmtp://localhost:24` or \
             `lmtp:unix:/run/lmtp`"
        )
    };
    if text == "mx" {
        return Ok(Hop::Mx);
    }
    if text == "local" {
        return Err("what is delivered here is what `domains` says, and needs no route".into());
    }
    if let Some(path) = text.strip_prefix("lmtp:unix:") {
        return if path.is_empty() { Err(unknown()) } else { Ok(Hop::Socket(base.join(path))) };
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(unknown)?;
    let scheme = match scheme {
        "smtp" => Scheme::Smtp,
        "smtps" => Scheme::Smtps,
        "lmtp" => Scheme::Lmtp,
        _ => return Err(unknown()),
    };
    // Names of users have often an @ of their own.
    let (user, authority) = match rest.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, rest),
    };
    let user = user.map(decode).transpose()?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let split = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|colon| bracket + colon),
        None => authority.find(':'),
    };
    let (host, port) = match split {
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
        None => (authority, None),
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(format!("`{text}` has no port from 1 to 65535 behind its colon")),
    };
    let is_address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>();
    let host = match is_address(host) {
        Ok(ip) => Domain::from_ip(ip).as_str().to_owned(),
        Err(_) => host_name(host)?,
    };
    Ok(Hop::Host { scheme, user, host, port })
}

/// The name of a user, with `%40` and the like as what they stand for.
fn decode(text: &str) -> Result<String, String> {
    let wrong =
        || format!("`{text}` is not the name of a user: `%` begins two digits of a character's number, as in %40");
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let (octet, after) = match (first, more) {
            (b'%', [a, b, after @ ..]) => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).ok().filter(|it| it.bytes().all(|b| b.is_ascii_hexdigit()));
                (digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(wrong)?, after)
            }
            (b'%', _) => return Err(wrong()),
            (octet, after) => (*octet, after),
        };
        octets.push(octet);
        rest = after;
    }
    match String::from_utf8(octets) {
        Ok(user) if !user.is_empty() && !user.chars().any(char::is_control) => Ok(user),
        _ => Err(wrong()),
    }
}

#[allow(clippy::too_many_arguments, reason = "each is one key of the table")]
fn host_route(
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    address: Option<Spanned<Option<IpAddr>>>,
    tls: Option<Spanned<RouteTls>>,
    (user, password): (Option<String>, Option<&Spanned<PasswordSource>>),
    to_at: &std::ops::Range<usize>,
    tell: &mut impl FnMut(std::ops::Range<usize>, String),
) -> HostRoute {
    let has_login = user.is_some();
    let port = port.unwrap_or(match scheme {
        Scheme::Smtp if has_login => 587,
        Scheme::Smtp => 25,
        Scheme::Smtps => 465,
        Scheme::Lmtp => 24,
    });
    if scheme == Scheme::Lmtp && port == 25 {
        tell(to_at.clone(), "LMTP must not be spoken on port 25 (RFC 2033 §5)".into());
    }
    let address = address.and_then(Spanned::into_inner);
    let literal = host.trim_matches(['[', ']']).trim_start_matches("IPv6:").parse::<IpAddr>().ok();
    let is_here = address.or(literal).map_or(host == "localhost", |ip| ip.is_loopback());
    let mode = match (scheme, &tls) {
        (Scheme::Smtps, Some(tls)) if *tls.get_ref() != RouteTls::Verified => {
            tell(tls.span(), "with `smtps` TLS is there from the first octet and the certificate is checked".into());
            RouteTls::Implicit
        }
        (Scheme::Smtps, _) => RouteTls::Implicit,
        (_, Some(tls)) => *tls.get_ref(),
        (Scheme::Lmtp, None) if !has_login => RouteTls::None,
        (Scheme::Smtp, None) if !has_login => RouteTls::Opportunistic,
        (_, None) => RouteTls::Verified,
    };
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password.get_ref().clone())),
        (Some(_), None) => {
            tell(
                to_at.clone(),
                "the password is missing: `password_file`, `password_env` or `password_credential`".into(),
            );
            None
        }
        (None, Some(password)) => {
            tell(
                password.span(),
                "nobody logs in with this: the name of the user is missing in `to`, as in `smtp://you@...`".into(),
            );
            None
        }
        (None, None) => None,
    };
    let shows_itself = matches!(mode, RouteTls::Verified | RouteTls::Implicit);
    if has_login && !shows_itself && !(mode == RouteTls::None && is_here) {
        let span = tls.map_or(to_at.clone(), |tls| tls.span());
        tell(span, "a password is told only to a server that shows a certificate for its name: leave `tls` out".into());
    }
    HostRoute { is_lmtp: scheme == Scheme::Lmtp, host, address, port, tls: mode, login }
}

/// The domain of a pattern for recipients that is no address and has no dot in front.
pub fn domain_of(pattern: &str) -> Option<Domain<'static>> {
    let address = Address::parse_utf8(pattern).ok().map(|address| address.domain().clone().into_owned());
    address.or_else(|| Domain::parse_utf8(pattern).ok().map(Domain::into_owned))
}
