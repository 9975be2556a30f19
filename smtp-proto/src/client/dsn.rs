//! What asks for notices, in the form that can stand in a command (RFC 3461, RFC 6533).

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use crate::server::{Notify, Orcpt, Ret};

/// Octets of ENVID in its encoded form (RFC 3461 §4.4).
const ENVID_MAX: usize = 100;
/// Octets of ORCPT in its encoded form (RFC 3461 §4.2).
const ORCPT_MAX: usize = 500;

/// The sender's own name for a message, which notices bring back to it (ENVID, RFC 3461 §4.4).
///
/// ```
/// use pillarbox_smtp::client::EnvelopeId;
///
/// assert_eq!(EnvelopeId::new("QQ=314159").unwrap().as_str(), "QQ=314159");
/// assert!(EnvelopeId::new("QQ\r\nRSET").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// An identifier of printable ASCII.
    ///
    /// # Errors
    ///
    /// [`DsnError`] if it is empty, holds another octet, or is longer than 100 octets once `+` and `=` are encoded.
    pub fn new(text: &str) -> Result<Self, DsnError> {
        check_printable(text)?;
        if Xtext(text).to_string_len() > ENVID_MAX {
            return Err(DsnError::TooLong);
        }
        Ok(EnvelopeId(text.to_owned()))
    }

    /// The identifier as it is, not encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for EnvelopeId {
    type Error = DsnError;

    fn try_from(text: &str) -> Result<Self, DsnError> {
        EnvelopeId::new(text)
    }
}

/// The recipient that the sender named, whatever became of the address on its way (ORCPT, RFC 3461 §4.2). What a server
/// session was told can be handed on.
///
/// ```
/// use pillarbox_smtp::client::OriginalRecipient;
///
/// let original = OriginalRecipient::new("rfc822", "joe+list@own.example").unwrap();
/// assert_eq!((original.addr_type(), original.address()), ("rfc822", "joe+list@own.example"));
/// assert!(OriginalRecipient::new("rfc822", "joe@own.example\r\nRSET").is_err());
/// assert!(OriginalRecipient::new("rfc 822", "joe@own.example").is_err());
/// // Beyond ASCII there is another type (RFC 6533 §3).
/// assert!(OriginalRecipient::new("rfc822", "zoë@own.example").is_err());
/// assert!(OriginalRecipient::new("utf-8", "zoë@own.example").is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Orcpt<'static>);

impl OriginalRecipient {
    /// A recipient's address of this type: `rfc822`, `utf-8`, or another of printable ASCII.
    ///
    /// # Errors
    ///
    /// [`DsnError`] if the type is no atom, the address is empty or holds an octet that it cannot, or both are longer than
    /// 500 octets once they are encoded.
    pub fn new(addr_type: &str, address: &str) -> Result<Self, DsnError> {
        let is_atom = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
        if addr_type.is_empty() || !addr_type.bytes().all(is_atom) {
            return Err(DsnError::Type);
        }
        if is_utf8(addr_type) {
            if address.is_empty() {
                return Err(DsnError::Empty);
            }
            if address.contains(char::is_control) {
                return Err(DsnError::Octet);
            }
        } else {
            check_printable(address)?;
        }
        let own = |text: &str| text.to_owned().into();
        let original = OriginalRecipient(Orcpt { addr_type: own(addr_type), address: own(address) });
        // The form in ASCII is the longest one.
        let mut length = Length(0);
        let written = original.write(&mut length, false);
        debug_assert!(written.is_ok(), "counting does not fail");
        if length.0 > ORCPT_MAX { Err(DsnError::TooLong) } else { Ok(original) }
    }

    /// The type of the address.
    pub fn addr_type(&self) -> &str {
        &self.0.addr_type
    }

