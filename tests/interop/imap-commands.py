"""Says commands to an IMAP server that speaks on its standard input and output, and prints all that it answers. One command
after the other's answer: Dovecot puts pipelined ones together, and an EXPUNGE may then miss a STORE.

Usage: imap-commands.py SERVER COMMAND... - "\\r\\n" in a command is a line end; ends with status 1 at the first that is refused."""
import subprocess
import sys

imap = subprocess.Popen(sys.argv[1].split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for number, command in enumerate(sys.argv[2:] + ["LOGOUT"]):
    tag = b"t%d " % number
    imap.stdin.write(tag + command.replace("\\r\\n", "\r\n").encode() + b"\r\n")
    imap.stdin.flush()
    for line in imap.stdout:
        sys.stdout.write(line.decode())
        if line.startswith(tag):
            break
    if not line.startswith(tag + b"OK"):
        sys.exit("%s: %s" % (command, line.decode()))
imap.wait()
