//! Messages that look like mail.

const HEADER: &str = "Return-Path: <joe.smith@client.example.com>\r\n\
Received: from client.example.com (client.example.com [192.0.2.17])\r\n\tby mx.example.org with ESMTPS id 4Xyz12345\r\n\
\tfor <ann.jones@mx.example.org>; Fri, 20 Nov 2026 09:12:33 +0000\r\n\
From: \"Joe Smith\" <joe.smith@client.example.com>\r\n\
To: Ann Jones <ann.jones@mx.example.org>, \"Team, the\" <team@mx.example.org>\r\n\
Cc: =?utf-8?q?J=C3=B6rg?= <joerg@mx.example.org>\r\n\
Subject: =?utf-8?q?Quarterly_report_f=C3=BCr?= all of us\r\n\
Date: Fri, 20 Nov 2026 10:12:31 +0100\r\n\
Message-ID: <20261120091231.12345@client.example.com>\r\n\
In-Reply-To: <20261119150000.999@mx.example.org>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"=-outer-17\"\r\n\r\n";

/// Two kilobytes: two texts and a small attachment.
pub fn small() -> Vec<u8> {
    message(3, 5)
}

/// Fifty kilobytes: the same with longer texts and a picture.
pub fn large() -> Vec<u8> {
    message(60, 540)
}

fn message(text_lines: usize, attachment_lines: usize) -> Vec<u8> {
    let plain = "Dear all, this is what the quarter came to, in words and in numbers.\r\n".repeat(text_lines);
    let html = "<p>Dear all, this is what the <b>quarter</b> came to.</p>\r\n".repeat(text_lines);
    let base64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhg\r\n".repeat(attachment_lines);
    format!(
        "{HEADER}This is a message in several parts.\r\n\
         --=-outer-17\r\nContent-Type: multipart/alternative; boundary=\"=-inner-42\"\r\n\r\n\
         --=-inner-42\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         {plain}--=-inner-42\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         {html}--=-inner-42--\r\n\
         --=-outer-17\r\nContent-Type: image/png; name=\"chart.png\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"chart.png\"\r\nContent-ID: <chart@client.example.com>\r\n\r\n\
         {base64}--=-outer-17--\r\n"
    )
    .into_bytes()
}
