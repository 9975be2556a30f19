//! Telling running servers to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// A switch that tells servers to stop. All clones are one switch, and it cannot be set back.
///
/// A server that is told to stop closes its listeners, lets every session say goodbye (421, BYE) as soon as its protocol
/// allows, and waits for them as long as [`patience`](Shutdown::with_patience) lasts. What is still running then is cut off.
/// A message whose end has arrived is stored and acknowledged first; one that is cut off was not acknowledged.
///
/// ```
/// use pillarbox::Shutdown;
///
/// let shutdown = Shutdown::new();
/// let elsewhere = shutdown.clone();
/// elsewhere.begin();
/// assert!(shutdown.has_begun());
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: Arc<watch::Sender<bool>>,
    patience: Duration,
}

impl Shutdown {
    /// A switch whose servers wait 30 seconds for their sessions.
    pub fn new() -> Self {
        Shutdown::with_patience(Duration::from_secs(30))
    }

    /// A switch whose servers wait so long for their sessions.
    pub fn with_patience(patience: Duration) -> Self {
        Shutdown { begun: Arc::new(watch::Sender::new(false)), patience }
    }

    /// Tells the servers to stop.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether the servers were told to stop.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until the servers are told to stop. Cancel-safe.
    pub async fn begun(&self) {
        let mut watch = self.begun.subscribe();
        // The sender lives as long as `self`, so the only end of this wait is the switch.
        let _ = watch.wait_for(|begun| *begun).await;
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}
