//! `mailserver queue`: against a server that runs, and one that does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use pillarbox::outbound::spool::{Options, RealFs, Store};
use serde_json::Value;

use crate::client::Client;
use crate::process::{Server, eventually, run};
use crate::sending::{logged_in, send};
use crate::serve::Site;

/// A server whose mail for elsewhere waits: nobody listens where it goes.
fn waiting_site() -> Site {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Site::new(&format!(
        "[queue]\nfolder = \"queue\"\n\n[[route]]\nrecipients = [\"*\"]\nto = \"smtp://{closed}\"\ntls = \"none\"\n"
    ))
}

/// A server with two messages that were tried once.
fn with_two_messages(site: &Site) -> Server {
    let server = Server::serve(&site.config(), site.listeners());
    let mut client = logged_in(&server);
    send(&mut client, &["ann@example.com"], "one");
    send(&mut client, &["bob@example.com", "eve@example.edu"], "two");
    has_read(site);
    // What is printed is on the disk, and known to whoever asks, a moment later.
    eventually("the first attempts", || {
        let all = as_json(site, &["list"]);
        let recipients = all.iter().flat_map(|message| message["recipients"].as_array().unwrap());
        recipients.filter(|recipient| recipient["attempts"] == 1 && recipient["state"] == "waiting").count() == 3
    });
    server
}

/// A server that has just started says so to whoever asks, until it has read the queue.
fn has_read(site: &Site) {
    eventually("reading the queue", || {
        let (_, stderr, code) = queue(site, &["list"]);
        assert!(
            code == 0 && (stderr.is_empty() || stderr.contains("still reading the queue: messages may be")),
            "{stderr}"
        );
        stderr.is_empty()
    });
}

fn queue(site: &Site, args: &[&str]) -> (String, String, i32) {
    let config = site.config();
    let mut all = vec!["queue", args[0], "--config", config.to_str().unwrap()];
    all.extend(&args[1..]);
    run(&all)
}

/// What it prints, where nothing is wrong.
fn fine(site: &Site, args: &[&str]) -> String {
    let (stdout, stderr, code) = queue(site, args);
    assert_eq!((stderr.as_str(), code), ("", 0), "{args:?}: {stdout}");
    stdout
}

