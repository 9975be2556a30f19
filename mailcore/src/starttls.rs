//! Whether a client has the connection made secure.

/// What a client does about STARTTLS (RFC 3207, RFC 9051 §6.2.1). A handshake that fails ends the connection in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// Not even if it is offered.
    Never,
    /// If it is offered. A server that then says no hears in clear what may be said so. One of IMAP that is done with the login
    /// before it (PREAUTH) is left, if there is a login whose policy allows no secret in clear.
    IfOffered,
    /// Nothing else is said without it: no mail, no secret, and nothing to a server of IMAP that is done with the login before it.
    /// Shuts out whoever takes STARTTLS out of what the server says (RFC 3207 §6).
    Required,
}
