//! Playing a file against a server at the other end of a stream.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::expect::{Output, is_decided, take_expected};
use super::file::{Dialog, Kind, Line, Send};
use super::log::{Happening, Log, written};
use super::pattern::Bindings;
use super::plan::{Group, Stimulus, groups};
use super::report::{Details, Failure};

/// Opens connections to the server under test.
pub trait Connect {
    /// Opens one connection (counted from 1), with a timeout for reading: what does not come within it counts as never.
    ///
    /// # Errors
    ///
    /// What the network says; it fails the play.
    fn connect(&mut self, connection: usize) -> io::Result<Box<dyn Stream>>;
}

impl<F: FnMut(usize) -> io::Result<Box<dyn Stream>>> Connect for F {
    fn connect(&mut self, connection: usize) -> io::Result<Box<dyn Stream>> {
        self(connection)
    }
}

/// A connection to the server under test.
pub trait Stream: Read + Write {
    /// Says that nothing more will be sent (`EOF`).
    ///
    /// # Errors
    ///
    /// What the network says; it fails the play.
    fn end(&mut self) -> io::Result<()>;

    /// Starts a layer on the connection (`L: tls started`); `layer` is what the line says.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] where there is no such layer, which is the default; it fails the play.
    fn start_layer(self: Box<Self>, layer: &str) -> io::Result<Box<dyn Stream>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("this stream cannot start {layer}")))
    }
}

impl Stream for TcpStream {
    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Plays a file against a server: sends what the peer says, and compares what the server sends. Lines that only
/// concern a machine (`E:`, `A:`, `B:`, `wait:`) are passed over; [`Dialog::answers`] tells beforehand what the parts
/// of the server have to answer. `closed:` wants the server to close the connection, for whatever reason.
///
/// Gives `false`, without connecting, if the file is not for a stream ([`Dialog::runs_on_a_stream`]).
///
/// # Errors
///
/// The [`Failure`] of the first line that the server did not keep to.
pub fn play_stream(dialog: &Dialog, connect: &mut dyn Connect) -> Result<bool, Failure> {
    if !dialog.runs_on_a_stream() {
        return Ok(false);
    }
    let mut play = Play { wires: BTreeMap::new(), bindings: Bindings::default(), log: Log::default() };
    for group in groups(dialog) {
        let start = play.log.len();
        if let Err((line, why)) = play.play(&group, connect) {
            let expected = dialog.lines.iter().filter(|line| (group.first..group.end).contains(&line.number));
            let many = dialog.connections() > 1;
            let before = written(play.log.since(0), 'S', 'C', many);
            let got = written(play.log.since(start), 'S', 'C', many);
            let before = &before[..before.len() - got.len()];
            let details = Details {
                before: before[before.len().saturating_sub(super::play::BEFORE)..].to_vec(),
                expected: expected.map(|line| line.text.trim_end().to_string()).collect(),
                got,
            };
            return Err(Failure::new(&dialog.name, line, why).with(None, details));
        }
    }
    Ok(true)
}

struct Play {
    wires: BTreeMap<usize, Wire>,
    bindings: Bindings,
    log: Log,
}

struct Wire {
    /// `None` while a layer is started.
    stream: Option<Box<dyn Stream>>,
    output: Output,
    ended: bool,
}

impl Play {
    fn play(&mut self, group: &Group<'_>, connect: &mut dyn Connect) -> Result<(), (usize, String)> {
        let number = group.connection;
        self.act(group, connect).map_err(|why| (group.first, why))?;
        for (index, (line, _)) in group.lines.iter().enumerate() {
            let followed = group.lines[index + 1..]
                .iter()
                .any(|(later, _)| later.connection == line.connection && matches!(later.kind, Kind::Expect(_)));
            self.compare(line, followed).map_err(|why| (line.number, why))?;
        }
        match self.wires.get_mut(&number).and_then(|wire| wire.output.first_line()) {
            Some(line) => Err((group.end - 1, format!("output that the file does not list: {line}"))),
            None => {
                self.wires.values_mut().for_each(|wire| wire.output.forget());
                Ok(())
            }
        }
    }

