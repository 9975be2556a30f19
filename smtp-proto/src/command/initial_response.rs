//! What AUTH carries behind its mechanism: mostly a password.

use core::fmt;

use pillarbox_core::Secret;

/// The initial response of AUTH (RFC 4954 §4), still in base64; `=` stands for an empty one. `Debug` hides it, and comparing
/// two takes the same time whatever differs.
///
/// ```
/// use pillarbox_smtp::command::{Command, parse};
///
/// let command = parse(b"AUTH PLAIN AGpvZQBodW50ZXIy").unwrap();
/// assert!(!format!("{command:?}").contains("AGpvZQBodW50ZXIy"));
/// let Command::Auth { initial: Some(initial), .. } = command else { panic!() };
/// assert_eq!(initial.expose(), "AGpvZQBodW50ZXIy");
/// ```
#[derive(Clone)]
pub struct InitialResponse<'b>(Secret<&'b str>);

impl<'b> InitialResponse<'b> {
    pub(super) const fn new(text: &'b str) -> Self {
        InitialResponse(Secret::new(text))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub const fn expose(&self) -> &'b str {
        self.0.expose()
    }
}

impl PartialEq for InitialResponse<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_as(other.expose().as_bytes())
    }
}

impl Eq for InitialResponse<'_> {}

impl fmt::Debug for InitialResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}
