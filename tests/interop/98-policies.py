"""The far side of 98-policies.sh: mail exchangers with STARTTLS, a policy host of MTA-STS, and who hands mail in.

    98-policies.py mx FOLDER IP CERTIFICATE KEY ...   exchangers on port 25; what comes is a file in FOLDER; IP+ offers REQUIRETLS
    98-policies.py web IP CERTIFICATE KEY             policies of every domain, by HTTPS on port 443
    98-policies.py take FOLDER IP CERTIFICATE KEY     takes reports by HTTPS POST: a file in FOLDER
    98-policies.py send SERVER FROM TO                one message
    98-policies.py require SERVER CA FROM TO          one message with REQUIRETLS, from a user
    98-policies.py report FILE DAY                    the report in a mail says what it has to of bad-dane.example
    98-policies.py posted FILE                        the same for one that was posted
"""

import email
import email.policy
import gzip
import http.server
import json
import os
import smtplib
import socket
import ssl
import sys
import threading


def context(certificate, key):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


def converse(connection, folder, ip, tls):
    stream = connection.makefile("rwb")
    ip, requires = ip.removesuffix("+"), ip.endswith("+")
    encrypted, recipients, asked = False, [], ""

    def say(line):
        stream.write(line.encode() + b"\r\n")
        stream.flush()

    say("220 mx")
    while line := stream.readline():
        verb = line.split()[0].upper() if line.split() else b""
        if verb in (b"EHLO", b"HELO"):
            if not encrypted and verb == b"EHLO":
                say("250-mx")
                say("250-STARTTLS")
            elif requires:
                # The first line names the server.
                say("250-mx")
                say("250-REQUIRETLS")
            say("250 mx")
        elif verb == b"STARTTLS":
            say("220 go")
            connection = tls.wrap_socket(connection, server_side=True)
            stream, encrypted, recipients = connection.makefile("rwb"), True, []
        elif verb == b"MAIL":
            asked = " REQUIRETLS" if b" REQUIRETLS" in line.upper() else ""
            say("250 ok")
        elif verb == b"RCPT":
            recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            say("250 ok")
        elif verb == b"DATA":
            say("354 go")
            message = []
            while (line := stream.readline()) not in (b".\r\n", b""):
                message.append(line.removeprefix(b"."))
            for to in recipients:
                with open(os.path.join(folder, f"{to}.eml"), "wb") as file:
                    file.writelines(message)
                with open(os.path.join(folder, to), "w") as file:
                    file.write(f"{ip} {'TLS' if encrypted else 'clear'}{asked}\n")
            say("250 ok")
        elif verb == b"QUIT":
            say("221 bye")
            return
        else:
            say("250 ok")


def exchange(folder, ip, certificate, key):
    tls = context(certificate, key)
    listener = socket.create_server((ip.removesuffix("+"), 25))

    def one(connection):
        try:
            converse(connection, folder, ip, tls)
        except OSError as error:
            print(ip, error, file=sys.stderr, flush=True)
        finally:
            connection.close()

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


class Policies(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        domain = self.headers["Host"].removeprefix("mta-sts.")
        body = f"version: STSv1\r\nmode: enforce\r\nmx: mx.{domain}\r\nmax_age: 604800\r\n".encode()
        if self.path != "/.well-known/mta-sts.txt":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def take(folder, ip, certificate, key):
    class Reports(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if (self.path, self.headers["Content-Type"]) != ("/v1?from=near", "application/tlsrpt+gzip"):
                return self.send_error(404)
            with open(os.path.join(folder, "posted.part"), "wb") as file:
                file.write(content)
            os.rename(os.path.join(folder, "posted.part"), os.path.join(folder, "posted.json.gz"))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = http.server.ThreadingHTTPServer((ip, 443), Reports)
    server.socket = context(certificate, key).wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def judge(path, day):
    with open(path, "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt", mail["Content-Type"]
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("bad-dane.example", "near.example")
    assert mail["TLS-Required"] == "No" and "d=near.example" in mail["DKIM-Signature"].replace(" ", "")
    people, part = mail.iter_parts()
    assert part.get_content_type() == "application/tlsrpt+gzip", part.get_content_type()
    begin, end = day * 86400, day * 86400 + 86399
    assert part.get_filename() == f"near.example!bad-dane.example!{begin}!{end}.json.gz", part.get_filename()
    judge_report(part.get_content())


def judge_report(content):
    report = json.loads(gzip.decompress(content))
    assert report["organization-name"] == "Near" and report["contact-info"] == "tls@near.example", report
    [policy] = report["policies"]
    assert policy["policy"]["policy-type"] == "tlsa" and policy["policy"]["policy-domain"] == "bad-dane.example"
    assert policy["summary"]["total-successful-session-count"] == 0, policy
    [failure] = policy["failure-details"]
    assert policy["summary"]["total-failure-session-count"] == failure["failed-session-count"] >= 1, policy
    assert failure["result-type"] == "validation-failure" and "TLSA" in failure["failure-reason-code"], failure
    assert failure["sending-mta-ip"].startswith("192.0.2.") or failure["sending-mta-ip"] == "127.0.0.1", failure
    assert (failure["receiving-ip"], failure["receiving-mx-helo"]) == ("192.0.2.22", "mx"), failure
    assert failure["receiving-mx-hostname"] == "mx.bad-dane.example", failure


def main():
    what, *rest = sys.argv[1:]
    if what == "mx":
        folder, *hosts = rest
        threads = [
            threading.Thread(target=exchange, args=(folder, *hosts[at : at + 3])) for at in range(0, len(hosts), 3)
        ]
        for thread in threads:
            thread.start()
    elif what == "web":
        ip, certificate, key = rest
        server = http.server.ThreadingHTTPServer((ip, 443), Policies)
        server.socket = context(certificate, key).wrap_socket(server.socket, server_side=True)
        server.serve_forever()
    elif what == "take":
        take(*rest)
    elif what == "report":
        judge(rest[0], int(rest[1]))
    elif what == "posted":
        with open(rest[0], "rb") as file:
            judge_report(file.read())
    elif what == "require":
        server, authority, sender, to = rest
        trusting = ssl.create_default_context(cafile=authority)
        # It is asked by its address, which is not in its certificate.
        trusting.check_hostname = False
        with smtplib.SMTP(server, 587, local_hostname="client.example") as client:
            client.starttls(context=trusting)
            client.login(sender, "x")
            assert client.has_extn("requiretls"), client.esmtp_features
            message = f"From: {sender}\r\nTo: {to}\r\nSubject: hello\r\n\r\nhello\r\n"
            client.sendmail(sender, [to], message, mail_options=["REQUIRETLS"])
    else:
        server, sender, to = rest
        with smtplib.SMTP(server, 25, local_hostname="client.example") as client:
            client.sendmail(sender, [to], f"From: {sender}\r\nTo: {to}\r\nSubject: hello\r\n\r\nhello\r\n")


main()
