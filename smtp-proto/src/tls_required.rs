//! The header field TLS-Required: an author who would rather have a message arrive than have it go under TLS (RFC 8689 §3).

use pillarbox_core::header::Fields;

/// Whether a message may go without TLS, whatever the recipient's domain has published about it (MTA-STS, DANE): its header says
/// `TLS-Required: No`. Mostly it is a report to somebody whose TLS is broken. STARTTLS is used all the same where it works
/// (RFC 8689 §4.2.2).
///
/// `require_tls` is what MAIL said ([`Mail::require_tls`](crate::server::Mail::require_tls)): with REQUIRETLS the field means
/// nothing (RFC 8689 §4.1). Nor does it where it stands twice or says anything else: in doubt the domain's policy holds.
///
/// `header` may be a whole message; only its header is looked at.
///
/// ```
/// use pillarbox_smtp::tls_required::is_tls_waived;
///
/// let report = b"From: joe@example.org\r\nTLS-Required: No\r\n\r\nYour certificate has expired.\r\n";
/// assert!(is_tls_waived(report, false));
/// assert!(!is_tls_waived(report, true));
/// ```
pub fn is_tls_waived(header: &[u8], require_tls: bool) -> bool {
    let mut fields = Fields::new(header).filter(|field| field.name_is("TLS-Required"));
    match (fields.next(), fields.next()) {
        // RFC 8689 §3: "TLS-Required:" [FWS] "No" CRLF
        (Some(field), None) => !require_tls && field.unfolded().trim_ascii().eq_ignore_ascii_case(b"No"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waives_and_what_does_not() {
        for header in
            ["TLS-Required: No\r\n", "tls-required:no", "TLS-Required:\r\n  NO\t\r\n", "A: 1\nTLS-Required: No\n\n"]
        {
            assert!(is_tls_waived(header.as_bytes(), false), "{header:?}");
            assert!(!is_tls_waived(header.as_bytes(), true), "{header:?}");
        }
        for header in [
            "",
            "TLS-Required:\r\n",
            "TLS-Required: Yes\r\n",
            "TLS-Required: No, really\r\n",
            "TLS-Required: N o\r\n",
            "TLS-Required: (comment) No\r\n",
            "TLS-Required: No\r\nTLS-Required: No\r\n",
            "TLS-Required: No\r\nTLS-Required: Yes\r\n",
            "X-TLS-Required: No\r\n",
            " TLS-Required: No\r\n",
            "A: 1\r\n\r\nTLS-Required: No\r\n",
        ] {
            assert!(!is_tls_waived(header.as_bytes(), false), "{header:?}");
        }
    }
}
