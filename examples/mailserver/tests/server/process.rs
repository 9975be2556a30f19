//! The server as a process: started, watched by what it prints, signalled, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Only failing tests wait that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps tests of one process from looking for ports at the same time.
static PORTS: Mutex<u16> = Mutex::new(0);

pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// What it printed so far, on both streams.
    pub output: String,
}

pub fn mailserver() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mailserver"))
}

/// What a run that ends by itself printed on stdout and stderr, and its exit code.
pub fn run(args: &[&str]) -> (String, String, i32) {
    let output = mailserver().args(args).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        pass_on(child.stdout.take().unwrap(), sender.clone());
        pass_on(child.stderr.take().unwrap(), sender);
        Server { child, lines, output: String::new() }
    }

    /// `mailserver try` in a folder, on ports that are free, once it listens.
    pub fn trial(dir: &Path, args: &[&str]) -> Self {
        // Between looking for free ports and taking them somebody else may take one.
        for _ in 0..20 {
            let base = free_port_base().to_string();
            let mut command = mailserver();
            command.arg("try").arg("--dir").arg(dir).args(["--port-base", &base]).args(args);
            let mut server = Server::start(&mut command);
            if server.prints("Stop with Ctrl-C.") {
                return server;
            }
            assert!(server.output.contains("another program does"), "{}", server.output);
        }
        panic!("no free ports");
    }

    /// `mailserver serve` with a configuration whose listeners have port 0, once it listens on that many.
    pub fn serve(config: &Path, listeners: usize) -> Self {
        let mut server = Server::start(mailserver().arg("serve").arg("--config").arg(config));
        while server.output.matches("listening on").count() < listeners {
            assert!(server.next_line(), "it ended:\n{}", server.output);
        }
        server
    }

    /// Takes the next line that it prints; `false` if it ended.
    fn next_line(&mut self) -> bool {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => self.output.push_str(&line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return false,
            Err(timeout) => panic!("{timeout}:\n{}", self.output),
        }
        true
    }

    /// Waits until it has printed this; `false` if it ended without.
    pub fn prints(&mut self, text: &str) -> bool {
        while !self.output.contains(text) {
            if !self.next_line() {
                return false;
            }
        }
        true
    }

    /// Where it listens for this, as it is printed: `smtp, STARTTLS`.
    pub fn address(&self, service: &str) -> String {
        let line = |line: &str| {
            let (address, of) = line.strip_prefix("listening on ")?.split_once(" for ")?;
            (of == service).then(|| address.to_owned())
        };
        self.output.lines().find_map(line).unwrap_or_else(|| panic!("no {service} in\n{}", self.output))
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end; all that it printed, and how it ended.
    pub fn end(mut self) -> (String, ExitStatus) {
        while self.next_line() {}
        (std::mem::take(&mut self.output), self.child.wait().unwrap())
    }

    /// Ends it as Ctrl-C does; all that it printed.
    pub fn stop(self) -> String {
        self.signal("INT");
        let (output, status) = self.end();
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(output.ends_with("stopped\n"), "{output}");
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// An offset at which all well-known ports of mail are free, below the ports that the system gives out by itself.
pub fn free_port_base() -> u16 {
    let mut last = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..20_000 {
        *last = (last.max(first) + 1 - 10_000) % 20_000 + 10_000;
        if [25, 143, 465, 587, 993].iter().all(|port| free(*last + port)) {
            return *last;
        }
    }
    panic!("no free ports");
}

/// Asks again until the answer is yes. For what the server does without telling.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        thread::yield_now();
    }
}
