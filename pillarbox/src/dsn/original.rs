//! The part with the message itself, or its header.

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::{BodyPart, MimePart};
use pillarbox_core::returned::Returned;
use pillarbox_smtp::server::Ret;

use super::{Action, Notice};

/// The third part (RFC 6522 §3).
pub(super) fn part(notice: &Notice<'_>) -> MimePart<'static> {
    let whole = wants_whole(notice).then(|| Returned::message(notice.original)).flatten();
    match whole {
        Some(whole) => {
            let encoding = if whole.octets.is_ascii() { "7bit" } else { "8bit" };
            // RFC 2046 §5.2.1: a message cannot be encoded.
            plain(whole.media_type, BodyPart::Binary(whole.octets.into())).transfer_encoding(encoding)
        }
        None => {
            let header = Returned::header(notice.original);
            if header.octets.is_ascii() {
                return plain(header.media_type, BodyPart::Binary(header.octets.into())).transfer_encoding("7bit");
            }
            // A header can be encoded (RFC 6522 §4, RFC 6533 §6.3), so that the next server need not know 8BITMIME.
            match String::from_utf8(header.octets) {
                Ok(text) => plain(header.media_type, BodyPart::Text(text.into())),
                Err(other) => plain(header.media_type, BodyPart::Binary(other.into_bytes().into())),
            }
        }
    }
}

/// RFC 3461 §4.3, §6.2: the body comes back with failures only, and never against the sender's word.
fn wants_whole(notice: &Notice<'_>) -> bool {
    notice.any(Action::Failed)
        && notice.original_is_whole
        && notice.ret != Some(Ret::Hdrs)
        && notice.original.len() <= notice.full_max
}

/// A part whose type has no parameters.
pub(super) fn plain(media_type: &'static str, contents: BodyPart<'static>) -> MimePart<'static> {
    MimePart { headers: vec![("Content-Type".into(), ContentType::new(media_type).into())], contents }
}
