//! The running server's side: answers on a socket in the folder of the queue.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::outbound::OutboundHandle;
use pillarbox::outbound::spool::{MessageId, Selector, StoreError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::protocol::{Answer, IDS_MAX, REQUEST_MAX, Request, Verb};
use super::selection::Selection;
use super::shown::shown;
use super::unix_now;

/// Questions at a time; others wait.
const CONNECTIONS_MAX: usize = 8;
/// How long a question may take to come, and each part of an answer to go.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that are looked at, or changed, at a time.
const PAGE: usize = 256;

/// Opens the socket. Whoever has the queue open may take the place of one that is left over.
pub fn listen(path: &Path) -> Result<UnixListener, String> {
    let told = |error| format!("cannot listen on {}: {error}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(told)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(told)?;
    Ok(listener)
}

/// Answers until `shutdown` begins.
pub async fn serve(listener: UnixListener, handle: OutboundHandle, shutdown: &Shutdown) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut sessions = JoinSet::new();
    loop {
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await.expect("the semaphore is never closed");
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            () = shutdown.begun() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let handle = handle.clone();
                sessions.spawn(async move {
                    // Whoever has asked has gone: there is nobody to tell.
                    let _ = answer(stream, &handle).await;
                    drop(seat);
                });
            }
            // No file descriptors are left; some come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    sessions.shutdown().await;
}

/// Why an answer ends early.
enum Broken {
    /// Whoever asked does not listen.
    Gone,
    /// To be told.
    Told(String),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Broken::Told(error.to_string())
    }
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Broken::Told(why)
    }
}

/// Where the answer goes, a line at a time.
struct Teller(BufWriter<OwnedWriteHalf>);

impl Teller {
    async fn tell(&mut self, answer: &Answer) -> Result<(), Broken> {
        let mut line = serde_json::to_vec(answer).map_err(|error| Broken::Told(error.to_string()))?;
        line.push(b'\n');
        match timeout(PATIENCE, self.0.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Broken::Gone),
        }
    }

    async fn changed(&mut self, ids: &[MessageId]) -> Result<(), Broken> {
        for some in ids.chunks(IDS_MAX) {
            self.tell(&Answer::Changed(some.iter().map(ToString::to_string).collect())).await?;
        }
        Ok(())
    }
}

async fn answer(stream: UnixStream, handle: &OutboundHandle) -> Result<(), Broken> {
    let (reader, writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(REQUEST_MAX as u64));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line))
        .await
        .map_err(|_| Broken::Gone)?
        .map_err(|_| Broken::Gone)?;
    let mut teller = Teller(BufWriter::new(writer));
    let done = match line.strip_suffix(b"\n") {
        Some(line) => match Request::parse(line) {
            Ok(request) => carry_out(&request, handle, &mut teller).await,
            Err(why) => Err(Broken::Told(why)),
        },
        None => Err(Broken::Told(format!("a question is one line of at most {REQUEST_MAX} octets"))),
    };
    match done {
        Ok(()) => teller.tell(&Answer::Done).await?,
        Err(Broken::Told(why)) => teller.tell(&Answer::Error(why)).await?,
        Err(Broken::Gone) => return Err(Broken::Gone),
    }
    timeout(PATIENCE, teller.0.shutdown()).await.map_err(|_| Broken::Gone)?.map_err(|_| Broken::Gone)
}

async fn carry_out(request: &Request, handle: &OutboundHandle, teller: &mut Teller) -> Result<(), Broken> {
    let select = &request.select;
    if select.says_nothing() && request.verb != Verb::List {
        return Err(Broken::Told("which messages are meant is not said".into()));
    }
    let is_look = matches!(request.verb, Verb::List | Verb::Show);
    if !is_look && select.ids.is_empty() && !select.looks_inside() {
        let ids = change_all(request.verb, handle).await?;
        return teller.changed(&ids).await;
    }
    let mut pages = Pages::new(select)?;
    while let Some(page) = pages.next(handle) {
        let mut meant = Vec::new();
        for id in page {
            let message = match handle.show(id).await {
                Ok(message) => message,
                // It has finished meanwhile, or is not there.
                Err(StoreError::NoSuchMessage(_)) => {
                    if !select.ids.is_empty() {
                        teller.tell(&Answer::Missing(id.to_string())).await?;
                    }
                    continue;
                }
                Err(error @ StoreError::Damaged(..)) => {
                    teller.tell(&Answer::Note(error.to_string())).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let now = unix_now();
            if !select.fits(&message, now) {
                continue;
            }
            match request.verb {
                Verb::List | Verb::Show => {
                    let message = shown(&message, &handle.next_tries(id), request.verb == Verb::Show, now);
                    teller.tell(&Answer::Message(message)).await?;
                }
                _ => meant.push(id),
            }
        }
        if !meant.is_empty() {
            let changed = change(request.verb, handle, meant).await?;
            teller.changed(&changed).await?;
        }
    }
    Ok(())
}

/// The messages to look at, some at a time, whatever comes and goes meanwhile.
enum Pages {
    Named(Vec<MessageId>),
    Behind(Option<MessageId>),
}

impl Pages {
    fn new(select: &Selection) -> Result<Self, String> {
        let mut named = select.parsed_ids()?;
        named.sort_unstable();
        named.dedup();
        Ok(if named.is_empty() { Pages::Behind(None) } else { Pages::Named(named) })
    }

    fn next(&mut self, handle: &OutboundHandle) -> Option<Vec<MessageId>> {
        let page = match self {
            Pages::Named(named) => named.drain(..named.len().min(PAGE)).collect(),
            Pages::Behind(last) => {
                let page = handle.list(*last, PAGE);
                *last = page.last().copied().or(*last);
                page
            }
        };
        Some(page).filter(|page: &Vec<MessageId>| !page.is_empty())
    }
}

async fn change_all(verb: Verb, handle: &OutboundHandle) -> Result<Vec<MessageId>, StoreError> {
    match verb {
        Verb::Flush => Ok(handle.flush(Selector::All)),
        Verb::Requeue => Ok(handle.requeue(Selector::All)),
        Verb::Hold => Ok(handle.hold(Selector::All).await?),
        Verb::Release => Ok(handle.release(Selector::All).await?),
        Verb::Delete => Ok(handle.delete(Selector::All).await?),
        Verb::List | Verb::Show => Ok(Vec::new()),
    }
}

/// Changes these at once, so that their records share a sync.
async fn change(verb: Verb, handle: &OutboundHandle, ids: Vec<MessageId>) -> Result<Vec<MessageId>, StoreError> {
    let mut changes: JoinSet<Result<Vec<MessageId>, StoreError>> = JoinSet::new();
    for id in ids {
        let handle = handle.clone();
        changes.spawn(async move {
            match verb {
                Verb::Flush => Ok(handle.flush(Selector::Id(id))),
                Verb::Requeue => Ok(handle.requeue(Selector::Id(id))),
                Verb::Hold => Ok(handle.hold(Selector::Id(id)).await?),
                Verb::Release => Ok(handle.release(Selector::Id(id)).await?),
                Verb::Delete => Ok(handle.delete(Selector::Id(id)).await?),
                Verb::List | Verb::Show => Ok(Vec::new()),
            }
        });
    }
    let mut changed = Vec::new();
    while let Some(done) = changes.join_next().await {
        changed.extend(done.expect("a change does not panic")?);
    }
    changed.sort_unstable();
    Ok(changed)
}
