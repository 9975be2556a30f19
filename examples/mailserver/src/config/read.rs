//! From a TOML table to a configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pillarbox::delivery::OverQuota;
use pillarbox::imap_proto::types::{MailboxName, Separator};
use pillarbox::maildir::{DiskNames, Grace, Layout, QuotaRules};
use pillarbox::store::MaildirStore;
use pillarbox::{Network, NetworkError};
use toml::Spanned;
use toml::de::DeTable;

use super::error::Mistake;
use super::location::MailLocation;
use super::read_authentication::{SigningDraft, read_authentication, read_signing};
use super::read_sending::{SendingDraft, read_dns, read_sending};
use super::table::{self, Table, Value};
use super::{
    Address, Authentication, Config, Dns, Limits, Listener, Mailboxes, Protocol, Public, Sharing, TlsFiles, TlsMode,
};

/// What could be read of a file, with the places that later checks will want to name. Whatever is missing was noted as a
/// mistake.
pub struct Draft {
    pub hostname: Option<String>,
    pub domains: Option<Vec<String>>,
    pub postmaster: Option<Spanned<String>>,
    pub accounts: Option<Spanned<PathBuf>>,
    pub mail: Option<Spanned<MailLocation>>,
    pub mailboxes: Option<Mailboxes>,
    /// Where the account of the public mailboxes is named.
    pub public_account: Option<Range<usize>>,
    /// `Some(None)`: there is no `[tls]`, and that is no mistake.
    pub tls: Option<Option<TlsFiles<Spanned<PathBuf>>>>,
    pub listeners: Vec<Spanned<Listener>>,
    pub limits: Option<Limits>,
    pub quota: Option<(QuotaRules, OverQuota, Vec<String>)>,
    /// `None`: nothing is sent.
    pub sending: Option<SendingDraft>,
    /// `Some(None)`: there is no `[authentication]`, and that is no mistake.
    pub authentication: Option<Option<Authentication>>,
    pub signing: SigningDraft,
    pub dns: Option<Dns>,
}

impl Draft {
    /// The mailboxes that belong to nobody, if there are such.
    pub fn public(&self) -> Option<&Public> {
        self.mailboxes.as_ref()?.sharing.as_ref()?.public.as_ref()
    }

    /// The configuration, if nothing is missing.
    pub fn finish(self) -> Option<Config> {
        let (quota, over_quota, quota_set_by) = self.quota?;
        Some(Config {
            hostname: self.hostname?,
            domains: self.domains?,
            postmaster: self.postmaster?.into_inner(),
            accounts: self.accounts?.into_inner(),
            mail: self.mail?.into_inner(),
            mailboxes: self.mailboxes?,
            tls: self.tls?.map(|TlsFiles { certificate, key }| TlsFiles {
                certificate: certificate.into_inner(),
                key: key.into_inner(),
            }),
            listeners: self.listeners.into_iter().map(Spanned::into_inner).collect(),
            limits: self.limits?,
            quota,
            over_quota,
            quota_set_by,
            sending: match self.sending {
                None => None,
                Some(draft) => Some(draft.sending?),
            },
            authentication: self.authentication?,
            signing: self.signing.keys?,
            dns: self.dns?,
        })
    }
}

