//! The dialog files of the IMAP server session, played against the assembled server over loopback, its parts scripted from
//! the answers in the file.
#![cfg(all(feature = "tokio", feature = "tls", feature = "testing"))]

#[path = "imap_support/script.rs"]
#[allow(unreachable_pub, reason = "as in the files beside it")]
mod script;
#[path = "../../imap-proto/tests/server_subject/mod.rs"]
#[allow(dead_code, reason = "what plays files against a bare session is not needed here")]
mod server_subject;
#[path = "support/stream.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod stream;
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::imap::ImapServer;
use pillarbox::parts::Parts;
use pillarbox::testing::SteppedClock;
use pillarbox_core::dialog::{self, Dialog};
use pillarbox_imap::types::ModSeq;
use script::Script;
use server_subject::server_config;
use stream::{Client, connect, files};

/// Why a file is not for a server with parts.
type Unfit = &'static str;

/// What a server computes by itself from a message: a file that says otherwise speaks of a bare session.
fn asks_for_computed_data(dialog: &Dialog) -> bool {
    let sent = dialog.sent(1).concat().to_ascii_uppercase();
    let sent = String::from_utf8_lossy(&sent).into_owned();
    let words = ["BODY[", "BODY.PEEK[", "BINARY[", "BINARY.PEEK[", "BINARY.SIZE["];
    let parts = words.iter().flat_map(|word| sent.match_indices(word).map(|(at, word)| &sent[at + word.len()..]));
    parts.into_iter().any(|rest| !rest.starts_with([']', '9']))
        || sent.lines().filter(|line| line.contains(" FETCH ")).any(|line| {
            ["ENVELOPE", "BODYSTRUCTURE", "BODY ", "BODY)", "RFC822.HEADER", "RFC822.TEXT", " ALL", " FULL"]
                .iter()
                .any(|item| line.contains(item))
                || line.ends_with(" BODY")
        })
}

fn unfit(dialog: &Dialog) -> Option<Unfit> {
    if !dialog.runs_on_a_stream() {
        return Some("it moves the clock, has news of its own, or stops the machine");
    }
    if dialog.connections() != 1 {
        return Some("several connections");
    }
    asks_for_computed_data(dialog).then_some("the server computes this from messages")
}

/// Plays one file.
fn play(runtime: &tokio::runtime::Runtime, pair: &tls::Pair, path: &Path) -> Result<Result<(), Unfit>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let dialog = dialog::parse(&path.display().to_string(), &text).map_err(|failure| failure.to_string())?;
    if let Some(why) = unfit(&dialog) {
        return Ok(Err(why));
    }
    let settings = dialog.config(1);
    let config = server_config(&settings)?;
    let mod_seq = ModSeq::new(settings.parsed("modseq", 0)?);
    let script = match Script::of(&dialog, settings.parsed("messages", 3)?, mod_seq) {
        Ok(script) => script,
        Err(why) => return Ok(Err(why)),
    };
    let (starttls, implicit) = (config.starttls, settings.flag("tls")?);
    let clock = SteppedClock::new();
    let parts = Parts {
        authenticator: Arc::new(script.clone()),
        store: Arc::new(script.clone()),
        clock: Arc::new(clock.clone()),
        ..Parts::in_memory()
    };
    let mut server = ImapServer::new(config, parts).implicit_tls(implicit);
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
    if played? && !script.left().is_empty() {
        return Err(format!("{}: questions that nobody asked: {:?}", path.display(), script.left()));
    }
    Ok(Ok(()))
}

#[test]
fn dialogs_over_loopback() {
    let mut paths = Vec::new();
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../imap-proto/tests/dialogs")), &mut paths);
    paths.sort();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pair = tls::pair();
    let (mut played, mut skipped, mut failures) = (0, BTreeMap::<Unfit, usize>::new(), Vec::new());
    for path in &paths {
        match play(&runtime, &pair, path) {
            Ok(Ok(())) => played += 1,
            Ok(Err(why)) => *skipped.entry(why).or_default() += 1,
            Err(failure) => failures.push(failure),
        }
    }
    #[expect(clippy::print_stdout, reason = "what is not played is what the output of a test run is for")]
    {
        println!("{played} of {} files played; not for a server with parts: {skipped:#?}", paths.len());
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(5 * played > 3 * paths.len(), "{played} of {} files played; skipped: {skipped:#?}", paths.len());
}