fn as_json(site: &Site, args: &[&str]) -> Vec<Value> {
    fine(site, &[args, &["--json"]].concat()).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_running_server_is_asked() {
    let site = waiting_site();
    let server = with_two_messages(&site);
    let text = fine(&site, &["list"]);
    assert!(text.starts_with("ID  "), "{text}");
    for part in ["joe@example.org", "ann@example.com: tried once, next in ", "delayed by [127.0.0.1]: ", "2 messages, "]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let all = as_json(&site, &["list"]);
    assert_eq!(all.len(), 2);
    let id = |message: &Value| message["id"].as_str().unwrap().to_owned();
    let (one, two) = (id(&all[0]), id(&all[1]));
    assert_eq!(all[0]["sender"], "joe@example.org");
    assert_eq!(all[1]["recipients"][1]["to"], "eve@example.edu");
    assert_eq!(all[1]["recipients"][1]["state"], "waiting");
    assert!(all[1]["recipients"][1]["next_try"].as_i64() > all[1]["received"].as_i64());

    // What the messages have in common.
    let names = |args: &[&str]| as_json(&site, &[&["list"], args].concat()).iter().map(id).collect::<Vec<_>>();
    assert_eq!(names(&["--domain", "Example.EDU"]), [&*two]);
    assert_eq!(names(&["--domain", "example.com", "--sender", "JOE@example.org"]), [&*one, &*two]);
    assert_eq!(names(&["--sender", "<>"]), Vec::<String>::new());
    assert_eq!(names(&["--error", "connection REFUSED"]).len(), 2);
    assert_eq!(names(&["--older-than", "1h"]), Vec::<String>::new());
    assert_eq!(names(&[&two]), [&*two]);

    // What is done about them.
    assert_eq!(fine(&site, &["hold", &one]), "1 message held\n");
    assert_eq!(fine(&site, &["hold", "--all"]), "1 message held\n", "the other one");
    assert_eq!(fine(&site, &["release", &two]), "1 message released\n");
    assert_eq!(names(&["--held"]), [&*one]);
    assert!(fine(&site, &["list"]).contains(&format!("{one}!")));
    assert_eq!(fine(&site, &["flush", "--domain", "example.edu"]), "1 message to be tried now\n");
    eventually("the second attempt", || {
        let shown = &as_json(&site, &["show", &two])[0];
        shown["recipients"][1]["history"].as_array().unwrap().len() == 2
    });
    assert_eq!(fine(&site, &["requeue", &two]), "1 message to be tried now\n");
    assert_eq!(as_json(&site, &["delete", &two]), [serde_json::json!({"id": two, "done": "delete"})]);
    let (_, stderr, code) = queue(&site, &["show", &two]);
    assert!(stderr.starts_with(&format!("{two}: no such message is waiting\n")), "{stderr}");
    assert_eq!(code, 1);
    assert_eq!(names(&[]), [&*one]);

    // Both things last.
    server.signal("KILL");
    server.end();
    assert_eq!(names(&["--held"]), [&*one]);
    let server = Server::serve(&site.config(), site.listeners());
    has_read(&site);
    assert_eq!(names(&["--held"]), [&*one]);
    server.stop();
    assert!(!site.path("queue/control").exists());
}

#[test]
fn a_queue_without_a_server_is_looked_at_on_the_disk() {
    let site = waiting_site();
    let (_, stderr, code) = queue(&site, &["list"]);
    let folder = site.path("queue");
    let told = format!("there is no queue in {} yet: the server makes it at its first start\n", folder.display());
    assert_eq!((stderr, code), (told, 1));
    with_two_messages(&site).stop();
    let all = as_json(&site, &["list"]);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["recipients"][0]["attempts"], 1);
    // Whoever has the queue keeps others from changing it, and nobody from looking.
    let holder = Store::open(RealFs, &folder, Options::from_system()).unwrap();
    assert_eq!(as_json(&site, &["list"]), all);
    let (_, stderr, code) = queue(&site, &["hold", "--all"]);
    assert!(stderr.contains("another server has it open") && code == 1, "{stderr}");
    drop(holder);
    assert_eq!(fine(&site, &["hold", "--domain", "example.edu"]), "1 message held\n");
    assert_eq!(fine(&site, &["hold", "--all"]), "1 message held\n");
    assert_eq!(fine(&site, &["release", "--all"]), "2 messages released\n");
    let (_, stderr, code) = queue(&site, &["flush", "--all"]);
    assert!(stderr.starts_with("no server is running that could try messages: start it"), "{stderr}");
    assert_eq!(code, 1);
    assert_eq!(fine(&site, &["delete", all[0]["id"].as_str().unwrap()]), "1 message deleted\n");
    let server = Server::serve(&site.config(), site.listeners());
    has_read(&site);
    assert_eq!(as_json(&site, &["list"]).len(), 1);
    assert_eq!(fine(&site, &["delete", "--all"]), "1 message deleted\n");
    assert_eq!(fine(&site, &["list"]), "no message is waiting that is meant\n");
    server.stop();
}

#[test]
fn what_is_not_said_is_asked_for() {
    let site = waiting_site();
    let (_, stderr, code) = queue(&site, &["delete"]);
    assert!(stderr.starts_with("which messages are meant? Name them,") && code == 1, "{stderr}");
    let (_, stderr, code) = queue(&site, &["hold", "../../passwd"]);
    assert!(stderr.starts_with("`../../passwd` is not the name of a message, such as") && code == 1, "{stderr}");
    let (_, stderr, code) = queue(&site, &["delete", "--all", "--held"]);
    assert!(stderr.contains("cannot be used with") && code == 2, "{stderr}");
    let (_, stderr, code) = queue(&site, &["list", "--older-than", "yesterday"]);
    assert!(stderr.contains("`yesterday` is not a time such as") && code == 2, "{stderr}");
    let site = Site::new("");
    let (_, stderr, code) = queue(&site, &["list"]);
    let told = format!("there is no queue: {} has no [queue]\n", site.config().display());
    assert_eq!((stderr, code), (told, 1));
}

