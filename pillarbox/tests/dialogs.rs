//! The dialog files of the SMTP server session, played against the assembled server over loopback, its parts scripted from
//! the answers in the file.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "../../smtp-proto/tests/server_subject/mod.rs"]
#[allow(dead_code, reason = "what plays files against a bare session is not needed here")]
mod server_subject;
#[path = "support/stream.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod stream;
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::parts::{
    Authenticator, BoxFuture, Envelope, Identity, IncomingMessage, LoginAttempt, LoginOutcome, MessageSink, Outcome,
    Parts, Policy, Session, SinkError, Verdict,
};
use pillarbox::smtp::SmtpServer;
use pillarbox::testing::SteppedClock;
use pillarbox_core::Reply;
use pillarbox_core::dialog::{self, Dialog};
use pillarbox_core::sasl::Mechanism;
use pillarbox_smtp::server::{Mail, Rcpt};
use server_subject::{parse_reply, server_config};
use stream::{Client, connect, files};

/// What the file answers to the questions that parts answer, in its order.
#[derive(Clone)]
struct Script(Arc<Mutex<VecDeque<(String, Said)>>>);

#[derive(Clone, Debug)]
enum Said {
    Default,
    Refuse(Reply),
    Hangup(Reply),
    Login(String),
}

/// The script of a file; `None` if it has an answer that no part can give (the words of an acceptance, for instance).
fn script(dialog: &Dialog) -> Option<Script> {
    let mut said = VecDeque::new();
    for question in dialog.answers() {
        let kind = question.event.split(' ').next().unwrap_or_default().to_owned();
        let mut answers = question.answers.iter();
        let answer = match answers.next().map(|text| text.split_once(' ').unwrap_or((text, ""))) {
            None | Some(("accept", "")) => Said::Default,
            Some(("refuse", reply)) => Said::Refuse(parse_reply(reply).ok()?),
            Some(("hangup", reply)) => Said::Hangup(parse_reply(reply).ok()?),
            Some(("login", name)) => Said::Login(name.into()),
            _ => return None,
        };
        let fits = matches!(
            (&*kind, &answer),
            ("Connect" | "Mail" | "Rcpt", _)
                | ("Data" | "Outcome", Said::Refuse(_))
                | ("Login", Said::Login(_))
                | (_, Said::Default)
        );
        if !fits || answers.next().is_some() {
            return None;
        }
        if ["Connect", "Mail", "Rcpt", "Login", "Data", "Outcome"].contains(&&*kind) {
            said.push_back((kind, answer));
        }
    }
    Some(Script(Arc::new(Mutex::new(said))))
}

impl Script {
    fn next(&self, kind: &str) -> Said {
        let mut said = self.0.lock().unwrap();
        match said.front() {
            Some((front, _)) if front == kind => said.pop_front().map_or(Said::Default, |(_, said)| said),
            _ => Said::Default,
        }
    }

    fn verdict(&self, kind: &str) -> BoxFuture<'static, Verdict> {
        Box::pin(std::future::ready(match self.next(kind) {
            Said::Refuse(reply) => Verdict::Refuse(reply),
            Said::Hangup(reply) => Verdict::Hangup(reply),
            _ => Verdict::Accept,
        }))
    }
}

impl Policy for Script {
    fn connect<'a>(&'a self, _: &'a Session) -> BoxFuture<'a, Verdict> {
        self.verdict("Connect")
    }
    fn sender<'a>(&'a self, _: &'a Session, _: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        self.verdict("Mail")
    }
    fn recipient<'a>(&'a self, _: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        self.verdict("Rcpt")
    }
}

