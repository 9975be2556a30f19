//! What is sent on, where that may change while the queue works.

use std::sync::{Arc, Mutex, PoisonError};

use super::Forward;

/// A [`Forward`] that another may be put in the place of, by a program that reads its aliases again. Clones share it.
///
/// ```
/// use pillarbox::outbound::{Aliases, Forward, OutboundParts, SharedForward};
///
/// let read = |text: &str| Aliases::parse(text, "example.net").map(|aliases| Forward::new(aliases, None));
/// let shared = SharedForward::new(read("info: joe@example.org\n")?);
/// let mut parts = OutboundParts::from_system();
/// parts.forward = Some(shared.clone());
///
/// shared.set(read("info: ann@example.org\n")?); // mail that waits for the alias, and what comes from now on, goes there
/// assert!(shared.current().aliases().names().eq(["info@example.net"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedForward(Arc<Mutex<Arc<Forward>>>);

impl SharedForward {
    /// One that others may be put in the place of.
    pub fn new(forward: Forward) -> Self {
        SharedForward(Arc::new(Mutex::new(Arc::new(forward))))
    }

    /// Puts another in its place. What is being sent on goes by the old one to its end.
    pub fn set(&self, forward: Forward) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(forward);
    }

    /// The one that counts now.
    pub fn current(&self) -> Arc<Forward> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