#[test]
fn whoever_asks_otherwise_is_told_and_costs_little() {
    let site = waiting_site();
    let server = with_two_messages(&site);
    let socket = site.path("queue/control");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(site.path("queue")).unwrap().permissions().mode() & 0o777, 0o700);
    let answer = |question: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It may have closed before all was written.
        let _ = stream.write_all(question);
        let mut answer = String::new();
        let _ = BufReader::new(&mut stream).read_line(&mut answer);
        answer
    };
    assert!(answer(b"{\"version\":2,\"verb\":\"list\"}\n").starts_with("{\"error\":\"the server speaks version 1"));
    assert!(answer(b"list\n").starts_with("{\"error\":\"this is no question"));
    assert!(answer(b"{\"version\":1,\"verb\":\"delete\"}\n").starts_with("{\"error\":\"which messages are meant"));
    assert!(answer(&[b'['; 64 * 1024]).starts_with("{\"error\":\"a question is one line of at most"));
    // Those who say nothing keep nobody waiting who does, however many they are.
    let idle: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    send(&mut logged_in(&server), &["jane@example.net"], "still there");
    assert_eq!(site.mail("jane@example.net").len(), 1);
    let begun = std::time::Instant::now();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"{\"version\":1,\"verb\":\"list\"}\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.lines().count(), 3, "{answer}");
    assert!(answer.ends_with("\n\"done\"\n"), "{answer}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(25), "it was answered when their time was over");
    drop(idle);
    server.stop();
}

#[test]
fn what_is_in_a_message_is_shown() {
    let site = waiting_site();
    let server = with_two_messages(&site);
    let id = as_json(&site, &["list"])[0]["id"].as_str().unwrap().to_owned();
    let look = |site: &Site| {
        let whole = fine(site, &["show", &id, "--content"]);
        assert!(whole.starts_with("Received: ") && whole.ends_with("Subject: one\r\n\r\nhello\r\n"), "{whole}");
        let header = fine(site, &["show", "--header", &id]);
        assert!(whole.starts_with(&header) && header.ends_with("Subject: one\r\n"), "{header}");
        let all = as_json(site, &["show", &id, "--content"]);
        assert_eq!(all, [serde_json::json!({"id": id, "content": whole})]);
        assert_eq!(as_json(site, &["show", &id, "--header"])[0]["content"], header);
        for args in [&["show", "--all", "--content"][..], &["show", &id, &id, "--header"]] {
            let (_, stderr, code) = queue(site, args);
            assert_eq!((stderr.as_str(), code), ("content is shown of one message: name it\n", 1));
        }
        let (stdout, stderr, code) = queue(site, &["show", "35afrg0001q9p4kd", "--content"]);
        assert!(stdout.is_empty() && code == 1 && stderr.contains("no such message is waiting"), "{stdout}{stderr}");
    };
    look(&site);
    server.stop();
    look(&site);
}

// RFC 6710
#[test]
fn users_say_what_goes_first() {
    let site = waiting_site();
    let server = Server::serve(&site.config(), site.listeners());
    let mut client = logged_in(&server);
    let offered = client.ask("EHLO client.example.org");
    assert!(offered.lines().any(|line| line.ends_with("MT-PRIORITY")), "{offered}");
    // Nobody comes before everybody else by saying so.
    client.expect("MAIL FROM:<joe@example.org> MT-PRIORITY=9", "250 ");
    client.expect("RCPT TO:<ann@example.com>", "250 ");
    client.expect("DATA", "354 ");
    client.expect("From: joe@example.org\r\nSubject: soon\r\n\r\nhello\r\n.", "250 ");
    has_read(&site);
    assert_eq!(as_json(&site, &["list"])[0]["priority"], 4);
    assert!(fine(&site, &["list"]).contains("joe@example.org, priority 4\n"));
    // Strangers say nothing of that.
    let mut stranger = Client::to(&server.address("smtp, STARTTLS"));
    assert!(!stranger.ask("EHLO client.example.com").contains("MT-PRIORITY"));
    server.stop();
}
