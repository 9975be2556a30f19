"""Python's smtplib against the server and smtp-sink; see 23-smtplib.sh."""
import smtplib
import ssl
import sys
from email.message import EmailMessage
from email.policy import SMTPUTF8

smtp, submission, submissions, lmtp, sink, user, password, certificate = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)


def message(subject, sender):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, user, subject
    mail.set_content("Grüße\n.\n..two\n")
    return mail


with smtplib.SMTP("localhost", int(smtp)) as client:
    client.starttls(context=context)
    client.ehlo()
    assert client.has_extn("smtputf8") and client.has_extn("8bitmime") and client.has_extn("chunking"), client.esmtp_features
    assert not client.has_extn("dsn"), "nobody makes notices there yet"
    mail = message("Grüße, 世界", "Jörg <jörg@bücher.example>")
    assert client.send_message(mail, "jörg@bücher.example", [user]) == {}
    # The same without the parameter is refused, and the session goes on.
    for sender, options in [("jörg@bücher.example", []), ("a@elsewhere.example", ["NOTIFY=NEVER"])]:
        code, text = client.docmd("MAIL", " ".join(["FROM:<%s>" % sender] + options)) if sender.isascii() else (
            client.send(("MAIL FROM:<%s>\r\n" % sender).encode()) or client.getreply())
        assert code // 100 == 5, (sender, options, code, text)
    assert client.mail("a@elsewhere.example", ["SIZE=99999999999"])[0] == 552
    assert client.sendmail("a@elsewhere.example", [user], b"Subject: plain\r\n\r\nx\r\n") == {}
    refused = client.sendmail("a@elsewhere.example", [user, "nobody@localhost"], b"Subject: one of two\r\n\r\nx\r\n")
    assert refused["nobody@localhost"][0] == 550 and list(refused) == ["nobody@localhost"], refused
print("ok: SMTPUTF8, refusals, one of two recipients")

with smtplib.SMTP_SSL("localhost", int(submissions), context=context) as client:
    client.login(user, password)
    assert client.send_message(message("submitted", user), user, [user]) == {}
with smtplib.SMTP("localhost", int(submission)) as client:
    client.starttls(context=context)
    try:
        client.login(user, "wrong")
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
print("ok: logins")

with smtplib.LMTP(lmtp) as client:
    refused = client.sendmail("a@elsewhere.example", [user, "nobody@localhost"], b"Subject: LMTP\r\n\r\nx\r\n")
    assert list(refused) == ["nobody@localhost"], refused
print("ok: LMTP, one of two recipients")

with smtplib.SMTP("localhost", int(sink)) as client:
    client.ehlo()
    assert client.mail("a@elsewhere.example", ["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B314159"])[0] == 250
    assert client.rcpt("b@sink.example", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Bob+2Btag@sink.example"])[0] == 250
    assert client.rcpt("c@sink.example", ["NOTIFY=NEVER"])[0] == 250
    for bad in ["NOTIFY=NEVER,SUCCESS", "NOTIFY=SOMETIMES", "ORCPT=rfc822;a+0D+0A", "ORCPT=rfc822;a+2b", "NOTIFY=DELAY NOTIFY=DELAY"]:
        code, text = client.rcpt("d@sink.example", [bad])
        assert code == 501, (bad, code, text)
    assert client.data("Subject: dsn\r\n\r\nGrüße\r\n".encode())[0] == 250
    client.command_encoding = "utf-8"
    assert client.mail("jörg@bücher.example", ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
    assert client.rcpt("用户@例子.example")[0] == 250
    assert client.data("Subject: Grüße\r\n\r\nx\r\n".encode())[0] == 250
print("ok: DSN and SMTPUTF8 to smtp-sink")
