"""COMPRESS=DEFLATE (RFC 4978) with zlib on the other side: `45-compress.py imap imaps user password`"""

import imaplib
import ssl
import sys
import zlib

imap, imaps, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl._create_unverified_context()
imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")


class Compressed:
    """What an imaplib session reads and writes from here on."""

    def __init__(self, client, level, window):
        self.socket = client.sock
        self.inflate = zlib.decompressobj(-15)
        self.deflate = zlib.compressobj(level, zlib.DEFLATED, -window)
        self.unread = b""
        self.packed = self.unpacked = 0
        client.read, client.readline, client.send = self.read, self.readline, self.send

    def fill(self):
        octets = self.socket.recv(4096)
        if not octets:
            raise EOFError("the server has closed")
        self.packed += len(octets)
        octets = self.inflate.decompress(octets)
        self.unpacked += len(octets)
        self.unread += octets

    def read(self, size):
        while len(self.unread) < size:
            self.fill()
        octets, self.unread = self.unread[:size], self.unread[size:]
        return octets

    def readline(self):
        while b"\n" not in self.unread:
            self.fill()
        return self.read(self.unread.index(b"\n") + 1)

    def send(self, octets):
        self.socket.sendall(self.deflate.compress(octets) + self.deflate.flush(zlib.Z_SYNC_FLUSH))


def ok(answer, what):
    assert answer[0] == "OK", (what, answer)
    return answer[1]


def session(client, level, window, what):
    ok(client.login(user, password), "login")
    assert "COMPRESS=DEFLATE" in ok(client.capability(), "capability")[0].decode().split(), what
    ok(client._simple_command("COMPRESS", "DEFLATE"), "compress")
    layer = Compressed(client, level, window)
    text = "".join(f"line {number} of a text that is long\r\n" for number in range(20000))
    message = f"From: {user}\r\nSubject: {what}\r\n\r\n{text}".encode()
    ok(client.append("INBOX", None, None, message), "append")
    ok(client.select("INBOX"), "select")
    for _ in range(3):
        fetched = ok(client.uid("FETCH", "*", "(BODY.PEEK[])"), "fetch")
        assert fetched[0][1] == message, (what, len(fetched[0][1]), len(message))
    for _ in range(100):
        ok(client.noop(), "noop")
    try:
        client._simple_command("COMPRESS", "DEFLATE")
        raise AssertionError("compressed twice")
    except imaplib.IMAP4.error as error:
        assert "COMPRESSIONACTIVE" in str(error), error
    client.logout()
    share = layer.packed / layer.unpacked
    assert share < 0.4, share
    print(f"ok: {what}, level {level}, window 2^{window}: {layer.unpacked} octets came as {layer.packed}")


for level, window in [(1, 15), (9, 15), (6, 9)]:
    client = imaplib.IMAP4("127.0.0.1", imap)
    client.starttls(context)
    session(client, level, window, "STARTTLS")
    session(imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=context), level, window, "TLS")

# What is no stream ends the session.
client = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=context)
ok(client.login(user, password), "login")
ok(client._simple_command("COMPRESS", "DEFLATE"), "compress")
client.sock.sendall(b"\xff" * 10)
client.sock.settimeout(20)
try:
    assert client.sock.recv(1) == b""
except ssl.SSLEOFError:
    pass
print("ok: what is no stream ends the session")
