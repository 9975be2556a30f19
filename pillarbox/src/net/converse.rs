//! One connection from its first octet to its last, the same for all protocols.

use std::future::Future;
use std::net::IpAddr;

use pillarbox_core::UpgradeError;

use super::Lost;
use super::accept::{Seat, contain};
use crate::parts::Observer;
use crate::shutdown::Shutdown;

/// A session and its connection.
pub(crate) trait Conversation: Send + Sized {
    /// Runs the session until its machine is closed.
    fn run(&mut self, shutdown: &Shutdown) -> impl Future<Output = Result<(), Lost>> + Send;
    /// Why the session ended, in words for logs; `None` if it has not.
    fn close_reason(&self) -> Option<String>;
    /// Sends what is left and closes.
    fn close(self) -> impl Future<Output = ()> + Send;
    /// Ends a session that broke.
    fn abort(self) -> impl Future<Output = ()> + Send;
}

/// Who is at the other end, and what is told about it.
pub(crate) struct Caller<'o> {
    pub(crate) observer: &'o dyn Observer,
    pub(crate) service: &'static str,
    pub(crate) number: u64,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) seat: Seat,
}

/// Runs a conversation to its end. A panic in it, or in a part that it asks, ends it alone.
pub(crate) async fn converse<C: Conversation>(
    caller: Caller<'_>,
    start: impl Future<Output = Result<C, UpgradeError>>,
    shutdown: &Shutdown,
) {
    let Caller { observer, service, number, ip, seat } = caller;
    observer.connected(number, service, ip);
    let broken = |panic: String| {
        observer.failed(number, "session", &panic);
        String::from("panic")
    };
    let reason = match contain(start).await {
        Ok(Ok(mut conversation)) => match contain(conversation.run(shutdown)).await {
            Ok(ended) => {
                let reason = conversation.close_reason();
                match ended {
                    Ok(()) => {
                        conversation.close().await;
                        reason.unwrap_or_default()
                    }
                    Err(lost) => reason.unwrap_or_else(|| lost.to_string()),
                }
            }
            Err(panic) => {
                let reason = broken(panic);
                conversation.abort().await;
                reason
            }
        },
        Ok(Err(why)) => why.to_string(),
        Err(panic) => broken(panic),
    };
    drop(seat);
    observer.disconnected(number, &reason);
}
