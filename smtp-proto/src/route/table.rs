//! Routes that an operator sets: smart hosts and the like, by recipient or by sender.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;

use pillarbox_core::address::{Address, Domain};

/// Which route a recipient takes, if not the one that the DNS tells. What a route is, is the caller's business.
///
/// A pattern is an address (`joe@example.org`), a domain (`example.org`, `[192.0.2.1]`) or all that is below a domain, without
/// itself (`.example.org`); the most special one that fits counts, in this order. Patterns for recipients come before
/// those for senders, and the default comes last. Case means nothing, in local parts either: nobody has two mailboxes that differ in it, and a
/// message that takes the wrong route because of it may be read by the wrong host.
///
/// ```
/// use pillarbox_core::address::Address;
/// use pillarbox_smtp::route::RouteTable;
///
/// let mut table = RouteTable::new();
/// table.by_recipient("example.org", "their office")?;
/// table.by_recipient(".example.org", "their provider")?;
/// table.by_sender("boss@example.com", "the good relay")?;
/// table.set_default("the relay");
///
/// let route = |from: Option<&str>, to: &str| {
///     let from = from.map(|from| Address::parse(from).unwrap());
///     *table.route(from.as_ref(), &Address::parse(to).unwrap()).unwrap()
/// };
/// assert_eq!(route(None, "joe@Example.ORG"), "their office");
/// assert_eq!(route(Some("boss@example.com"), "joe@a.b.example.org"), "their provider");
/// assert_eq!(route(Some("Boss@example.com"), "joe@example.net"), "the good relay");
/// assert_eq!(route(Some("clerk@example.com"), "joe@example.net"), "the relay");
/// # Ok::<(), pillarbox_smtp::route::RouteTableError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RouteTable<R> {
    recipients: BTreeMap<String, R>,
    senders: BTreeMap<String, R>,
    default: Option<R>,
}

/// A pattern that cannot be taken into a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteTableError {
    /// It is no address and no domain, with or without a dot in front.
    #[error("{0:?} is no address, no domain and no domain with a dot in front")]
    NoPattern(String),
    /// There is a route for it already.
    #[error("there are two routes for {0:?}")]
    Twice(String),
}

impl<R> RouteTable<R> {
    /// A table without routes: all mail goes where the DNS says.
    pub const fn new() -> Self {
        RouteTable { recipients: BTreeMap::new(), senders: BTreeMap::new(), default: None }
    }

    /// Sets the route of recipients.
    ///
    /// # Errors
    ///
    /// [`RouteTableError`]; the table is as it was.
    pub fn by_recipient(&mut self, pattern: &str, route: R) -> Result<(), RouteTableError> {
        insert(&mut self.recipients, pattern, route)
    }

    /// Sets the route of what certain senders send. What has no sender (notices, the null reverse-path) is in no such pattern.
    ///
    /// # Errors
    ///
    /// [`RouteTableError`]; the table is as it was.
    pub fn by_sender(&mut self, pattern: &str, route: R) -> Result<(), RouteTableError> {
        insert(&mut self.senders, pattern, route)
    }

    /// Sets the route of all that no pattern fits.
    pub fn set_default(&mut self, route: R) {
        self.default = Some(route);
    }

    /// The route of a recipient; `sender` is `None` for the null reverse-path. `None`: where the DNS says.
    ///
    /// Costs a look-up for each level of the domain, whatever the number of routes.
    pub fn route(&self, sender: Option<&Address<'_>>, recipient: &Address<'_>) -> Option<&R> {
        find(&self.recipients, recipient).or_else(|| find(&self.senders, sender?)).or(self.default.as_ref())
    }
}

impl<R> Default for RouteTable<R> {
    fn default() -> Self {
        RouteTable::new()
    }
}

fn insert<R>(routes: &mut BTreeMap<String, R>, pattern: &str, route: R) -> Result<(), RouteTableError> {
    let domain = |text: &str| Domain::parse_utf8(text).is_ok();
    let known = match pattern.strip_prefix('.') {
        Some(above) => domain(above) && !above.starts_with('['),
        None => domain(pattern) || Address::parse_utf8(pattern).is_ok(),
    };
    if !known {
        return Err(RouteTableError::NoPattern(pattern.to_owned()));
    }
    let key = match Address::parse_utf8(pattern) {
        Ok(address) => key_of(&address),
        Err(_) => pattern.to_lowercase(),
    };
    if routes.contains_key(&key) {
        return Err(RouteTableError::Twice(pattern.to_owned()));
    }
    routes.insert(key, route);
    Ok(())
}

/// `"joe"@example.org` and `joe@example.org` are one address.
fn key_of(address: &Address<'_>) -> String {
    let mut key = address.local().canonical().to_lowercase();
    key.push('@');
    key.push_str(&address.domain().as_str().to_lowercase());
    key
}

fn find<'t, R>(routes: &'t BTreeMap<String, R>, address: &Address<'_>) -> Option<&'t R> {
    if routes.is_empty() {
        return None;
    }
    let key = key_of(address);
    let domain = &key[key.rfind('@')? + 1..];
    let exact = routes.get(&key).or_else(|| routes.get(domain));
    // A dot in an address literal parts no levels.
    let levels = if address.domain().is_literal() { "" } else { domain };
    exact.or_else(|| levels.match_indices('.').find_map(|(dot, _)| routes.get(&levels[dot..])))
}
