//! The running server's side: answers on a socket in the folder of the queue.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::outbound::spool::{MessageId, Selector, StoreError};
use pillarbox::outbound::{Interrupted, OutboundHandle};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::content::Pieces;
use super::protocol::{Answer, IDS_MAX, Part, REQUEST_MAX, Request, Verb};
use super::selection::Selection;
use super::shown::shown;
use super::unix_now;

/// Connections at a time. One more takes the place of the oldest that has not asked anything, so that nobody with a question waits
/// for those without; if all have asked, it waits.
const CONNECTIONS_MAX: usize = 64;
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

/// Who has come, and whether they have asked.
#[derive(Default)]
struct Guests(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

impl Guests {
    /// Makes room for one more; false if all have asked.
    fn make_room(&mut self) -> bool {
        self.0.retain(|(guest, _)| !guest.is_finished());
        if self.0.len() < CONNECTIONS_MAX {
            return true;
        }
        let idle = self.0.iter().position(|(_, has_asked)| !has_asked.load(Ordering::Relaxed));
        idle.and_then(|at| self.0.remove(at)).inspect(|(guest, _)| guest.abort()).is_some()
    }
}

/// Answers until `shutdown` begins.
pub async fn serve(listener: UnixListener, handle: OutboundHandle, shutdown: &Shutdown) {
    let mut guests = Guests::default();
    let mut sessions = JoinSet::new();
    loop {
        let has_room = guests.make_room();
        let accepted = tokio::select! {
            () = shutdown.begun() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            accepted = listener.accept(), if has_room => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (handle, has_asked) = (handle.clone(), Arc::new(AtomicBool::new(false)));
                let asked = Arc::clone(&has_asked);
                // Whoever has asked has gone: there is nobody to tell.
                let guest = sessions.spawn(async move { drop(answer(stream, &handle, &asked).await) });
                guests.0.push_back((guest, has_asked));
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

    /// Says what was done, also where that is not all.
    async fn changed(&mut self, changed: Result<Vec<MessageId>, Interrupted>) -> Result<(), Broken> {
        let (done, error) = match changed {
            Ok(done) => (done, None),
            Err(interrupted) => (interrupted.done, Some(interrupted.error)),
        };
        for some in done.chunks(IDS_MAX) {
            self.tell(&Answer::Changed(some.iter().map(ToString::to_string).collect())).await?;
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

async fn answer(stream: UnixStream, handle: &OutboundHandle, has_asked: &AtomicBool) -> Result<(), Broken> {
    let (reader, writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(REQUEST_MAX as u64));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line))
        .await
        .map_err(|_| Broken::Gone)?
        .map_err(|_| Broken::Gone)?;
    has_asked.store(true, Ordering::Relaxed);
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
    // What is done about half of the queue would look as if it were done about all of it.
    if handle.is_reading() {
        let why = "the server has just started and is still reading the queue";
        match is_look {
            true => teller.tell(&Answer::Note(format!("{why}: messages may be missing here"))).await?,
            false => return Err(Broken::Told(format!("{why}: ask again in a moment"))),
        }
    }
    if !is_look && select.ids.is_empty() && !select.looks_inside() {
        return teller.changed(change(request.verb, handle, Selector::All).await).await;
    }
    let mut pages = Pages::new(select)?;
    while let Some(page) = pages.next(handle) {
        let mut meant = Vec::new();
        for id in page {
            let message = match handle.show(id).await {
                Ok(message) => message,
                // It has finished meanwhile, or is not there, or not yet.
                Err(StoreError::NoSuchMessage(_) | StoreError::StillReading) => {
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
            match (request.verb, request.part) {
                (Verb::Show, Some(part)) => tell_content(handle, id, part, teller).await?,
                (Verb::List | Verb::Show, _) => {
                    let message = shown(&message, &handle.next_tries(id), request.verb == Verb::Show, now);
                    teller.tell(&Answer::Message(message)).await?;
                }
                _ => meant.push(id),
            }
        }
        if !meant.is_empty() {
            teller.changed(change(request.verb, handle, Selector::Ids(&meant)).await).await?;
        }
    }
    Ok(())
}

async fn tell_content(handle: &OutboundHandle, id: MessageId, part: Part, teller: &mut Teller) -> Result<(), Broken> {
    let body = handle.body(id).await?;
    let broken = |_| Broken::Told("a part of the server broke".into());
    let mut pieces = spawn_blocking(move || Pieces::of(id, body, part)).await.map_err(broken)??;
    loop {
        let read = spawn_blocking(move || pieces.next().map(|piece| (piece, pieces))).await.map_err(broken)??;
        let (Some(piece), rest) = read else { return Ok(()) };
        pieces = rest;
        teller.tell(&Answer::Content(piece)).await?;
    }
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

/// Some names are changed in one group of the log.
async fn change(verb: Verb, handle: &OutboundHandle, selector: Selector<'_>) -> Result<Vec<MessageId>, Interrupted> {
    match verb {
        Verb::Flush => Ok(handle.flush(selector).await),
        Verb::Requeue => Ok(handle.requeue(selector).await),
        Verb::Hold => handle.hold(selector).await,
        Verb::Release => handle.release(selector).await,
        Verb::Delete => handle.delete(selector).await,
        Verb::List | Verb::Show => Ok(Vec::new()),
    }
}