/// Reads the whole file. Paths in it begin at the folder `base`.
pub fn draft(table: &DeTable<'_>, base: &Path, mistakes: &mut Vec<Mistake>) -> Draft {
    let mut file = Table::new(table, 0..0);
    let hostname = file.required("hostname").and_then(|v| table::parsed(v, mistakes, host_name));
    let domains = file.required("domains").and_then(|v| read_domains(v, mistakes));
    let postmaster = file.required("postmaster").and_then(|value| placed(value, mistakes, account_name));
    let accounts = file.required("accounts").and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let several = domains.as_ref().is_some_and(|domains| domains.len() > 1);
    let location = |text: &str| read_location(base, text, several);
    let mail = file.required("mail").and_then(|v| placed(v, mistakes, location));
    let mut public_account = None;
    let mailboxes = file
        .optional("mailboxes")
        .map_or_else(|| Some(Mailboxes::default()), |v| read_mailboxes(v, location, &mut public_account, mistakes));
    let tls = match file.optional("tls") {
        Some(value) => read_tls(value, base, mistakes).map(Some),
        None => Some(None),
    };
    // A [tls] table that is wrong is told once, not again for each listener.
    let have_tls = !matches!(tls, Some(None));
    let listeners = file.required("listener");
    let listeners = listeners.map(|v| read_listeners(v, base, have_tls, mistakes)).unwrap_or_default();
    let limits = file.optional("limits").map_or_else(|| Some(Limits::default()), |v| read_limits(v, mistakes));
    let quota = file.optional("quota").map_or_else(|| Some(Default::default()), |v| read_quota(v, mistakes));
    let sending = read_sending(&mut file, base, domains.as_deref(), mistakes);
    let authentication = file.optional("authentication");
    let dns = file.optional("dns");
    if let Some(value) = dns.filter(|_| sending.is_none() && authentication.is_none()) {
        let message = "[dns] means nothing without something that asks: add a [queue] table with `folder`, or an \
            [authentication] table";
        mistakes.push(Mistake::new(value.span(), message));
    }
    let dns = dns.map_or_else(|| Some(Dns::default()), |value| read_dns(value, mistakes));
    if let (Some(place), None) = (sending.as_ref().and_then(|sending| sending.seal_key.as_ref()), authentication) {
        let message = "nothing is sealed of which nothing is known: add an [authentication] table";
        mistakes.push(Mistake::new(place.span(), message));
    }
    let authentication = match authentication {
        Some(value) => read_authentication(value, mistakes).map(Some),
        None => Some(None),
    };
    let signing = read_signing(file.optional("sign"), base, domains.as_deref(), mistakes);
    refuse_relaying(&listeners, file.optional("queue").is_some(), mistakes);
    file.finish(mistakes);
    Draft {
        hostname,
        domains,
        postmaster,
        accounts,
        mail,
        mailboxes,
        public_account,
        tls,
        listeners,
        limits,
        quota,
        sending,
        authentication,
        signing,
        dns,
    }
}

/// The name of an account, in lower case.
fn account_name(text: &str) -> Result<String, String> {
    match text.rsplit_once('@') {
        Some((user, domain)) if !user.is_empty() && host_name(domain).is_ok() => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("`{text}` is not an account such as `you@example.org`")),
    }
}

/// What a text says, with its place.
pub fn placed<T>(
    value: &Value<'_>,
    mistakes: &mut Vec<Mistake>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<Spanned<T>> {
    table::parsed(value, mistakes, parse).map(|parsed| Spanned::new(value.span(), parsed))
}

/// A host or domain name: letters, digits and hyphens between dots (RFC 5321 §2.3.5), in lower case.
pub fn host_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 255 && text.split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not a host name (international names are written in their xn-- form)")),
    }
}

