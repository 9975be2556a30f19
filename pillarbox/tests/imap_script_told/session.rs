//! A script, command by command, and a client that plays it.

use pillarbox::Shutdown;
use pillarbox::imap::ImapServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// One command of a client and what is answered.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) session: usize,
    pub(crate) sent: Vec<String>,
    pub(crate) patterns: Vec<String>,
    /// A new connection comes first.
    pub(crate) anew: bool,
}

pub(crate) fn parse(text: &str) -> Vec<Exchange> {
    let (mut all, mut now, mut session, mut anew) = (Vec::new(), Exchange::default(), 1, false);
    let mut finish = |now: &mut Exchange| {
        if !now.sent.is_empty() || !now.patterns.is_empty() {
            all.push(std::mem::take(now));
        }
    };
    for line in text.lines() {
        let rest = |line: &str| line.strip_prefix(' ').unwrap_or(line).to_owned();
        if let Some(sent) = line.strip_prefix("C:") {
            // A synchronising literal is announced, answered with `+`, and goes on.
            let goes_on = now.patterns.iter().all(|pattern| pattern.starts_with("\\+"));
            let has_literal = (1..=now.sent.len()).any(|end| announced(&now.sent[..end]).is_some());
            if !(now.patterns.is_empty() || goes_on && has_literal) {
                finish(&mut now);
            }
            now.session = session;
            now.anew |= std::mem::take(&mut anew);
            now.sent.push(rest(sent));
        } else if let Some(pattern) = line.strip_prefix("S:") {
            now.session = session;
            now.patterns.push(rest(pattern));
        } else if let Some(number) = line.strip_prefix("SESSION:") {
            finish(&mut now);
            session = number.trim().parse().expect("a session has a number");
        } else if line.starts_with("REINIT") {
            finish(&mut now);
            anew = true;
        }
        // Comments, `SUB {`, `}`, TIMER, LOG, WAIT and AWAIT: lines are compared in no order, and nothing here is late.
    }
    finish(&mut now);
    all.iter_mut().for_each(mend);
    all
}

/// Two liberties that James allows its scripts: several spaces where the grammar has one or none, and in a few scripts a
/// literal that is announced an octet too short.
fn mend(exchange: &mut Exchange) {
    let rest: usize = exchange.sent.iter().skip(1).map(|line| line.len() + 2).sum();
    let Some(first) = exchange.sent.first_mut() else { return };
    while first.contains("  ") {
        *first = first.replace("  ", " ");
    }
    *first = first.replace("( ", "(").replace(" )", ")");
    let announced = first.strip_suffix("+}").or(first.strip_suffix('}')).and_then(|line| line.rsplit_once('{'));
    if let Some((start, size)) = announced
        && size.parse() == Ok(rest.saturating_sub(1))
    {
        // The last line end is that of the command.
        *first = format!("{start}{{{}+}}", rest - 2);
    }
}

/// The size of the synchronising literal that the last line announces.
fn announced(sent: &[String]) -> Option<usize> {
    sent.last()?.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

pub(crate) struct Session {
    stream: DuplexStream,
    unread: Vec<u8>,
    pub(crate) ended: bool,
}

impl Session {
    pub(crate) async fn new(server: &ImapServer) -> Session {
        let (stream, there) = tokio::io::duplex(1 << 16);
        let server = server.clone();
        tokio::spawn(async move { server.serve_connection(there, None, &Shutdown::new()).await });
        let mut session = Session { stream, unread: Vec::new(), ended: false };
        assert!(session.line().await.is_some_and(|line| line.starts_with(b"* OK")));
        session
    }

    pub(crate) async fn log_in(&mut self) {
        self.send("login LOGIN imapuser password\r\n").await;
        assert!(self.line().await.is_some_and(|line| line.starts_with(b"login OK")));
    }

    async fn send(&mut self, text: &str) {
        if self.stream.write_all(text.as_bytes()).await.is_err() {
            self.ended = true;
        }
    }

    /// The next line with the literals in it.
    async fn line(&mut self) -> Option<Vec<u8>> {
        let (mut line, mut wanted) = (Vec::new(), None::<usize>);
        loop {
            let end = match wanted {
                Some(size) => (self.unread.len() >= size).then_some(size),
                None => self.unread.iter().position(|&octet| octet == b'\n').map(|at| at + 1),
            };
            let Some(end) = end else {
                let mut more = [0; 4096];
                match self.stream.read(&mut more).await {
                    Ok(octets) if octets > 0 => self.unread.extend_from_slice(&more[..octets]),
                    _ => {
                        self.ended = true;
                        return None;
                    }
                }
                continue;
            };
            let part: Vec<u8> = self.unread.drain(..end).collect();
            line.extend_from_slice(&part);
            if wanted.take().is_some() {
                continue;
            }
            let size = part.strip_suffix(b"}\r\n").and_then(|part| {
                let at = part.iter().rposition(|&octet| octet == b'{')?;
                std::str::from_utf8(&part[at + 1..]).ok()?.parse().ok()
            });
            match size {
                Some(size) => wanted = Some(size),
                None => return Some(line),
            }
        }
    }

    /// Plays one command and returns the lines of the answer.
    pub(crate) async fn play(&mut self, exchange: &Exchange) -> String {
        let mut heard = String::new();
        let tag = exchange.sent.first().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
        let mut rest = exchange.sent.iter().enumerate().peekable();
        while let Some((at, line)) = rest.next() {
            self.send(&format!("{line}\r\n")).await;
            if announced(&exchange.sent[..=at]).is_some() && rest.peek().is_some() {
                let Some(line) = self.line().await else { return heard };
                let line = String::from_utf8_lossy(&line).into_owned();
                let goes_on = line.starts_with('+');
                heard.push_str(&line);
                if !goes_on {
                    return heard;
                }
            }
        }
        // An answer to what has no tag, or a demand to go on, ends otherwise.
        let last = exchange.patterns.last().map_or("", String::as_str);
        let tagged = last.starts_with(&format!("{tag} ")) || last == ".*" || last == "(.)*";
        loop {
            let Some(line) = self.line().await else { return heard };
            let line = String::from_utf8_lossy(&line).into_owned();
            let is_end = line.starts_with(&format!("{tag} ")) || !tagged && !line.starts_with("* OK");
            heard.push_str(&line);
            if is_end {
                return heard;
            }
        }
    }
}
