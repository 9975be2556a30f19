//! Users send as themselves (RFC 6409 §6.1, §6.3).

use std::sync::Arc;

use pillarbox_core::Reply;
use pillarbox_core::address::{Address, ReversePath};
use pillarbox_core::header::Fields;
use pillarbox_smtp::server::{Mail, Rcpt};

use super::{BoxFuture, Identity, Policy, Session, Verdict};

/// A policy in front of another: who is logged in may send only from addresses that are theirs, in the envelope (553 5.7.1)
/// and in the From field (550 5.7.1). The null path is everybody's. Those who are not logged in are the other policy's alone.
///
/// The From field has to be there once and name one address, in a form that every reader reads alike: `joe@example.org` or
/// `Joe <joe@example.org>`. Groups, routes, comments, several addresses, and everything else that one program takes for one
/// author and another for another, is refused.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::parts::{AllowList, OwnSenders};
///
/// let others = Arc::new(AllowList::new(["you@localhost"]));
/// // An account is called by its address here.
/// let policy = OwnSenders::new(others, |identity, address| address.to_string() == identity.user());
/// ```
pub struct OwnSenders<F> {
    inner: Arc<dyn Policy>,
    owns: F,
}

impl<F: Fn(&Identity, &Address<'_>) -> bool + Send + Sync> OwnSenders<F> {
    /// Asks `owns` whether an address is a user's, and `inner` everything else.
    pub const fn new(inner: Arc<dyn Policy>, owns: F) -> Self {
        OwnSenders { inner, owns }
    }

    fn judge_header(&self, session: &Session, header: &[u8]) -> Verdict {
        let refuse = |text| Verdict::Refuse(Reply::enhanced(550, 5, 7, 1, text));
        match (&session.identity, author(header)) {
            (None, _) => Verdict::Accept,
            (Some(identity), Some(address)) if (self.owns)(identity, &address) => Verdict::Accept,
            (Some(_), Some(_)) => refuse("the address in the From field is not yours"),
            (Some(_), None) => refuse("the message needs one From field with one address"),
        }
    }
}

impl<F: Fn(&Identity, &Address<'_>) -> bool + Send + Sync> Policy for OwnSenders<F> {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        self.inner.connect(session)
    }

    fn sender<'a>(&'a self, session: &'a Session, mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        if let (Some(identity), ReversePath::Address(address)) = (&session.identity, &mail.from)
            && !(self.owns)(identity, address)
        {
            let no = Reply::enhanced(553, 5, 7, 1, "the address of the sender is not yours");
            return Box::pin(std::future::ready(Verdict::Refuse(no)));
        }
        self.inner.sender(session, mail)
    }

    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        self.inner.recipient(session, rcpt)
    }

    fn wants_header(&self, session: &Session) -> bool {
        session.identity.is_some() || self.inner.wants_header(session)
    }

    fn header<'a>(&'a self, session: &'a Session, header: &'a [u8]) -> BoxFuture<'a, Verdict> {
        match self.judge_header(session, header) {
            Verdict::Accept if self.inner.wants_header(session) => self.inner.header(session, header),
            verdict => Box::pin(std::future::ready(verdict)),
        }
    }
}

/// The one author whom every reader of this header sees; `None` if they might see different ones, or none.
fn author(header: &[u8]) -> Option<Address<'static>> {
    let mut from = None;
    for field in Fields::new(header) {
        // What is no field to us may be one to others.
        if field.name.is_empty() {
            return None;
        }
        if field.name_is("From") {
            // Others do not know a name that white space parts from its colon.
            let is_plain = field.raw.get(field.name.len()) == Some(&b':');
            if !is_plain || from.replace(field).is_some() {
                return None;
            }
        }
    }
    let value = from?.unfolded();
    let value = std::str::from_utf8(&value).ok()?.trim_matches([' ', '\t']);
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return None;
    }
    let address = match value.strip_suffix('>') {
        Some(front) => angle_address(front)?,
        None => value,
    };
    // An encoded word is no address, though its characters would do for one (RFC 2047 §5 (3)).
    let is_encoded = address.contains("=?");
    Address::parse_utf8(address).ok().filter(|_| !is_encoded).map(Address::into_owned)
}

/// What stands between `display-name "<"` and the end, where the name is words and quoted strings (RFC 5322 §3.4).
fn angle_address(front: &str) -> Option<&str> {
    let mut in_quotes = false;
    let mut characters = front.char_indices();
    while let Some((at, character)) = characters.next() {
        match (in_quotes, character) {
            (true, '\\') => _ = characters.next()?,
            (_, '"') => in_quotes = !in_quotes,
            (true, _) => {}
            (false, '<') => return Some(&front[at + 1..]),
            (false, '>' | '@' | ',' | ';' | ':' | '(' | ')' | '[' | ']' | '\\') => return None,
            (false, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Option<String> {
        author(format!("Subject: x\r\n{header}\r\nTo: y@c.example\r\n\r\n").as_bytes())
            .map(|address| address.to_string())
    }

    #[test]
    fn one_author() {
        for header in [
            "From: joe@c.example",
            "from:joe@c.example",
            "From: <joe@c.example>",
            "From: Joe <joe@c.example>",
            "From: \"Joe, the \\\"boss\\\" <x@d.example>\" <joe@c.example>",
            "From: =?utf-8?q?J=C3=B6?= Q. Public\r\n <joe@c.example>\t",
            "From: Jöe <joe@c.example>",
        ] {
            assert_eq!(of(header).as_deref(), Some("joe@c.example"), "{header}");
        }
    }

    #[test]
    fn ambiguous_forms() {
        for header in [
            "Sender: joe@c.example",
            "From:",
            "From: ",
            "From: <>",
            "From: Joe",
            "From: joe@c.example\r\nFrom: joe@c.example",
            "From: joe@c.example\r\nFROM : x@d.example",
            "From : joe@c.example",
            "From\r\n : joe@c.example",
            "From joe@c.example\r\nFrom: joe@c.example",
            "junk\r\nFrom: joe@c.example",
            "From: joe@c.example, x@d.example",
            "From: <joe@c.example>, <x@d.example>",
            "From: <joe@c.example> <x@d.example>",
            "From: <joe@c.example>x@d.example",
            "From: x@d.example <joe@c.example>",
            "From: <@a.example,@b.example:joe@c.example>",
            "From: friends: joe@c.example;",
            "From: <x@d.example>:<joe@c.example>",
            "From: joe@c.example (x@d.example)",
            "From: (x@d.example) joe@c.example",
            "From: Joe (<x@d.example>) <joe@c.example>",
            "From: \\, <joe@c.example>",
            "From: \"Joe <joe@c.example>",
            "From: =?utf-8?b?am9lQGMuZXhhbXBsZQ==?=",
            "From: =?utf-8?q?joe?=@c.example",
            "From: joe@c.example\0",
            "From: joe@c.example\r x@d.example",
            "From: joe @c.example",
            "From: joe@c.example>",
            "From: [joe@c.example]",
        ] {
            assert_eq!(of(header), None, "{header}");
        }
        // The first line of a message goes on no field before it.
        assert_eq!(author(b" From: x@d.example\r\nFrom: joe@c.example\r\n\r\n"), None);
        assert_eq!(author(b""), None);
    }
}