    /// The address as it is, not encoded.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Writes the value of ORCPT; `utf8`: SMTPUTF8 is asked for with the sender.
    pub(super) fn write(&self, out: &mut impl fmt::Write, utf8: bool) -> fmt::Result {
        write!(out, "{};", self.0.addr_type)?;
        if !is_utf8(&self.0.addr_type) {
            return write!(out, "{}", Xtext(&self.0.address));
        }
        // RFC 6533 §3: `\x{...}` for what would end the value, and without SMTPUTF8 for all beyond ASCII.
        for character in self.0.address.chars() {
            match character {
                ' ' | '\\' | '+' | '=' => write!(out, "\\x{{{:02X}}}", u32::from(character))?,
                character if character.is_ascii() || utf8 => out.write_char(character)?,
                character => write!(out, "\\x{{{:02X}}}", u32::from(character))?,
            }
        }
        Ok(())
    }
}

impl TryFrom<&Orcpt<'_>> for OriginalRecipient {
    type Error = DsnError;

    fn try_from(orcpt: &Orcpt<'_>) -> Result<Self, DsnError> {
        OriginalRecipient::new(&orcpt.addr_type, &orcpt.address)
    }
}

/// Why a text cannot be the value of ENVID, ORCPT or NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DsnError {
    /// There is none.
    #[error("the text is empty")]
    Empty,
    /// It holds a control or, where there is no place for them, characters beyond ASCII.
    #[error("the text holds a forbidden character")]
    Octet,
    /// The type of an address is no atom.
    #[error("the type of the address is no atom")]
    Type,
    /// A word of NOTIFY is none, or one that has to stand alone.
    #[error("the words are NEVER, or of SUCCESS, FAILURE and DELAY")]
    Word,
    /// It is longer than a server has to take.
    #[error("the text is too long")]
    TooLong,
}

/// Prints as the value of NOTIFY (RFC 3461 §4.1).
impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return f.write_str("NEVER");
        }
        let asked = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        for (number, (_, word)) in asked.iter().filter(|(is_asked, _)| *is_asked).enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// Reads the value of NOTIFY (RFC 3461 §4.1), in any case of letters.
///
/// ```
/// use pillarbox_smtp::client::Notify;
///
/// let notify: Notify = "success,Delay".parse().unwrap();
/// assert_eq!(notify.to_string(), "SUCCESS,DELAY");
/// assert!("NEVER".parse::<Notify>().unwrap().is_never());
/// assert!("NEVER,SUCCESS".parse::<Notify>().is_err());
/// ```
impl FromStr for Notify {
    type Err = DsnError;

    fn from_str(words: &str) -> Result<Self, DsnError> {
        let mut notify = Notify::default();
        if words.eq_ignore_ascii_case("NEVER") {
            return Ok(notify);
        }
        for word in words.split(',') {
            let asked = match word {
                word if word.eq_ignore_ascii_case("SUCCESS") => &mut notify.success,
                word if word.eq_ignore_ascii_case("FAILURE") => &mut notify.failure,
                word if word.eq_ignore_ascii_case("DELAY") => &mut notify.delay,
                _ => return Err(DsnError::Word),
            };
            *asked = true;
        }
        Ok(notify)
    }
}

/// The word of RET (RFC 3461 §4.3).
pub(super) const fn ret_word(ret: Ret) -> &'static str {
    match ret {
        Ret::Full => "FULL",
        Ret::Hdrs => "HDRS",
    }
}

/// Text as xtext (RFC 3461 §4): `+` and two digits stand for an octet that cannot stand for itself.
pub(super) struct Xtext<'a>(pub(super) &'a str);

impl Xtext<'_> {
    fn to_string_len(&self) -> usize {
        self.0.bytes().map(|octet| if is_xchar(octet) { 1 } else { 3 }).sum()
    }
}

impl fmt::Display for Xtext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.bytes() {
            if is_xchar(octet) {
                f.write_char(char::from(octet))?;
            } else {
                write!(f, "+{octet:02X}")?;
            }
        }
        Ok(())
    }
}

const fn is_xchar(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b'+' && octet != b'='
}

fn is_utf8(addr_type: &str) -> bool {
    addr_type.eq_ignore_ascii_case("utf-8")
}

/// RFC 3461 §4.2, §4.4: what is encoded is printable ASCII. The reader of a notice sees it in a header.
fn check_printable(text: &str) -> Result<(), DsnError> {
    if text.is_empty() {
        return Err(DsnError::Empty);
    }
    let fits = text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    if fits { Ok(()) } else { Err(DsnError::Octet) }
}

