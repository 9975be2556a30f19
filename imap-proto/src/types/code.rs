//! Response codes: the machine-readable part of OK, NO, BAD and BYE.

use alloc::borrow::Cow;
use core::fmt;

/// A response code that an answer may carry (RFC 9051 §7.1, RFC 5530 §3). The session adds those that hold data
/// (UIDVALIDITY, COPYUID, CAPABILITY and the like) by itself.
///
/// ```
/// use pillarbox_imap::types::ResponseCode;
///
/// assert_eq!(ResponseCode::OverQuota.to_string(), "OVERQUOTA");
/// assert_eq!(ResponseCode::other("X-SOMETHING 5").unwrap().to_string(), "X-SOMETHING 5");
/// assert_eq!(ResponseCode::other("X]\r\n* BYE"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseCode {
    /// The text must be shown to the user.
    Alert,
    /// The name is taken already.
    AlreadyExists,
    /// Wrong credentials, or no such user: which of the two is not told.
    AuthenticationFailed,
    /// The credentials are good, the identity that was asked for is not allowed.
    AuthorizationFailed,
    /// The operation can never succeed, such as a name that is not allowed.
    Cannot,
    /// The client did something wrong that is no syntax error.
    ClientBug,
    /// The user should ask the people who run the server.
    ContactAdmin,
    /// The server found its data damaged.
    Corruption,
    /// The password is right and too old.
    Expired,
    /// Some of the messages were expunged by another session.
    ExpungeIssued,
    /// The mailbox has others below it (RFC 9051 §7.1).
    HasChildren,
    /// Somebody else holds what is needed.
    InUse,
    /// A limit of the server was reached.
    Limit,
    /// A value of an annotation has more than so many octets (RFC 5464 §4.3).
    MetadataMaxSize(u32),
    /// Annotations of users' own are not kept there (RFC 5464 §4.3).
    MetadataNoPrivate,
    /// There are as many annotations as there may be (RFC 5464 §4.3).
    MetadataTooMany,
    /// There is no such mailbox.
    NonExistent,
    /// The user may not do this.
    NoPerm,
    /// The user's quota is used up.
    OverQuota,
    /// A message could not be parsed.
    Parse,
    /// This needs encryption first.
    PrivacyRequired,
    /// The server has an error.
    ServerBug,
    /// Too large for ever (RFC 7889 §4, RFC 9051 §7.1).
    TooBig,
    /// The target does not exist; CREATE would help.
    TryCreate,
    /// A part of the server is away for the moment.
    Unavailable,
    /// The content of a part cannot be decoded, or that of a message not stored (RFC 3516 §4.3).
    UnknownCte,
    /// The mailbox cannot be made for that use (RFC 6154 §3).
    UseAttr,
    /// Another code; made by [`ResponseCode::other`].
    Other(OtherCode),
}

/// A response code that this crate has no word for, checked: it cannot end its brackets or its line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherCode(Cow<'static, str>);

impl ResponseCode {
    /// Any other code with its arguments, without the brackets; `None` unless it is printable ASCII without `]`
    /// (RFC 9051 §9, `resp-text-code`).
    pub fn other(code: impl Into<Cow<'static, str>>) -> Option<Self> {
        let code = code.into();
        let fits = code.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b']');
        (fits && !code.is_empty() && !code.starts_with(' ')).then_some(ResponseCode::Other(OtherCode(code)))
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseCode::Alert => "ALERT",
            ResponseCode::AlreadyExists => "ALREADYEXISTS",
            ResponseCode::AuthenticationFailed => "AUTHENTICATIONFAILED",
            ResponseCode::AuthorizationFailed => "AUTHORIZATIONFAILED",
            ResponseCode::Cannot => "CANNOT",
            ResponseCode::ClientBug => "CLIENTBUG",
            ResponseCode::ContactAdmin => "CONTACTADMIN",
            ResponseCode::Corruption => "CORRUPTION",
            ResponseCode::Expired => "EXPIRED",
            ResponseCode::ExpungeIssued => "EXPUNGEISSUED",
            ResponseCode::HasChildren => "HASCHILDREN",
            ResponseCode::InUse => "INUSE",
            ResponseCode::Limit => "LIMIT",
            ResponseCode::MetadataMaxSize(octets) => return write!(f, "METADATA MAXSIZE {octets}"),
            ResponseCode::MetadataNoPrivate => "METADATA NOPRIVATE",
            ResponseCode::MetadataTooMany => "METADATA TOOMANY",
            ResponseCode::NonExistent => "NONEXISTENT",
            ResponseCode::NoPerm => "NOPERM",
            ResponseCode::OverQuota => "OVERQUOTA",
            ResponseCode::Parse => "PARSE",
            ResponseCode::PrivacyRequired => "PRIVACYREQUIRED",
            ResponseCode::ServerBug => "SERVERBUG",
            ResponseCode::TooBig => "TOOBIG",
            ResponseCode::TryCreate => "TRYCREATE",
            ResponseCode::Unavailable => "UNAVAILABLE",
            ResponseCode::UnknownCte => "UNKNOWN-CTE",
            ResponseCode::UseAttr => "USEATTR",
            ResponseCode::Other(OtherCode(code)) => code,
        })
    }
}
