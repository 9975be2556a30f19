#!/usr/bin/env python3
"""tap.py PORT SERVER-PORT FILE: stands between a client and a server on loopback and writes down what they say."""
import socket
import sys
import threading

port, server, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
out = open(path, "w", encoding="latin-1", buffering=1)
lock = threading.Lock()


def pass_on(source, target, who):
    rest = b""
    while True:
        octets = source.recv(65536)
        rest += octets
        *lines, rest = rest.split(b"\r\n")
        with lock:
            for line in lines:
                out.write(f"{who}: {line.decode('latin-1')}\n")
        if not octets:
            break
        target.sendall(octets)
    target.shutdown(socket.SHUT_WR)


listener = socket.create_server(("127.0.0.1", port))
while True:
    client, _ = listener.accept()
    there = socket.create_connection(("127.0.0.1", server))
    threading.Thread(target=pass_on, args=(client, there, "C"), daemon=True).start()
    threading.Thread(target=pass_on, args=(there, client, "S"), daemon=True).start()
