//! The parameters of the rarer extensions, and those that only the embedder knows.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::parameters::once;
use super::{CommandError, DeliverBy, FutureRelease, MtPriority};

/// A parameter as it came: `keyword[=value]` (RFC 5321 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameter<'b> {
    /// The keyword in the client's letters; they mean the same in any case.
    pub keyword: Cow<'b, str>,
    /// What stands behind the `=`: printable ASCII (in a transaction with SMTPUTF8: or UTF-8) without spaces and `=`.
    pub value: Option<Cow<'b, str>>,
}

impl Parameter<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Parameter<'static> {
        Parameter {
            keyword: Cow::Owned(self.keyword.into_owned()),
            value: self.value.map(|value| Cow::Owned(value.into_owned())),
        }
    }
}

/// The keywords of parameters that a caller understands beside those that this crate knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Understood<'a> {
    /// Those of MAIL.
    pub mail: &'a [String],
    /// Those of RCPT.
    pub rcpt: &'a [String],
}

/// The parameters of MAIL that are none of the common ones.
#[derive(Default)]
pub(super) struct Extensions<'b> {
    pub(super) require_tls: bool,
    pub(super) future_release: Option<FutureRelease>,
    pub(super) deliver_by: Option<DeliverBy>,
    pub(super) mt_priority: Option<MtPriority>,
    pub(super) others: Vec<Parameter<'b>>,
}

impl<'b> Extensions<'b> {
    /// Reads one of them.
    pub(super) fn read(
        &mut self,
        keyword: &'b str,
        value: Option<&'b str>,
        understood: &[String],
    ) -> Result<(), CommandError> {
        let is = |word| keyword.eq_ignore_ascii_case(word);
        let needed = || value.ok_or(CommandError::Parameter);
        if is("REQUIRETLS") {
            // RFC 8689 §2: it takes no value.
            if value.is_some() || self.require_tls {
                return Err(CommandError::Parameter);
            }
            self.require_tls = true;
            Ok(())
        } else if is("HOLDFOR") || is("HOLDUNTIL") {
            // RFC 4865 §4.2 (9): one of them, once.
            once(&mut self.future_release, FutureRelease::parse(keyword, needed()?)?)
        } else if is("BY") {
            once(&mut self.deliver_by, DeliverBy::parse(needed()?)?)
        } else if is("MT-PRIORITY") {
            once(&mut self.mt_priority, MtPriority::parse(needed()?)?)
        } else {
            keep(&mut self.others, keyword, value, understood)
        }
    }
}

/// Keeps a parameter that the caller understands. There are at most as many as it understands, so a line of nothing but
/// parameters costs neither memory nor time.
pub(super) fn keep<'b>(
    others: &mut Vec<Parameter<'b>>,
    keyword: &'b str,
    value: Option<&'b str>,
    understood: &[String],
) -> Result<(), CommandError> {
    if !understood.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        return Err(CommandError::UnknownParameter);
    }
    if others.iter().any(|other| other.keyword.eq_ignore_ascii_case(keyword)) {
        return Err(CommandError::Parameter);
    }
    others.push(Parameter { keyword: Cow::Borrowed(keyword), value: value.map(Cow::Borrowed) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ByMode, Command, parse, parse_with};
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::format;

    #[test]
    fn rare_parameters_of_mail() {
        let line = b"MAIL FROM:<a@b.example> requiretls HOLDFOR=60 by=120;R mt-priority=-4";
        let Ok(Command::Mail(mail)) = parse(line) else { panic!() };
        assert!(mail.require_tls);
        assert_eq!(mail.future_release, Some(FutureRelease::For(60)));
        assert_eq!(mail.deliver_by, Some(DeliverBy { seconds: 120, mode: ByMode::Return, trace: false }));
        assert_eq!(mail.mt_priority, MtPriority::new(-4));
        assert_eq!(mail.clone().into_owned(), mail);
        for wrong in [
            "REQUIRETLS=",
            "REQUIRETLS=yes",
            "REQUIRETLS REQUIRETLS",
            "HOLDFOR",
            "HOLDFOR=1 HOLDFOR=1",
            "HOLDFOR=1 HOLDUNTIL=2026-12-24T17:00:00Z",
            "HOLDUNTIL",
            "BY",
            "BY=1;R BY=1;R",
            "MT-PRIORITY",
            "MT-PRIORITY=0 MT-PRIORITY=0",
        ] {
            let line = format!("MAIL FROM:<a@b.example> {wrong}");
            assert_eq!(parse(line.as_bytes()), Err(CommandError::Parameter), "{wrong}");
        }
    }

    #[test]
    fn parameters_of_the_embedder() {
        let (ours, theirs) = (["X-A".to_owned(), "X-B".to_owned()], ["X-C".to_owned()]);
        let understood = Understood { mail: &ours, rcpt: &theirs };
        let parse = |line| parse_with(line, false, understood);
        let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<> x-b SIZE=1 X-A=1+2") else { panic!() };
        let others: Vec<_> = mail.others.iter().map(|other| (&*other.keyword, other.value.as_deref())).collect();
        assert_eq!(others, [("x-b", None), ("X-A", Some("1+2"))]);
        let Ok(Command::Rcpt(rcpt)) = parse(b"RCPT TO:<a@b.example> X-C=1") else { panic!() };
        assert_eq!(rcpt.others.len(), 1);
        assert_eq!(rcpt.clone().into_owned(), rcpt);
        assert_eq!(parse(b"MAIL FROM:<> X-A X-B x-a"), Err(CommandError::Parameter));
        assert_eq!(parse(b"MAIL FROM:<> X-A=\xc3\xa9"), Err(CommandError::Parameter));
        assert_eq!(parse(b"MAIL FROM:<> X-C=1"), Err(CommandError::UnknownParameter));
        assert_eq!(parse(b"RCPT TO:<a@b.example> X-A"), Err(CommandError::UnknownParameter));
    }
}