impl Authenticator for Script {
    fn can_judge(&self, _: &Mechanism) -> bool {
        true
    }

    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        let credentials = &attempt.credentials;
        let name = credentials.authorization_id().unwrap_or(credentials.authentication_id());
        let good = credentials.password().is_some_and(|password| password.same_as(b"secret"));
        Box::pin(std::future::ready(match self.next("Login") {
            Said::Login(name) => LoginOutcome::Accepted(Identity::new(name)),
            Said::Default if good => LoginOutcome::Accepted(Identity::new(name)),
            _ => LoginOutcome::Refused,
        }))
    }
    fn knows<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<bool>> {
        Box::pin(std::future::ready(None))
    }
}

impl MessageSink for Script {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(std::future::ready(match self.next("Data") {
            Said::Refuse(reply) => Err(SinkError::new(reply, "as the file says")),
            _ => Ok(Box::new(Scripted(self.clone(), envelope.recipients.len())) as Box<dyn IncomingMessage>),
        }))
    }
}

struct Scripted(Script, usize);

impl IncomingMessage for Scripted {
    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit(self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        let next = || match self.0.next("Outcome") {
            Said::Refuse(reply) => Outcome::Refused(reply),
            _ => Outcome::Delivered,
        };
        let outcomes = match all_or_nothing {
            true => vec![next(); self.1],
            false => (0..self.1).map(|_| next()).collect(),
        };
        Box::pin(std::future::ready(outcomes))
    }
}

/// Plays one file; `Ok(false)` if it is not for a server with parts.
fn play(runtime: &tokio::runtime::Runtime, pair: &tls::Pair, path: &Path) -> Result<bool, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let dialog = dialog::parse(&path.display().to_string(), &text).map_err(|failure| failure.to_string())?;
    if !dialog.runs_on_a_stream() || dialog.connections() != 1 {
        return Ok(false);
    }
    let Some(script) = script(&dialog) else { return Ok(false) };
    let settings = dialog.config(1);
    let config = server_config(&settings)?;
    let (starttls, implicit) = (config.starttls, settings.flag("tls")?);
    let clock = SteppedClock::new();
    let parts = Parts {
        authenticator: Arc::new(script.clone()),
        policy: Arc::new(script.clone()),
        sink: Arc::new(script.clone()),
        clock: Arc::new(clock.clone()),
        ..Parts::in_memory()
    };
    let loopback = [pillarbox::Network::from(std::net::IpAddr::from([127, 0, 0, 1]))];
    let hosts = |key| settings.flag(key).map(|trusted| loopback.into_iter().filter(move |_| trusted));
    let mut server = SmtpServer::new(config, parts).implicit_tls(implicit);
    server = server.xclient_hosts(hosts("xclient")?).xforward_hosts(hosts("xforward")?);
    if starttls || implicit {
        server = server.tls(Arc::clone(&pair.server));
    }
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let serving = runtime.spawn({
        let shutdown = shutdown.clone();
        async move { server.serve(listener, &shutdown).await }
    });
    let client = Client { tls: Arc::clone(&pair.client), clock: clock.clone(), runtime: runtime.handle().clone() };
    // What waits because of a wrong password goes on at once.
    let hurry = runtime.spawn(async move { clock.pass_over(&[2, 4, 8, 15].map(Duration::from_secs)).await });
    let mut open = |_| connect(address, client.clone(), implicit);
    let played = dialog::play_stream(&dialog, &mut open).map_err(|failure| failure.to_string());
    shutdown.begin();
    runtime.block_on(serving).unwrap();
    hurry.abort();
    if played? && !script.0.lock().unwrap().is_empty() {
        return Err(format!("{}: questions that nobody asked: {:?}", path.display(), script.0.lock().unwrap()));
    }
    Ok(true)
}

#[test]
fn dialogs_over_loopback() {
    let mut paths = Vec::new();
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../smtp-proto/tests/dialogs")), &mut paths);
    paths.sort();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pair = tls::pair();
    let (mut played, mut skipped, mut failures) = (0, 0, Vec::new());
    for path in &paths {
        match play(&runtime, &pair, path) {
            Ok(true) => played += 1,
            Ok(false) => skipped += 1,
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(played > 3 * skipped, "{played} files played, {skipped} are not for a server with parts");
}
