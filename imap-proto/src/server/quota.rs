//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208).

use alloc::vec::Vec;

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing};
use super::{Event, ServerSession};
use crate::quota::{QuotaQuestion, QuotaRoot, Resource};
use crate::types::ResponseCode;
use crate::wire::encode::push;
use crate::wire::parse::QuotaCommand;

/// RFC 9208 §5.1
const UNIT: u64 = 1024;

impl ServerSession {
    /// Whether the user who is about to log in, or has, may set limits (RFC 9208 §4.1.3): QUOTASET is told to those only, if it is
    /// offered at all. Nobody may until this is said, and again nobody once the user is no longer logged in.
    pub fn let_set_quota(&mut self, may: bool) {
        self.may_set_quota = may;
    }

    pub(super) fn quota<'b>(&mut self, command: QuotaCommand<'b>) -> Served<'b> {
        if !self.config.extensions.quota {
            return Err(End::bad("Unknown command"));
        }
        let question = match command {
            QuotaCommand::Root(root) => QuotaQuestion::Root(root.into_owned()),
            QuotaCommand::Set { root, limits } => {
                if !self.config.extensions.quota_set {
                    return Err(End::bad("Unknown command"));
                }
                if !self.may_set_quota {
                    return Err(End::no(&ResponseCode::NoPerm, "Limits are the operator's to set"));
                }
                QuotaQuestion::Set { root: root.into_owned(), limits: limits_of(&limits)? }
            }
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

    /// RFC 9208 §4.2.1, §7: a response names one resource at least, so that there is none of a root where nothing is limited.
    pub(super) fn quota_told(&mut self, root: &QuotaRoot) {
        if root.resources.is_empty() {
            return;
        }
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

/// The limits in octets and messages, each resource once.
fn limits_of(named: &[(&str, u64)]) -> Result<Vec<(Resource, u64)>, End> {
    let mut limits: Vec<(Resource, u64)> = Vec::new();
    for (name, limit) in named {
        let (resource, unit) = match () {
            () if name.eq_ignore_ascii_case("STORAGE") => (Resource::Storage, UNIT),
            () if name.eq_ignore_ascii_case("MESSAGE") => (Resource::Message, 1),
            () => return Err(End::no(&ResponseCode::Cannot, "There is no such resource")),
        };
        let limit = limit.checked_mul(unit).ok_or_else(|| End::no(&ResponseCode::Limit, "That is no limit"))?;
        if limits.iter().any(|(known, _)| *known == resource) {
            return Err(End::bad("Each resource has one limit"));
        }
        limits.push((resource, limit));
    }
    Ok(limits)
}
