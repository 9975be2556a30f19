//! What a server said it can do.

use pillarbox_core::Text;

use crate::reply_parser::{self, Ends, RawReply};

/// The keywords of an EHLO or LHLO reply with their parameters (RFC 5321 §4.1.1.1). Empty behind HELO.
///
/// The reply is kept as it came, and looked through when something is asked: a client asks for few things, and once.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// The lines of the reply, codes and all.
    wire: Text<'static>,
    ends: Ends,
}

impl PartialEq for Capabilities {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl Eq for Capabilities {}

impl Capabilities {
    /// Reads the reply to EHLO or LHLO. The first line is the server's name; lines that hold no keyword are left out.
    ///
    /// ```
    /// use pillarbox_smtp::client::Capabilities;
    /// use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
    ///
    /// let mut wire = &b"250-mx.example\r\n250-size 1000\r\n250 AUTH PLAIN LOGIN\r\n"[..];
    /// let reply = ReplyParser::new(ReplyLimits::default()).parse(&mut wire).unwrap().unwrap();
    /// let capabilities = Capabilities::from_reply(&reply);
    /// assert_eq!(capabilities.size_max(), Some(1000));
    /// assert_eq!(capabilities.parameters("auth").unwrap().collect::<Vec<_>>(), ["PLAIN", "LOGIN"]);
    /// assert!(!capabilities.has("STARTTLS"));
    /// ```
    pub fn from_reply(reply: &RawReply<'_>) -> Self {
        let (wire, ends) = reply.to_text();
        Capabilities { wire, ends }
    }

    /// What the server calls itself: the first word of its answer, which may be anything.
    ///
    /// ```
    /// use pillarbox_smtp::client::Capabilities;
    /// use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
    ///
    /// let mut wire = &b"250-mx.example at your service\r\n250 SIZE\r\n"[..];
    /// let reply = ReplyParser::new(ReplyLimits::default()).parse(&mut wire).unwrap().unwrap();
    /// assert_eq!(Capabilities::from_reply(&reply).server_name(), Some("mx.example"));
    /// assert_eq!(Capabilities::default().server_name(), None);
    /// ```
    pub fn server_name(&self) -> Option<&str> {
        let line = reply_parser::lines(self.wire.as_bytes(), &self.ends).next()?;
        let word = line.trim_ascii().split(|octet| *octet == b' ').next().filter(|word| !word.is_empty())?;
        Some(str::from_utf8(word).expect("a text, cut at octets of ASCII"))
    }

    /// Whether the server offers this extension. Case does not count.
    pub fn has(&self, keyword: &str) -> bool {
        self.find(keyword).is_some()
    }

    /// The parameters of an extension; `None` if it is not offered. If a server names it twice, the first one counts.
    pub fn parameters(&self, keyword: &str) -> Option<impl Iterator<Item = &str>> {
        self.find(keyword).map(|parameters| parameters.split_ascii_whitespace())
    }

    /// The largest message that the server takes, in octets. `None` if it says none: no SIZE, or one of 0
    /// (RFC 1870 §4), or one that is no number.
    pub fn size_max(&self) -> Option<u64> {
        self.parameters("SIZE")?.next()?.parse().ok().filter(|size| *size > 0)
    }

    /// How many RCPT commands the server takes in one transaction (RFC 9422, `RCPTMAX`). `None` if it says none.
    ///
    /// ```
    /// use pillarbox_smtp::client::Capabilities;
    /// use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
    ///
    /// let mut wire = &b"250-mx.example\r\n250 LIMITS MAILMAX=5 RCPTMAX=100\r\n"[..];
    /// let reply = ReplyParser::new(ReplyLimits::default()).parse(&mut wire).unwrap().unwrap();
    /// let capabilities = Capabilities::from_reply(&reply);
    /// assert_eq!((capabilities.rcpt_max(), capabilities.mail_max()), (Some(100), Some(5)));
    /// ```
    pub fn rcpt_max(&self) -> Option<u64> {
        self.limit("RCPTMAX")
    }

    /// How many MAIL commands the server takes in one session (RFC 9422, `MAILMAX`). `None` if it says none.
    pub fn mail_max(&self) -> Option<u64> {
        self.limit("MAILMAX")
    }

    /// Of how many domains the recipients of one transaction may be (RFC 9422, `RCPTDOMAINMAX`). `None` if it says none.
    pub fn rcpt_domain_max(&self) -> Option<u64> {
        self.limit("RCPTDOMAINMAX")
    }

    fn limit(&self, name: &str) -> Option<u64> {
        let mut limits = self.parameters("LIMITS")?.filter_map(|limit| limit.split_once('='));
        let (_, number) = limits.find(|(limit, _)| limit.eq_ignore_ascii_case(name))?;
        // RFC 9422: 1 to 6 digits, the first of which is not 0. What is something else is no limit.
        let is_number = number.len() <= 6 && number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        number.parse().ok().filter(|_| is_number)
    }

    /// What stands behind a keyword.
    fn find(&self, keyword: &str) -> Option<&str> {
        // RFC 5321 §4.1.1.1: ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
        let first = keyword.bytes().next().filter(u8::is_ascii_alphanumeric)?;
        // The first line is the server's name.
        let parameters = reply_parser::lines(self.wire.as_bytes(), &self.ends).skip(1).find_map(|line| {
            // Most lines are another's, and one octet tells.
            let is_other = line.first().is_none_or(|octet| !octet.eq_ignore_ascii_case(&first) && *octet > b' ');
            if is_other { None } else { behind_keyword(line, keyword) }
        })?;
        Some(str::from_utf8(parameters).expect("a text, cut at octets of ASCII"))
    }
}

/// What stands behind the keyword of a line, if it is this one.
fn behind_keyword<'b>(line: &'b [u8], keyword: &str) -> Option<&'b [u8]> {
    let (name, parameters) = line.trim_ascii().split_at_checked(keyword.len())?;
    let is = name.eq_ignore_ascii_case(keyword.as_bytes()) && matches!(parameters, [] | [b' ', ..]);
    is.then(|| parameters.trim_ascii())
}