fn read_domains(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Vec<String>> {
    let before = mistakes.len();
    let mut domains = Vec::new();
    for item in table::list(value, mistakes)? {
        if let Some(domain) = table::parsed(item, mistakes, host_name) {
            if domains.contains(&domain) {
                mistakes.push(Mistake::new(item.span(), format!("the domain `{domain}` stands here twice")));
            }
            domains.push(domain);
        }
    }
    if domains.is_empty() && mistakes.len() == before {
        mistakes.push(Mistake::new(value.span(), "at least one domain is needed"));
    }
    (mistakes.len() == before).then_some(domains)
}

/// Where the mail of accounts is, of one domain or of several.
fn read_location(base: &Path, text: &str, several_domains: bool) -> Result<MailLocation, String> {
    let location = MailLocation::parse(base, text)?;
    match several_domains && !location.tells_domains_apart() {
        true => Err("several domains are served, so that the mail location must hold `{domain}`, \
            or accounts of two domains would share one folder"
            .into()),
        false => Ok(location),
    }
}

fn read_mailboxes(
    value: &Value<'_>,
    location: impl Fn(&str) -> Result<MailLocation, String>,
    public_account: &mut Option<Range<usize>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Mailboxes> {
    const LAYOUTS: [(&str, Layout); 2] = [("maildir++", Layout::MaildirPlusPlus), ("fs", Layout::Fs)];
    const NAMES: [(&str, DiskNames); 2] = [("utf-7", DiskNames::ModifiedUtf7), ("utf-8", DiskNames::Utf8)];
    const SEPARATORS: [(&str, Separator); 2] = [("/", Separator::Slash), (".", Separator::Dot)];
    let mut table = table::table(value, mistakes)?;
    let default = Mailboxes::default();
    let layout = table.optional("layout").map_or(Some(default.layout), |v| table::word(v, &LAYOUTS, mistakes));
    let names = table.optional("names").map_or(Some(default.names), |v| table::word(v, &NAMES, mistakes));
    let inbox =
        table.optional("inbox").map_or(Some(None), |v| table::parsed(v, mistakes, |text| location(text)).map(Some));
    let separator =
        table.optional("separator").map_or(Some(default.separator), |v| table::word(v, &SEPARATORS, mistakes));
    let prefix = table.optional("prefix").map_or(Some(default.prefix), |v| {
        table::parsed(v, mistakes, |text| match separator {
            // What is wrong with the separator is told already.
            None => Ok(text.to_owned()),
            // Who knows what a prefix is says whether this is one.
            Some(separator) => match MaildirStore::new(|_| None).in_namespace(text, separator) {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(error.to_string()),
            },
        })
    });
    let front = |text: &str| front(text, separator.unwrap_or_default(), prefix.as_deref().unwrap_or_default());
    let sharing = read_sharing(&mut table, separator, front, public_account, mistakes);
    table.finish(mistakes);
    Some(Mailboxes {
        layout: layout?,
        names: names?,
        inbox: inbox?,
        prefix: prefix?,
        separator: separator?,
        sharing: sharing?,
    })
}

/// The keys that say whom users may let into their mailboxes.
fn read_sharing(
    table: &mut Table<'_, '_>,
    separator: Option<Separator>,
    front: impl Fn(&str) -> Result<MailboxName, String>,
    public_account: &mut Option<Range<usize>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Option<Sharing>> {
    const SHARING: [(&str, bool); 2] = [("none", false), ("acl", true)];
    const ANYONE: [(&str, bool); 2] = [("none", false), ("allow", true)];
    let said = table.optional("sharing");
    let sharing = said.map_or(Some(false), |v| table::word(v, &SHARING, mistakes));
    let keys = ["other_users", "public", "anyone"].map(|key| (key, table.optional(key)));
    if sharing == Some(false) {
        let needless = keys.iter().filter_map(|(key, value)| Some((key, (*value)?)));
        mistakes.extend(needless.map(|(key, value)| {
            Mistake::new(value.span(), format!("`{key}` means nothing without `sharing = \"acl\"`"))
        }));
        return Some(None);
    }
    let [(_, other_users), (_, public), (_, anyone)] = keys;
    let other_users = match (separator, other_users.or(said.filter(|_| public.is_none()))) {
        (Some(Separator::Dot), Some(value)) => {
            let message = "names of accounts such as `you@example.org` hold dots, so that mailboxes of others need `separator = \"/\"`";
            mistakes.push(Mistake::new(value.span(), message));
            None
        }
        (Some(Separator::Dot), None) => Some(None),
        _ => match other_users {
            Some(value) => table::parsed(value, mistakes, &front).map(Some),
            None => said.and_then(|value| table::parsed(value, mistakes, |_| front("Other Users"))).map(Some),
        },
    };
    let public = public.map_or(Some(None), |v| read_public(v, &front, public_account, mistakes).map(Some));
    let anyone = anyone.map_or(Some(false), |v| table::word(v, &ANYONE, mistakes));
    if let (Some(Some(name)), Some(Some(public)), Some(value)) = (&other_users, &public, keys[1].1)
        && (public.name == *name || public.name.is_below(name) || name.is_below(&public.name))
    {
        mistakes.push(Mistake::new(value.span(), format!("`{name}` is where the mailboxes of other users are")));
    }
    sharing?;
    Some(Some(Sharing { other_users: other_users?, public: public?, anyone: anyone? }))
}

fn read_public(
    value: &Value<'_>,
    front: impl Fn(&str) -> Result<MailboxName, String>,
    public_account: &mut Option<Range<usize>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Public> {
    let mut table = table::table(value, mistakes)?;
    let name = table.required("name").and_then(|v| table::parsed(v, mistakes, front));
    let account = table.required("account").and_then(|v| placed(v, mistakes, account_name));
    *public_account = account.as_ref().map(Spanned::span);
    let account = account.map(Spanned::into_inner);
    table.finish(mistakes);
    Some(Public { name: name?, account: account? })
}

/// What names of mailboxes begin with that are not a user's own; those begin with the prefix, and must not lie behind it.
fn front(text: &str, separator: Separator, prefix: &str) -> Result<MailboxName, String> {
    let name = match MailboxName::new(text) {
        Ok(name) if name.is_inbox() => return Err("INBOX is everybody's own".into()),
        Ok(name) => name,
        Err(error) => return Err(format!("{error}; levels are parted by `/`, and there is none at the end")),
    };
    let separator = separator.as_char();
    if separator != '/' && text.contains(separator) {
        return Err(format!("no level can hold the separator `{separator}`: levels are parted by `/` here"));
    }
    let own = prefix.strip_suffix(separator).unwrap_or(prefix).replace(separator, "/");
    match MailboxName::new(&own) {
        Ok(own) if own == name || own.is_below(&name) => {
            Err(format!("`{prefix}` is in front of everybody's own mailboxes, which `{text}` would hide"))
        }
        _ => Ok(name),
    }
}

fn read_tls(value: &Value<'_>, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<TlsFiles<Spanned<PathBuf>>> {
    let mut tls = table::table(value, mistakes)?;
    let mut path = |key| tls.required(key).and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let (certificate, key) = (path("certificate"), path("key"));
    tls.finish(mistakes);
    Some(TlsFiles { certificate: certificate?, key: key? })
}

fn read_listeners(
    value: &Value<'_>,
    base: &Path,
    have_tls: bool,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Spanned<Listener>> {
    let before = mistakes.len();
    let mut listeners: Vec<Spanned<Listener>> = Vec::new();
    for item in table::list(value, mistakes).unwrap_or_default() {
        let Some(listener) = read_listener(item, base, have_tls, mistakes) else { continue };
        let address = &listener.get_ref().address;
        if let Some(other) = listeners.iter().map(|other| &other.get_ref().address).find(|other| clash(address, other))
        {
            let message = match address == other {
                true => format!("two listeners have the address {address}"),
                false => format!(
                    "{address} and {other} cannot both be listened on: one of them takes the other's clients as well"
                ),
            };
            mistakes.push(Mistake::new(listener.span(), message));
        }
        listeners.push(listener);
    }
    if listeners.is_empty() && mistakes.len() == before {
        mistakes.push(Mistake::new(value.span(), "at least one [[listener]] is needed"));
    }
    listeners
}

/// Whether the system would refuse the second of two addresses. `[::]` takes clients of IPv4 as well.
fn clash(a: &Address, b: &Address) -> bool {
    const EVERYWHERE: [std::net::IpAddr; 2] =
        [std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    match (a, b) {
        // The system picks a free one.
        (Address::Tcp(a), Address::Tcp(_)) if a.port() == 0 => false,
        (Address::Tcp(a), Address::Tcp(b)) if a.port() == b.port() => {
            let takes =
                |a: &SocketAddr, b: &SocketAddr| a.ip() == EVERYWHERE[1] || a.ip() == EVERYWHERE[0] && b.is_ipv4();
            a.ip() == b.ip() || takes(a, b) || takes(b, a)
        }
        _ => a == b,
    }
}

/// A listener, with the place of its address.
fn read_listener(
    value: &Value<'_>,
    base: &Path,
    have_tls: bool,
    mistakes: &mut Vec<Mistake>,
) -> Option<Spanned<Listener>> {
    const PROTOCOLS: [(&str, Protocol); 4] = [
        ("smtp", Protocol::Smtp),
        ("submission", Protocol::Submission),
        ("lmtp", Protocol::Lmtp),
        ("imap", Protocol::Imap),
    ];
    const MODES: [(&str, TlsMode); 3] =
        [("none", TlsMode::None), ("starttls", TlsMode::StartTls), ("implicit", TlsMode::Implicit)];
    let mut listener = table::table(value, mistakes)?;
    let protocol = listener.required("protocol").and_then(|v| table::word(v, &PROTOCOLS, mistakes));
    let address = listener.required("address");
    let address = address.and_then(|v| placed(v, mistakes, |text| parse_address(base, text)));
    let tls = listener.optional("tls");
    let tls_at = tls.map_or(value.span(), |v| v.span());
    let tls = tls.map_or(Some(TlsMode::None), |v| table::word(v, &MODES, mistakes));
    let mut networks = |key| listener.optional(key).map(|value| (value.span(), read_networks(value, mistakes)));
    let (proxies, xclient, xforward) = (networks("proxies"), networks("xclient"), networks("xforward"));
    let relay_from = networks("relay_from");
    let compress = listener.optional("compress");
    let compress_at = compress.map(|v| v.span());
    let compress = compress.map_or(Some(false), |v| table::boolean(v, mistakes));
    let relay_at = relay_from.as_ref().map(|(span, _)| span.clone());
    listener.finish(mistakes);
    let address = address?;
    let address_at: Range<usize> = address.span();
    let of_smtp = xclient.as_ref().or(xforward.as_ref()).map(|(span, _)| span.clone());
    let unspanned = |networks: Option<(Range<usize>, Vec<Network>)>| networks.map(|(_, list)| list).unwrap_or_default();
    let listener = Listener {
        protocol: protocol?,
        address: address.into_inner(),
        tls: tls?,
        proxies: unspanned(proxies),
        xclient: unspanned(xclient),
        xforward: unspanned(xforward),
        relay_from: unspanned(relay_from),
        compress: compress?,
    };
    if let Some(span) = relay_at {
        check_relay_from(&listener, span, mistakes);
    }
    if let (Protocol::Smtp | Protocol::Submission | Protocol::Lmtp, Some(span)) = (listener.protocol, compress_at) {
        let message = format!("`compress` is for listeners for imap, not for {}", listener.protocol.name());
        mistakes.push(Mistake::new(span, message));
    }
    if let (Protocol::Imap, Some(span)) = (listener.protocol, of_smtp) {
        mistakes.push(Mistake::new(span, "IMAP has neither XCLIENT nor XFORWARD"));
    }

    if listener.tls != TlsMode::None && !have_tls {
        mistakes.push(Mistake::new(
            tls_at.clone(),
            "TLS needs a certificate: add a [tls] table with `certificate` and `key`",
        ));
    }
    match (listener.protocol, &listener.address) {
        // RFC 2033 §5: a server that speaks SMTP there would be taken for one that queues.
        (Protocol::Lmtp, Address::Tcp(at)) if at.port() == 25 => {
            mistakes.push(Mistake::new(address_at.clone(), "LMTP must not be spoken on port 25 (RFC 2033 §5)"));
        }
        // Passwords would cross the network in the clear (RFC 8314 §3), or nobody could log in.
        (Protocol::Submission | Protocol::Imap, _) if listener.tls == TlsMode::None => {
            let name = listener.protocol.name();
            let message =
                format!("a listener for {name} needs TLS, since users log in there: `starttls` or `implicit`");
            mistakes.push(Mistake::new(tls_at, message));
        }
        _ => {}
    }
    Some(Spanned::new(address_at, listener))
}

/// Where nobody logs in, whoever comes from such a network sends as anybody to anybody.
fn check_relay_from(listener: &Listener, span: Range<usize>, mistakes: &mut Vec<Mistake>) {
    let name = listener.protocol.name();
    if listener.protocol != Protocol::Smtp {
        mistakes.push(Mistake::new(span, format!("`relay_from` is for listeners for smtp, not for {name}")));
    } else if listener.relay_from.iter().any(holds_strangers) {
        let message = "so large a network holds strangers, and spam would be sent through this server within the hour";
        mistakes.push(Mistake::new(span, message));
    }
}

/// Whether a network is too large to be anybody's.
pub fn holds_strangers(network: &Network) -> bool {
    network.prefix() < 8 && !is_private(network)
}

/// `fc00::/7`, the private addresses of IPv6.
fn is_private(network: &Network) -> bool {
    network.prefix() == 7 && network.contains(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into())
}

/// What `relay_from` lets in has to go somewhere.
fn refuse_relaying(listeners: &[Spanned<Listener>], has_queue: bool, mistakes: &mut Vec<Mistake>) {
    let relaying = listeners.iter().find(|listener| !has_queue && !listener.get_ref().relay_from.is_empty());
    let message = "`relay_from` of this listener means nothing without a queue: add a [queue] table with `folder`";
    mistakes.extend(relaying.map(|listener| Mistake::new(listener.span(), message)));
}

/// A list of addresses and networks.
pub fn read_networks(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Vec<Network> {
    let parse = |text: &str| text.parse().map_err(|error: NetworkError| error.to_string());
    let items = table::list(value, mistakes).unwrap_or_default();
    items.iter().filter_map(|item| table::parsed(item, mistakes, parse)).collect()
}

fn parse_address(base: &Path, text: &str) -> Result<Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("after `unix:` the path of the socket is missing".into()),
        Some(path) => Ok(Address::Unix(base.join(path))),
        None => text.parse().map(Address::Tcp).map_err(|_| {
            format!("`{text}` is not an address such as `0.0.0.0:25`, `[::]:25` or `unix:/run/mailserver/lmtp`")
        }),
    }
}

/// Numbers and rules are written as Dovecot writes them.
fn read_quota(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<(QuotaRules, OverQuota, Vec<String>)> {
    const ANSWERS: [(&str, OverQuota); 2] = [("later", OverQuota::Later), ("refuse", OverQuota::Refuse)];
    let before = mistakes.len();
    let mut quota = table::table(value, mistakes)?;
    let mut rules = QuotaRules::default();
    let mut add = |rule: &str| rules.add(rule).map_err(|error| error.to_string());
    if let Some(value) = quota.optional("storage") {
        table::parsed(value, mistakes, |size| {
            add(&format!("*:storage={size}"))?;
            match size.trim_end_matches(|unit: char| !unit.is_ascii_digit()).bytes().all(|digit| digit == b'0') {
                // In a rule of Dovecot's 0 is no limit, and here it might be meant for no room.
                true => Err(format!("`{size}` would be no limit: leave `storage` out for that")),
                false => Ok(()),
            }
        });
    }
    if let Some(value) = quota.optional("messages")
        && let Some(number) = table::number(value, 1..=1 << 40, mistakes)
    {
        add(&format!("*:messages={number}")).expect("a number is a limit");
    }
    if let Some(value) = quota.optional("rules") {
        for rule in table::list(value, mistakes).unwrap_or_default() {
            table::parsed(rule, mistakes, &mut add);
        }
    }
    if let Some(value) = quota.optional("grace")
        && let Some(grace) =
            table::parsed(value, mistakes, |text| Grace::parse(text).map_err(|error| error.to_string()))
    {
        rules = rules.with_grace(grace);
    }
    let over = quota.optional("over").map_or(Some(OverQuota::Later), |value| table::word(value, &ANSWERS, mistakes));
    let mut set_by = Vec::new();
    if let Some(value) = quota.optional("set_by") {
        for account in table::list(value, mistakes).unwrap_or_default() {
            set_by.extend(table::parsed(account, mistakes, |account| match account.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(account.to_ascii_lowercase()),
                _ => Err(format!("the account `{account}` needs its domain, as in `{account}@example.org`")),
            }));
        }
    }
    quota.finish(mistakes);
    (mistakes.len() == before).then_some((rules, over?, set_by))
}

fn read_limits(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Limits> {
    let mut limits = table::table(value, mistakes)?;
    let mut number = |key, default, range| match limits.optional(key) {
        Some(value) => table::number(value, range, mistakes),
        None => Some(default),
    };
    let default = Limits::default();
    let message_size = number("message_size", default.message_size, 1024..=1 << 40);
    // RFC 5321 §4.5.3.1.8 asks for at least 100.
    let recipients = number("recipients", default.recipients as u64, 100..=1_000_000);
    // Where the key is left out: none.
    let per_command = number("messages_per_command", 0, 1..=u32::MAX.into());
    let free_space = number("free_space", default.free_space, 1..=1 << 60);
    let free_files = number("free_files", default.free_files, 1..=1 << 40);
    let connections = number("connections", default.connections as u64, 1..=10_000_000);
    let unauthenticated = number("unauthenticated", default.unauthenticated as u64, 1..=10_000_000);
    let per_address = number("connections_per_address", default.connections_per_address as u64, 1..=10_000_000);
    let per_minute = number("connections_per_minute", u64::from(default.connections_per_minute), 1..=1_000_000);
    let trusted = limits.optional("trusted").map(|value| read_networks(value, mistakes)).unwrap_or_default();
    limits.finish(mistakes);
    Some(Limits {
        message_size: message_size?,
        recipients: recipients? as usize,
        messages_per_command: NonZeroU32::new(per_command? as u32),
        free_space: free_space?,
        free_files: free_files?,
        connections: connections? as usize,
        unauthenticated: unauthenticated? as usize,
        connections_per_address: per_address? as usize,
        connections_per_minute: per_minute? as u32,
        trusted,
    })
}
