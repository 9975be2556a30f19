//! Takes mail and throws it away, telling the envelope with its parameters and the size of each message: `smtp-sink [address [how many]]`.
//!
//! The server session needs no runtime and none of this family's drivers: blocking sockets and a loop do.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pillarbox_core::{Step, Time};
use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or("127.0.0.1:2525".into());
    let count = args.next().map_or(Ok(usize::MAX), |count| count.parse())?;
    let listener = TcpListener::bind(&address)?;
    eprintln!("listening on {}", listener.local_addr()?);
    let mut config = ServerConfig::new("sink.localhost");
    // Nothing is kept, so nothing can be damaged on its way out; who asks for a notice hears none.
    (config.smtputf8, config.binary_mime, config.dsn) = (true, true, true);
    let config = Arc::new(config);
    let (told, messages) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, told) = (config.clone(), told.clone());
            std::thread::spawn(move || serve(stream, config, &told).map_err(|error| eprintln!("lost: {error}")));
        }
    });
    messages.iter().take(count).for_each(|message: Message| {
        println!("{} -> {}: {} octets", message.from, message.to.join(" "), message.size);
    });
    Ok(())
}

/// One connection, from its greeting to its end.
fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, told: &mpsc::Sender<Message>) -> io::Result<()> {
    let mut session = ServerSession::new(config, Peer::default());
    let start = Instant::now();
    let now = || Time::from_origin(start.elapsed());
    let (mut buffer, mut message, mut taken) = (Vec::new(), Message::default(), Vec::new());
    // Where the unread octets begin and end.
    let (mut start, mut end) = (0, 0);
    loop {
        let mut unread = &buffer[start..end];
        let step = session.poll(now(), &mut unread).map(|event| message.hear(event, &mut taken));
        start = end - unread.len();
        if let Step::Event(is_question) = step {
            if is_question {
                session.answer(now(), Answer::Accept).map_err(io::Error::other)?;
            }
            continue;
        }
        // Whatever is waited for, what was said before it goes out first.
        stream.write_all(session.output())?;
        session.consume_output(now(), usize::MAX);
        // Nobody listens any more once the last message was counted.
        taken.drain(..).for_each(|message| drop(told.send(message)));
        let wait = session.deadline().map(|deadline| (deadline - now()).max(Duration::from_millis(1)));
        match step {
            Step::NeedInput => {
                // Once for each read, not for each step: a body may come in as many pieces as it has dots.
                buffer.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                buffer.resize(session.max_unread().max(end), 0);
                stream.set_read_timeout(wait)?;
                match stream.read(&mut buffer[end..]) {
                    Ok(0) => session.handle_eof(now()),
                    Ok(read) => end += read,
                    Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                        session.handle_timeout(now());
                    }
                    Err(error) => return Err(error),
                }
            }
            Step::NeedTime => {
                std::thread::sleep(wait.unwrap_or_default());
                session.handle_timeout(now());
            }
            _ => return Ok(()),
        }
    }
}

/// The message that is arriving.
#[derive(Default)]
struct Message {
    from: String,
    to: Vec<String>,
    size: usize,
}

impl Message {
    /// Takes note of an event; `true` if it is a question.
    fn hear(&mut self, event: Event<'_>, taken: &mut Vec<Message>) -> bool {
        match event {
            Event::Mail(ref mail) => {
                let mut from = format!("{} {:?}", mail.from, mail.body);
                from.push_str(if mail.smtputf8 { " SMTPUTF8" } else { "" });
                from.extend(mail.ret.map(|ret| format!(" RET={ret:?}")));
                from.extend(mail.envid.as_ref().map(|envid| format!(" ENVID={envid}")));
                *self = Message { from, ..Message::default() };
            }
            Event::Rcpt(ref rcpt) => {
                let notify = rcpt.notify.map(|notify| format!(" NOTIFY={notify}"));
                let orcpt = rcpt.orcpt.as_ref().map(|orcpt| format!(" ORCPT={};{}", orcpt.addr_type, orcpt.address));
                self.to.push(format!("{}{}{}", rcpt.to, notify.unwrap_or_default(), orcpt.unwrap_or_default()));
            }
            Event::Body(octets) => self.size += octets.len(),
            Event::Outcome { .. } => taken.push(std::mem::take(self)),
            _ => {}
        }
        !matches!(event, Event::Body(_) | Event::Abandoned(_) | Event::Refused { .. })
    }
}
