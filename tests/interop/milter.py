"""A mail server's side of the milter protocol, as far as it takes to show one message to a filter."""

import socket
import struct

# What we let a filter do, and that it gets all that there is, with header values as they stand behind the colon.
VERSION, ACTIONS, HEADER_VALUES_AS_THEY_ARE = 6, 0x1FF, 0x100000


class Filter:
    def __init__(self, address, ip, helo):
        self.socket = socket.create_connection(address, timeout=30)
        self.send(b"O", struct.pack("!III", VERSION, ACTIONS, HEADER_VALUES_AS_THEY_ARE))
        command, body = self.receive()
        assert command == b"O", command
        self.as_they_are = struct.unpack("!III", body[:12])[2] & HEADER_VALUES_AS_THEY_ARE
        family = b"6" if ":" in ip else b"4"
        self.ask(b"C", b"client\0" + family + struct.pack("!H", 25) + ip.encode() + b"\0")
        self.ask(b"H", helo.encode() + b"\0")

    def send(self, command, body=b""):
        self.socket.sendall(struct.pack("!I", len(body) + 1) + command + body)

    def exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.socket.recv(count - len(octets))
            if not more:
                raise RuntimeError("the filter hung up")
            octets += more
        return octets

    def receive(self):
        (length,) = struct.unpack("!I", self.exactly(4))
        packet = self.exactly(length)
        return packet[:1], packet[1:]

    def ask(self, command, body=b""):
        """Sends a command; the filter's reply, which has to be that it goes on or is content."""
        self.send(command, body)
        reply, text = self.receive()
        if reply not in (b"c", b"a"):
            raise RuntimeError(f"{command}: {reply} {text}")
        return reply

    def show(self, sender, message):
        """Shows a message: the fields that the filter adds, and how it ends (`c` goes on, `a` accepted, `r` refused, `y` refused
        with a reply, `t` later)."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = head.replace(b"\r\n ", b"\0 ").replace(b"\r\n\t", b"\0\t").split(b"\r\n")
        self.ask(b"M", f"<{sender}>".encode() + b"\0")
        self.ask(b"R", b"<you@peer.example>\0")
        done = False
        for field in fields:
            name, _, value = field.partition(b":")
            value = value.replace(b"\0", b"\n")
            if not self.as_they_are:
                value = value.removeprefix(b" ")
            done = done or self.ask(b"L", name + b"\0" + value + b"\0") == b"a"
        if done:
            return [], b"a"
        self.ask(b"N")
        for at in range(0, len(body), 65535):
            self.ask(b"B", body[at:at + 65535])
        self.send(b"E")
        added = []
        while True:
            reply, text = self.receive()
            if reply in (b"h", b"i"):
                name, value = text[4 if reply == b"i" else 0:].rstrip(b"\0").split(b"\0")
                added.append((name.decode(), value.decode()))
            elif reply in (b"c", b"a", b"r", b"y", b"t", b"d"):
                return added, reply

    def close(self):
        self.send(b"Q")
        self.socket.close()
