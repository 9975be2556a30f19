//! GETQUOTA and GETQUOTAROOT (RFC 9208). Limits are the operator's to set: there is no SETQUOTA.

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing};
use super::{Event, ServerSession};
use crate::quota::{QuotaQuestion, QuotaRoot, Resource};
use crate::wire::encode::push;
use crate::wire::parse::QuotaCommand;

/// RFC 9208 §5.1
const UNIT: u64 = 1024;

impl ServerSession {
    pub(super) fn quota<'b>(&mut self, command: QuotaCommand<'b>) -> Served<'b> {
        if !self.config.extensions.quota {
            return Err(End::bad("Unknown command"));
        }
        let question = match command {
            QuotaCommand::Root(root) => QuotaQuestion::Root(root.into_owned()),
            QuotaCommand::Roots(mailbox) => QuotaQuestion::Roots(self.mailbox_name(&mailbox)?),
        };
        Ok(self.ask(Asked::Quota(question.clone()), Event::Quota(question)))
    }

    /// RFC 9208 §4.2.2
    pub(super) fn quota_roots_told(&mut self, roots: &[&str]) {
        let Doing::Asked(Asked::Quota(QuotaQuestion::Roots(name))) = &self.doing else { return };
        let name = name.clone();
        if self.begin_line("QUOTAROOT", &name) {
            roots.iter().for_each(|root| self.word(root));
            self.out.end().extend_from_slice(b"\r\n");
        }
    }

    /// RFC 9208 §4.2.1
    pub(super) fn quota_told(&mut self, root: &QuotaRoot) {
        self.out.end().extend_from_slice(b"* QUOTA");
        self.word(&root.name);
        let out = self.out.end();
        out.extend_from_slice(b" (");
        for (index, one) in root.resources.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            match one.resource {
                Resource::Message => push(out, format_args!("MESSAGE {} {}", one.used, one.limit)),
                // What has begun is used, and what is not whole cannot be.
                Resource::Storage => {
                    push(out, format_args!("STORAGE {} {}", one.used.div_ceil(UNIT), one.limit / UNIT));
                }
            }
        }
        out.extend_from_slice(b")\r\n");
    }
}