/// Counts what is written.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn orcpt(addr_type: &str, address: &str, utf8: bool) -> Result<String, DsnError> {
        let mut text = String::new();
        OriginalRecipient::new(addr_type, address)?.write(&mut text, utf8).unwrap();
        Ok(text)
    }

    #[test]
    fn envelope_ids() {
        let encoded = |text: &str| EnvelopeId::new(text).map(|id| Xtext(id.as_str()).to_string());
        assert_eq!(encoded("a+b c=").unwrap(), "a+2Bb+20c+3D");
        assert!(EnvelopeId::new(&"x".repeat(100)).is_ok());
        assert_eq!(encoded(&"x".repeat(101)), Err(DsnError::TooLong));
        assert_eq!(encoded(&"+".repeat(34)), Err(DsnError::TooLong));
        assert_eq!(encoded(""), Err(DsnError::Empty));
        for wrong in ["a\r\nb", "a\0", "a\n", "a\r", "\x7f", "zoë", "a\tb"] {
            assert_eq!(encoded(wrong), Err(DsnError::Octet), "{wrong:?}");
        }
    }

    #[test]
    fn original_recipients() {
        assert_eq!(orcpt("rfc822", "a+b@c.example", true).unwrap(), "rfc822;a+2Bb@c.example");
        assert_eq!(
            orcpt("utf-8", "zoë+=\\ \u{1F600}@c", true).unwrap(),
            "utf-8;zoë\\x{2B}\\x{3D}\\x{5C}\\x{20}\u{1F600}@c"
        );
        assert_eq!(orcpt("utf-8", "zoë\u{1F600}@c", false).unwrap(), "utf-8;zo\\x{EB}\\x{1F600}@c");
        for (addr_type, address, error) in [
            ("rfc822", "", DsnError::Empty),
            ("utf-8", "", DsnError::Empty),
            ("", "x", DsnError::Type),
            ("a;b", "x", DsnError::Type),
            ("rfc822 ", "x", DsnError::Type),
            ("rfc822", "a\r\nb", DsnError::Octet),
            ("utf-8", "a\u{85}b", DsnError::Octet),
            ("utf-8", "a\0b", DsnError::Octet),
        ] {
            assert_eq!(orcpt(addr_type, address, true), Err(error), "{addr_type:?} {address:?}");
        }
        assert!(orcpt("rfc822", &"x".repeat(493), true).is_ok());
        assert_eq!(orcpt("rfc822", &"x".repeat(494), true), Err(DsnError::TooLong));
        assert_eq!(orcpt("utf-8", &"ë".repeat(90), true), Err(DsnError::TooLong));
    }

    #[test]
    fn words() {
        let mut notify = Notify::default();
        assert_eq!(notify.to_string(), "NEVER");
        notify.delay = true;
        notify.success = true;
        assert_eq!(notify.to_string(), "SUCCESS,DELAY");
    }

    proptest! {
        /// Whatever is taken comes out of our own server's parser as it went in, and cannot end a line.
        #[test]
        fn servers_read_what_is_written(text in "[ -~ë\\x{85}\r\n\0]{0,40}", utf8: bool) {
            if let Ok(id) = EnvelopeId::new(&text) {
                let line = format!("MAIL FROM:<> ENVID={}", Xtext(id.as_str()));
                let command = crate::command::parse(line.as_bytes()).unwrap();
                let crate::command::Command::Mail(mail) = command else { panic!("{command:?}") };
                prop_assert_eq!(mail.envid.as_deref(), Some(&*text));
            }
            for addr_type in ["rfc822", "utf-8"] {
                if let Ok(value) = orcpt(addr_type, &text, utf8) {
                    let line = format!("RCPT TO:<a@c.example> ORCPT={value}");
                    let command = crate::command::parse_in(line.as_bytes(), utf8).unwrap();
                    let crate::command::Command::Rcpt(rcpt) = command else { panic!("{command:?}") };
                    prop_assert_eq!(&*rcpt.orcpt.unwrap().address, &*text);
                }
            }
        }
    }
}
