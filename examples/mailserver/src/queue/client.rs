//! Our side of a conversation with a running server.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{ANSWER_MAX, Answer, Request};

/// How long the server may think.
const PATIENCE: Duration = Duration::from_secs(300);

/// Connects to the server of a queue; `None`: none is running.
pub fn connect(socket: &Path) -> Result<Option<UnixStream>, String> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(format!(
            "not permitted to speak to the server on {}: run this as root, or as the user that the server runs as",
            socket.display()
        )),
        Err(error) => Err(format!("cannot speak to the server on {}: {error}", socket.display())),
    }
}

/// Asks, and hands on each line of the answer but the last.
pub fn ask(stream: &UnixStream, request: &Request, mut take: impl FnMut(Answer)) -> Result<(), String> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the server does not answer".to_owned(),
        _ => format!("the conversation with the server broke off: {error}"),
    };
    stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).map_err(told)?;
    let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let mut writer = stream;
    writer.write_all(&line).map_err(told)?;
    let mut reader = BufReader::new(stream);
    loop {
        line.clear();
        (&mut reader).take(ANSWER_MAX as u64).read_until(b'\n', &mut line).map_err(told)?;
        if line.last() != Some(&b'\n') {
            return Err("the server broke off its answer: it stopped, or is of another release".into());
        }
        match serde_json::from_slice(&line) {
            Ok(Answer::Done) => return Ok(()),
            Ok(Answer::Error(why)) => return Err(why),
            Ok(answer) => take(answer),
            Err(error) => return Err(format!("the answer of the server is not understood: {error}")),
        }
    }
}
