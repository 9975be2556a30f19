#!/usr/bin/env python3
"""Sends through Postfix and through `mailserver serve` in turn, to one sink on this machine, and prints the table.

    PILLARBOX_SHARED=... python3 benches/sending.py [--sessions 10,50] [--repetitions 3] [--messages 6000] [--only ours]

Needs root (a cpuacct control group for each server), Postfix and Dovecot as the kit's README says, and
`cargo build --release --bin mailserver`. Client and sink are the kit's own (`mailbench`). A message counts once the server has
written that it was sent.
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OFFSET = int(os.environ.get("PORT_OFFSET", "23000"))
PEER_PORT, SINK_PORT, OUR_PORT = 10025, 10026, 1025 + OFFSET


def check(*command, **more):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, **more)


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody answers at port {port}")


class Group:
    """A cpuacct control group: the processor time of all that was started in it."""

    def __init__(self, name):
        self.path = pathlib.Path("/sys/fs/cgroup/cpuacct") / name
        self.path.mkdir(exist_ok=True)

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def milliseconds(self):
        return int((self.path / "cpuacct.usage").read_text()) / 1e6


class Log:
    """Counts what a server writes of messages that were sent."""

    def __init__(self, path, mark):
        self.path, self.mark, self.at, self.rest, self.count = path, mark, 0, b"", 0

    def sent(self):
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self.at)
                new = file.read()
            self.at += len(new)
            lines = (self.rest + new).split(b"\n")
            self.rest = lines.pop()
            self.count += sum(self.mark in line for line in lines)
        return self.count


class Postfix:
    name, port = "Postfix", PEER_PORT

    def __init__(self, kit, work):
        self.kit, self.env = kit, {**os.environ, "BENCH": str(work)}
        if not (work / "peer/dovecot/etc").is_dir():
            check(kit / "peer/setup.sh", env=self.env)
        self.group = Group("bench_peer")
        self.log = Log(work / "peer/log/postfix.log", b"status=sent")
        check(kit / "peer/start.sh", env=self.env)
        self.log.sent()

    def stop(self):
        check(self.kit / "peer/stop.sh", env=self.env, stderr=subprocess.DEVNULL)


class Ours:
    name, port = "mailserver", OUR_PORT

    def __init__(self, work):
        site = work / "ours"
        shutil.rmtree(site, ignore_errors=True)
        (site / "mail").mkdir(parents=True)
        (site / "passwd").write_text("you@bench.test:{PLAIN}correct-horse\n")
        (site / "passwd").chmod(0o600)
        (site / "mail.toml").write_text(f"""
hostname = "mx.bench.test"
domains = ["bench.test"]
postmaster = "you@bench.test"
accounts = "passwd"
mail = "mail/{{domain}}/{{user}}/Maildir"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{OUR_PORT}"
relay_from = ["127.0.0.0/8"]
[limits]
trusted = ["127.0.0.0/8"]
[queue]
folder = "queue"
[[route]]
recipients = ["*"]
to = "smtp://sink.example:{SINK_PORT}"
address = "127.0.0.1"
tls = "opportunistic"
""")
        self.group = Group("bench_pillarbox")
        self.log = Log(site / "log", b" delivered by ")
        server = os.environ.get("MAILSERVER", ROOT / "target/release/mailserver")
        with open(site / "log", "wb") as log:
            command = [server, "serve", "--config", site / "mail.toml"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=self.group.enter)
        wait_for(OUR_PORT)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def one(server, bench, sessions, messages, per_connection):
    """Messages a second, and milliseconds of the server's processor time for each."""
    subprocess.run(["sync"])
    time.sleep(0.5)
    before, processor, begin = server.log.sent(), server.group.milliseconds(), time.monotonic()
    load = [bench, "smtp", "host=127.0.0.1", f"port={server.port}", f"sessions={sessions}", f"n={messages}", "size=10240",
            "rcptfmt=x%d@remote.test", f"users={messages}", f"per_conn={per_connection}"]
    client = subprocess.Popen([str(word) for word in load], stdout=subprocess.PIPE, text=True)
    while server.log.sent() - before < messages:
        if time.monotonic() - begin > 300:
            sys.exit(f"{server.name}: {server.log.sent() - before} of {messages} messages were sent")
        time.sleep(0.02)
    took = time.monotonic() - begin
    errors = re.search(r'"errors":(\d+)', client.communicate()[0])
    if errors is None or errors[1] != "0":
        sys.exit(f"the client of {server.name} had errors")
    time.sleep(0.3)
    return messages / took, (server.group.milliseconds() - processor) / messages


def main():
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known.add_argument("--sessions", default="10,50")
    known.add_argument("--repetitions", type=int, default=3)
    known.add_argument("--messages", type=int, default=6000, help="through mailserver; Postfix gets a fourth")
    known.add_argument("--per-connection", type=int, default=1, help="messages of a connection of the client; 0 for all")
    known.add_argument("--only", choices=["ours", "peer"])
    known.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/pillarbox-sending"))
    args = known.parse_args()
    kit, work = pathlib.Path(os.environ["PILLARBOX_SHARED"]) / "bench", args.work
    work.mkdir(exist_ok=True)
    work.chmod(0o755)
    bench = work / "target/release/mailbench"
    if not bench.exists():
        shutil.copytree(kit / "mailbench", work / "mailbench", dirs_exist_ok=True)
        check("cargo", "build", "-q", "--release", "--manifest-path", work / "mailbench/Cargo.toml",
              env={**os.environ, "CARGO_TARGET_DIR": str(work / "target")})
    sink = subprocess.Popen([bench, "sink", "host=127.0.0.1", f"port={SINK_PORT}", "store=null", f"root={work}/sink"])
    servers = []
    try:
        wait_for(SINK_PORT)
        if args.only != "ours":
            servers.append(Postfix(kit, work))
        if args.only != "peer":
            servers.append(Ours(work))
        for sessions in map(int, args.sessions.split(",")):
            found = {server.name: [] for server in servers}
            for _ in range(args.repetitions):
                for server in servers:
                    share = 4 if isinstance(server, Postfix) else 1
                    figures = one(server, bench, sessions, args.messages // share, args.per_connection)
                    found[server.name].append(figures)
                    load = os.getloadavg()[0]
                    print(f"{sessions} sessions, {server.name}: {figures[0]:.0f}/s, {figures[1]:.3f} ms, load {load:.1f}", flush=True)
            table(sessions, found)
    finally:
        for server in servers:
            server.stop()
        sink.kill()


def table(sessions, found):
    for column, what, form in ((0, "messages/s, relayed", ",.0f"), (1, "ms of processor for a message", ".3f")):
        cells = [[figures[column] for figures in runs] for runs in found.values()]
        spread = lambda some, form: f"{statistics.median(some):{form}} ({min(some):{form}} to {max(some):{form}})"
        row = [str(sessions), what, *(spread(cell, form) for cell in cells)]
        if len(cells) == 2:
            ratios = [b / a if column == 0 else a / b for a, b in zip(*cells)]
            row.append(spread(ratios, ".1f"))
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
