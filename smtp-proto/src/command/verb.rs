//! The verbs, and what each means for the flow of a session.

use super::octets::{Begin, Front, front, is_end};

/// The verbs that are known, with what they mean for the flow of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// RFC 5321 §4.1.1.1.
    Ehlo,
    /// RFC 5321 §4.1.1.1.
    Helo,
    /// RFC 2033 §4.1.
    Lhlo,
    /// RFC 5321 §4.1.1.2.
    Mail,
    /// RFC 5321 §4.1.1.3.
    Rcpt,
    /// RFC 5321 §4.1.1.4.
    Data,
    /// RFC 3030 §2.
    Bdat,
    /// RFC 5321 §4.1.1.5.
    Rset,
    /// RFC 5321 §4.1.1.6.
    Vrfy,
    /// RFC 5321 §4.1.1.7.
    Expn,
    /// RFC 5321 §4.1.1.8.
    Help,
    /// RFC 5321 §4.1.1.9.
    Noop,
    /// RFC 5321 §4.1.1.10.
    Quit,
    /// RFC 3207 §4.
    StartTls,
    /// RFC 4954 §4.
    Auth,
    /// RFC 1985 §5.
    Etrn,
    /// Postfix's.
    XClient,
    /// Postfix's.
    XForward,
    /// RFC 5321 appendix F.2.
    Turn,
    /// RFC 5321 appendix F.6.
    Send,
    /// RFC 5321 appendix F.6.
    Soml,
    /// RFC 5321 appendix F.6.
    Saml,
    /// `VERB` of Sendmail: tell more.
    Verbose,
    /// `ONEX` of Sendmail: one transaction only.
    Onex,
}

/// What a verb means for the flow of a session.
struct Row {
    verb: Verb,
    text: &'static str,
    /// The client has to wait for the reply before it sends more (RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4). VRFY, EXPN
    /// and NOOP are not among them: RFC 2920 forbids a client to go on behind them, but nothing breaks if one does.
    waits: bool,
    /// RFC 2920 §3.2 (5): the reply must not be held back. That of STARTTLS and AUTH is waited for as well.
    prompt: bool,
    /// It moves no mail, so there is a limit on how often it may come.
    idle: bool,
}

#[rustfmt::skip]
static VERBS: [Row; 24] = [
    Row { verb: Verb::Ehlo,     text: "EHLO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Helo,     text: "HELO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Lhlo,     text: "LHLO",     waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::Mail,     text: "MAIL",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Rcpt,     text: "RCPT",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Data,     text: "DATA",     waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Bdat,     text: "BDAT",     waits: false, prompt: false, idle: false },
    Row { verb: Verb::Rset,     text: "RSET",     waits: false, prompt: false, idle: true  },
    Row { verb: Verb::Vrfy,     text: "VRFY",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Expn,     text: "EXPN",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Help,     text: "HELP",     waits: false, prompt: false, idle: true  },
    Row { verb: Verb::Noop,     text: "NOOP",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Quit,     text: "QUIT",     waits: false, prompt: true,  idle: false },
    Row { verb: Verb::StartTls, text: "STARTTLS", waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Auth,     text: "AUTH",     waits: true,  prompt: true,  idle: false },
    Row { verb: Verb::Etrn,     text: "ETRN",     waits: false, prompt: true,  idle: true  },
    // The session begins anew behind it.
    Row { verb: Verb::XClient,  text: "XCLIENT",  waits: true,  prompt: true,  idle: true  },
    Row { verb: Verb::XForward, text: "XFORWARD", waits: false, prompt: false, idle: false },
    Row { verb: Verb::Turn,     text: "TURN",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Send,     text: "SEND",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Soml,     text: "SOML",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Saml,     text: "SAML",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Verbose,  text: "VERB",     waits: false, prompt: true,  idle: true  },
    Row { verb: Verb::Onex,     text: "ONEX",     waits: false, prompt: true,  idle: true  },
];

/// The verbs as they are looked for.
static FRONTS: [Front; VERBS.len()] = {
    let mut fronts = [front(""); VERBS.len()];
    let mut at = 0;
    while at < VERBS.len() {
        fronts[at] = front(VERBS[at].text);
        at += 1;
    }
    fronts
};

impl Verb {
    /// The verb at the front of a line, in any case of letters; `None` if it is not known.
    pub fn of(line: &[u8]) -> Option<Verb> {
        Verb::take(line).map(|(verb, _)| verb)
    }

    /// The verb at the front of a line, and what stands behind it.
    #[inline(always)]
    pub(crate) fn take(line: &[u8]) -> Option<(Verb, &[u8])> {
        let begin = Begin::of(line);
        let (row, front) = VERBS.iter().zip(&FRONTS).find(|(_, front)| begin.is(**front))?;
        let mut rest = line;
        (front.take(&mut rest, begin) && is_end(rest)).then_some((row.verb, rest))
    }

    /// The verb in capitals.
    pub fn as_str(self) -> &'static str {
        self.row().text
    }

    /// Whether a client has to wait for the reply before it sends more.
    pub fn waits(self) -> bool {
        self.row().waits
    }

    /// Whether RFC 2920 §3.2 forbids to hold the reply back.
    pub fn is_prompt(self) -> bool {
        self.row().prompt
    }

    /// Whether it moves no mail.
    pub fn is_idle(self) -> bool {
        self.row().idle
    }

    /// The rows stand in the order of the verbs.
    const fn row(self) -> &'static Row {
        &VERBS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn every_verb_has_a_row_of_its_own() {
        for row in &VERBS {
            assert_eq!(row.verb.as_str(), row.text);
            assert_eq!(Verb::of(format!("{} x", row.text.to_lowercase()).as_bytes()), Some(row.verb));
        }
    }
}
