//! What is wrong with a command line, and what the client is told.

use pillarbox_core::Reply;
use pillarbox_core::address::{AddressError, AddressFault};

/// What is wrong with a command line; always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The verb is not known.
    #[error("the command is not known")]
    Unknown,
    /// The line holds a control octet, or one beyond ASCII.
    #[error("the line holds an octet that no command may hold")]
    Octet,
    /// There is an argument too many, one is missing, or it is not what the verb takes.
    #[error("the arguments do not fit the command")]
    Argument,
    /// The size behind BDAT is none, so nobody knows where its octets end and commands begin again.
    #[error("the size of the chunk is wrong")]
    ChunkSize,
    /// The name behind EHLO, HELO or LHLO is neither a domain nor an address literal.
    #[error("the host name is wrong")]
    HostName,
    /// The path of MAIL is wrong.
    #[error("the sender is wrong: {0}")]
    Sender(AddressError),
    /// The path of RCPT is wrong.
    #[error("the recipient is wrong: {0}")]
    Recipient(AddressError),
    /// A parameter has a wrong value, or is there twice.
    #[error("a parameter has a wrong value or is there twice")]
    Parameter,
    /// A parameter is not known.
    #[error("a parameter is not known")]
    UnknownParameter,
}

impl CommandError {
    /// The reply it implies.
    pub fn reply(&self) -> Reply {
        match self {
            CommandError::Unknown => Reply::enhanced(500, 5, 5, 1, "This command is not known"),
            // RFC 5321 §4.1.2
            CommandError::Octet => Reply::enhanced(501, 5, 5, 2, "The line holds an octet that no command may hold"),
            CommandError::Argument => Reply::enhanced(501, 5, 5, 4, "The arguments do not fit this command"),
            CommandError::ChunkSize => Reply::enhanced(501, 5, 5, 4, "BDAT takes a size, and LAST if nothing follows"),
            CommandError::HostName => Reply::enhanced(501, 5, 5, 4, "This is neither a domain nor an address literal"),
            CommandError::Sender(error) | CommandError::Recipient(error) if error.fault == AddressFault::NonAscii => {
                // RFC 6531 §3.5
                Reply::enhanced(553, 5, 6, 7, "An address beyond ASCII needs SMTPUTF8")
            }
            CommandError::Sender(_) => Reply::enhanced(501, 5, 1, 7, "The address of the sender is wrong"),
            CommandError::Recipient(_) => Reply::enhanced(501, 5, 1, 3, "The address of the recipient is wrong"),
            CommandError::Parameter => Reply::enhanced(501, 5, 5, 4, "A parameter has a wrong value or is there twice"),
            // RFC 5321 §4.1.1.11
            CommandError::UnknownParameter => Reply::enhanced(555, 5, 5, 4, "A parameter is not known"),
        }
    }
}