    fn act(&mut self, group: &Group<'_>, connect: &mut dyn Connect) -> Result<(), String> {
        let number = group.connection;
        match &group.stimulus {
            Stimulus::Connect => {
                let stream = connect.connect(number).map_err(|error| format!("no connection: {error}"))?;
                self.wires.insert(number, Wire { stream: Some(stream), output: Output::default(), ended: false });
            }
            Stimulus::Send(lines) => {
                let mut sent = Vec::new();
                for line in lines {
                    match &line.kind {
                        Kind::Send(Send::Line(text)) => {
                            sent.extend(self.bindings.substitute(text)?);
                            sent.extend_from_slice(b"\r\n");
                        }
                        Kind::Send(Send::Raw(bytes)) => sent.extend_from_slice(bytes),
                        _ => {}
                    }
                }
                self.log.add(number, Happening::Sent(sent.clone()));
                self.with_stream(number, |stream| stream.write_all(&sent).and_then(|()| stream.flush()))?;
            }
            Stimulus::Eof => {
                self.log.add(number, Happening::Line("EOF".into()));
                self.with_stream(number, |stream| stream.end())?;
            }
            Stimulus::Layer(text) => {
                self.log.add(number, Happening::Line(format!("L: {text}")));
                let wire = self.wire(number)?;
                let stream = wire.stream.take().ok_or("the connection was lost while a layer started")?;
                wire.stream = Some(stream.start_layer(text).map_err(|error| format!("L: {error}"))?);
            }
            // The parts of the server have the answers; the rest does not run on a stream.
            Stimulus::Answer(_) | Stimulus::Clock(_) | Stimulus::News(_) | Stimulus::Stop => {}
        }
        Ok(())
    }

    fn compare(&mut self, line: &Line, followed: bool) -> Result<(), String> {
        let number = line.connection;
        match &line.kind {
            Kind::Expect(expect) => {
                self.read_until(number, |output| is_decided(expect, output, followed))?;
                let wire = self.wires.get_mut(&number).ok_or("the connection is not open")?;
                let ended = if wire.ended { "nothing came; the connection is closed" } else { "nothing came" };
                let taken = take_expected(expect, &mut wire.output, &mut self.bindings);
                taken.map_err(|why| why.unwrap_or_else(|| ended.into()))
            }
            Kind::Never(pattern) => match self.wire(number)?.output.finds(pattern) {
                Some(line) => Err(format!("this line came all the same: {line}")),
                None => Ok(()),
            },
            Kind::Closed(_) => {
                self.read_until(number, |output| !output.is_empty())?;
                match self.wire(number)?.output.first_line() {
                    Some(line) => Err(format!("the connection is not closed, but sends: {line}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Reads until enough came to decide, or the server has closed the connection.
    fn read_until(&mut self, number: usize, enough: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        let mut buffer = [0; 4096];
        loop {
            let wire = self.wire(number)?;
            if wire.ended || enough(wire.output.left()) {
                return Ok(());
            }
            let n = self.with_stream(number, |stream| stream.read(&mut buffer))?;
            let wire = self.wire(number)?;
            wire.ended = n == 0;
            wire.output.add(&buffer[..n]);
            let happening = match n {
                0 => Happening::Line("closed:".into()),
                n => Happening::Output(buffer[..n].to_vec()),
            };
            self.log.add(number, happening);
        }
    }

    fn wire(&mut self, number: usize) -> Result<&mut Wire, String> {
        self.wires.get_mut(&number).ok_or_else(|| format!("connection {number} is not open yet"))
    }

    fn with_stream<T>(
        &mut self,
        number: usize,
        call: impl FnOnce(&mut dyn Stream) -> io::Result<T>,
    ) -> Result<T, String> {
        let stream = self.wire(number)?.stream.as_mut().ok_or("the connection was lost")?;
        call(stream.as_mut()).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "nothing came within the stream's timeout".into(),
            _ => format!("the stream failed: {error}"),
        })
    }
}
