"""The table of request framings that two readers could take in two ways. A fault that is found later is one more row.

Each row is the bytes of one request and what must become of it: refused, with nothing behind it read (RFC 9112 sections
2.2, 3, 5, 6, 7 and 11.2), or taken for the one request that it is, with this body. `test_wire_attacks.py` sends every
row with another request behind it, whole, cut in two and byte by byte.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Row(NamedTuple):
    """One request."""

    data: bytes
    body: bytes | None
    """What the upstream must get; None if the request must be refused."""


ROWS: Final[dict[str, Row]] = {}
REFUSE, OK = False, True
HOST: Final = b"Host: x\r\n"
LAST: Final = b"0\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def request(fields: bytes = b"", body: bytes = b"", line: bytes = b"POST /case HTTP/1.1", host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + fields + b"\r\n" + body


def get(fields: bytes = b"", line: bytes = b"GET /case HTTP/1.1", host: bytes = HOST) -> bytes:
    return request(fields, line=line, host=host)


def add(name: str, data: bytes, is_ok: bool, body: bytes | None = b"") -> None:
    assert name not in ROWS, name
    ROWS[name] = Row(data, (body or b"") if is_ok else None)


# fmt: off
# Transfer-Encoding spellings
for v in ([b"chunked ", b" chunked", b"\tchunked", b"Chunked", b"CHUNKED", b"chunked\t", b"   chunked   "]):
    add(f"te ok {v!r}", request(b"Transfer-Encoding:" + v + b"\r\n", b"3\r\nabc\r\n" + LAST), OK, b"abc")
for v in [b"", b" ", b"chunked,", b",chunked", b", chunked", b"chunked, ", b"chunked,chunked", b"chunked, chunked",
    b"chunked;q=1", b"chunked; foo", b"chunked\x00", b"\x00chunked", b"chunked\x0b", b"chunked\x0c", b"\xa0chunked",
    b"chunked\xa0", b"'chunked'", b'"chunked"', b"chunke", b"chunkedd", b"x chunked", b"chunked x", b"identity",
    b"identity, chunked", b"gzip", b"deflate, chunked", b"compress", b"chunked, identity", b"c\xc4\xa5unked",
    b"chun\xe2\x84\xaaed", b"chu\xc5\x8bked", b"chunked\r", b"chunked\n", b"\nchunked", b"\rchunked",
    b"chunked\r\n\t", b"\r\n chunked", b"\r\n\tchunked", b"chunked\r\n ,identity", b"%63hunked", b"chunked#",
    b"(comment) chunked", b"chunked/1", b"=chunked", b"\x7fchunked", b"\x1fchunked"]:
    add(f"te {v!r}", request(b"Transfer-Encoding: " + v + b"\r\n", LAST), REFUSE)
    add(f"te {v!r} CL", request(b"Content-Length: 5\r\nTransfer-Encoding: " + v + b"\r\n", LAST), REFUSE)
for n in [b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"\tTransfer-Encoding",
    b"Transfer-Encoding\x00", b"Transfer-Encoding\x0b", b"Transfer-Encoding\xa0", b"Transfer\x00-Encoding",
    b"Transfer Encoding", b"Transfer-Encoding\r", b"\rTransfer-Encoding", b"\x00Transfer-Encoding",
    b"Transfer-Encoding:", b":Transfer-Encoding", b"Transfer-Encoding;", b"Transfer-Encoding\"",
    b"Transfer-\xc4\xb1ncoding"]:
    if n == b"Transfer-Encoding:":  # "Transfer-Encoding:: chunked"
        add(f"ten {n!r}", request(n + b": chunked\r\n", LAST), REFUSE)
        continue
    add(f"ten {n!r}", request(b"A: b\r\n" + n + b": chunked\r\n", LAST), REFUSE)
    add(f"ten {n!r} CL", request(b"Content-Length: 5\r\n" + n + b": chunked\r\n", LAST), REFUSE)
# names that are other fields: framing must ignore and not forward disguised ones
for n in [b"Transfer_Encoding", b"transfer.encoding", b"TRANSFER_ENCODING", b"Transfer~Encoding"]:
    add(f"ten odd {n!r}", request(b"Content-Length: 5\r\n" + n + b": chunked\r\n", LAST), OK, LAST)
for n in [b"Content_Length", b"content.length", b"Content_length"]:
    add(f"cln odd {n!r}", request(CHUNKED + n + b": 3\r\n", LAST), OK, b"")
    add(f"cln odd2 {n!r}", request(b"Content-Length: 1\r\n" + n + b": 3\r\n", b"a"), OK, b"a")
for n in [b"TRANSFER-ENCODING", b"transfer-encoding", b"tRANSFER-eNCODING"]:
    add(f"ten ok {n!r}", request(n + b": chunked\r\n", b"1\r\na\r\n" + LAST), OK, b"a")
# both, in any order, with things between
for i, f in enumerate([b"Content-Length: 0\r\n" + CHUNKED, CHUNKED + b"Content-Length: 0\r\n",
    CHUNKED + b"Content-Length: 5\r\n",
    b"Content-Length: 5\r\n" + CHUNKED, b"content-length:5\r\nA: b\r\n" + CHUNKED, CHUNKED + b"Content-Length:\r\n",
    b"Content-Length: x\r\n" + CHUNKED, CHUNKED + CHUNKED, CHUNKED + b"A: b\r\ntransfer-encoding: identity\r\n",
    b"Transfer-Encoding: identity\r\n" + CHUNKED, b"Transfer-Encoding:\r\n" + CHUNKED,
    CHUNKED + b"Transfer-Encoding:\r\n",
        CHUNKED + b"Connection: transfer-encoding\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nConnection: content-length\r\n" + CHUNKED]):
    add(f"both {i}", request(f, LAST), REFUSE)
# Content-Length
for v in [b"", b" ", b"+5", b"-5", b"-0", b"5,", b",5", b"5,5", b"5, 5", b"5 5", b"0x5", b"5;", b"5a", b"a", b"5.0",
    b"5e0", b"\x005", b"5\x00", b"5\x0b", b"\xb2", b"\xef\xbc\x95", b"9" * 19, b"9" * 40, b"0" * 19 + b"5", b"5_0",
    b"1_0", b"\r\n 5", b"5\r\n 5", b"5\n", b"\n5", b"5\r", b"\"5\"", b"5\xa0", b"\xa05", b"18446744073709551621",
    b"4294967301x"]:
    add(f"cl {v!r}", request(b"Content-Length: " + v + b"\r\n", b"abcde"), REFUSE)
for v in [b"5", b" 5", b"5 ", b"\t5\t", b"05", b"000005"]:
    add(f"cl ok {v!r}", request(b"Content-Length:" + v + b"\r\n", b"abcde"), OK, b"abcde")
for a, b in [(b"5", b"5"), (b"5", b"4"), (b"5", b"0"), (b"0", b"5"), (b"", b"5"), (b"5", b"")]:
    add(f"cl2 {a!r} {b!r}", request(b"Content-Length: " + a + b"\r\nX: y\r\ncontent-length: " + b + b"\r\n",
        b"abcde"), REFUSE)
for n in [b"Content-Length ", b"Content-Length\t", b" Content-Length", b"Content-Length\x00", b"Content Length",
    b"Content-Length\xa0", b"Content-Length\x0b"]:
    add(f"cln {n!r}", request(b"A: b\r\n" + n + b": 5\r\n", b"abcde"), REFUSE)
# chunks
def chunks(name: str, body: bytes, is_ok: bool, got: bytes = b"", more: bytes = b"") -> None:
    add("chunk " + name, request(CHUNKED + more, body), is_ok, got)


for s in [b"3", b"03", b"003", b"0000000003", b"3;", b"3;a", b"3;a=b", b"3 ;a=b", b"3;a=\"b;c\"", b"3\t;x",
    b"3 ; a = b", b"3;" + b"e" * 4000]:
    chunks(f"ok {s[:20]!r}", s + b"\r\nabc\r\n" + LAST, OK, b"abc")
for s in [b"3 ", b"3\t", b" 3", b"\t3", b"0x3", b"0X3", b"+3", b"-3", b"3h", b"3L", b"3,3", b"3 3", b"\x003",
    b"3\x00", b"3\xa0", b"3\x0b", b"3\r", b"3\r\r", b"\r3", b"\n3", b"3\n", b"", b" ", b";a", b"3;\x00", b"3;\n",
    b"3;\r", b"3;a\nb", b"3;a\rb", b"3;\x7f",
    b"3;" + b"e" * 5000, b"3;" + b"e" * 100000, b"f" * 16, b"1" + b"0" * 15 + b"3", b"0" * 20 + b"3",
    b"8000000000000003", b"3_", b"\xef\xbc\x93", b"3\x85", b"3#", b"3:", b"3=", b"'3'"]:
    chunks(f"bad {s[:20]!r} {len(s)}", s + b"\r\nabc\r\n" + LAST, REFUSE)
for i, b in enumerate([b"3\nabc\n0\n\n",
    b"3\r\nabc\n" + LAST, b"3\nabc\r\n" + LAST, b"3\r\nabcd\r\n" + LAST, b"3\r\nab\r\n" + LAST, b"3\r\nabc" + LAST,
    b"3\r\nabc\r" + LAST, b"3\r\nabc\r\r\n" + LAST, b"3\r\nabc\n\r" + LAST, b"3\r\nabc\r\n\r\n" + LAST,
    b"3\r\n\r\nabc\r\n" + LAST, b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    b"3\r\nabc\r\n0\r\n: x\r\n\r\n", b"3\r\nabc\r\n0\r\nA : x\r\n\r\n", b"3\r\nabc\r\n0\r\n A: x\r\n\r\n",
    b"3\r\nabc\r\n0\r\nA: x\r\n b\r\n\r\n", b"3\r\nabc\r\n0\r\nA: x\nB: c\r\n\r\n",
    b"3\r\nabc\r\n0\r\nA: \x00\r\n\r\n", b"3\r\nabc\r\n0\r\nA: x\r\r\n\r\n", b"3\r\nabc\r\n0\r\n\nA: x\r\n\r\n",
    b"3\r\nabc\r\n0\n\r\n", b"3\r\nabc\r\n0\r\n\n", b"3\r\nabc\r\n0\r\n\rX",
    b"3\r\nabc\r\n0\r\nA: " + b"x" * 20000 + b"\r\n\r\n", b"3\r\nabc\r\n0\r\n" + b"A: x\r\n" * 5000 + b"\r\n",
    b"3\r\nabc\r\n0 \r\n\r\n", b"3\r\nabc\r\n-0\r\n\r\n", b"3\r\nabc\r\n0x0\r\n\r\n"]):
    chunks(f"bad framing {i}", b, REFUSE)
chunks("0 ext ok", b"3\r\nabc\r\n0;x=y\r\n\r\n", OK, b"abc")
chunks("000 ok", b"3\r\nabc\r\n000\r\n\r\n", OK, b"abc")
chunks("upper ok", b"A\r\nabcdefghij\r\n" + LAST, OK, b"abcdefghij")
chunks("payload is chunk-like", b"5\r\n0\r\n\r\n\r\n" + LAST, OK, b"0\r\n\r\n")
for f in [b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Host: evil", b"Connection: close", b"Trailer: a",
    b"Authorization: Bearer x", b"X-Forwarded-For: 1.1.1.1", b"Content_Length: 3", b"Transfer_Encoding: chunked",
    b"TE: trailers", b"Cookie: a=b", b"X-Real-IP: 1.1.1.1", b"X_Forwarded_For: 9.9.9.9", b"Expect: 100-continue",
    b"Upgrade: websocket", b"Content-Encoding: gzip", b"Content-Type: x", b"X-Fine: yes"]:
    chunks(f"trailer {f!r}",
        b"3\r\nabc\r\n0\r\n" + f + b"\r\n\r\n", OK, b"abc",
        more=b"TE: trailers\r\nTrailer: " + f.split(b":")[0] + b"\r\n")
# lines
for line in ([b"GET  /case HTTP/1.1", b"GET /case  HTTP/1.1", b"GET /case HTTP/1.1 ", b" GET /case HTTP/1.1",
    b"GET /case HTTP/1.1\t", b"GET\t/case\tHTTP/1.1", b"GET /case\tHTTP/1.1", b"GET\x0b/case HTTP/1.1",
    b"GET /ca se HTTP/1.1", b"GET /case", b"GET", b"get /case HTTP/1.1", b"Get /case HTTP/1.1",
    b"G\x00T /case HTTP/1.1", b"G(T /case HTTP/1.1", b"GET /case\x00 HTTP/1.1", b"GET /case HTTP/1.1\x00",
    b"GET /case http/1.1", b"GET /case HTTP/1", b"GET /case HTTP/1.", b"GET /case HTTP/.1", b"GET /case HTTP/01.1",
    b"GET /case HTTP/1.01", b"GET /case HTTP/1.10", b"GET /case HTTP/11", b"GET /case HTTP/1,1",
    b"GET /case HTTP/+1.1", b"GET /case HTTP 1.1", b"GET /case HTTPS/1.1", b"GET /case XHTTP/1.1",
    b"GET /case HTTP/1.\xb2", b"GET /case HTTP/1.1\r", b"GET /case\r HTTP/1.1", b"GET /case HTTP/1.1\n",
    b"GET /case\n HTTP/1.1", b"\x00GET /case HTTP/1.1", b"\xef\xbb\xbfGET /case HTTP/1.1", b"\rGET /case HTTP/1.1",
    b"\nGET /case HTTP/1.1", b"\r\r\nGET /case HTTP/1.1", b"\n\r\nGET /case HTTP/1.1", b"GET case HTTP/1.1",
    b"GET ?case HTTP/1.1", b"GET //[::1 HTTP/1.1x", b"GET /case#f HTTP/1.1", b"GET * HTTP/1.1",
    b"GET /c\xe9 HTTP/1.1", b"GET /c\x7f HTTP/1.1", b"GET http:/case HTTP/1.1", b"GET http:///case HTTP/1.1",
    b"GET http://u@x/case HTTP/1.1", b"GET http://u:p@x/case HTTP/1.1", b"GET http://x:99999/case HTTP/1.1",
    b"GET http://x:0/case HTTP/1.1", b"GET http://x:/ca\\se HTTP/1.1", b"GET ftp://x/case HTTP/1.1",
    b"GET javascript:alert(1) HTTP/1.1", b"GET http://x, y/case HTTP/1.1", b"GET http://[::1/case HTTP/1.1",
    b"GET http://x\\y/case HTTP/1.1", b"GET http://x%00/case HTTP/1.1", b"GET http://x#/case HTTP/1.1",
    b"GET file:///etc/passwd HTTP/1.1", b"CONNECT x:80 HTTP/1.1", b"CONNECT /case HTTP/1.1",
    b"CONNECT http://x/ HTTP/1.1", b"TRACE /case HTTP/1.1", b"PRI * HTTP/2.0", b"PRI * HTTP/1.1",
    b"GET /case HTTP/0.9", b"GET /case HTTP/1.2", b"GET /case HTTP/1.9", b"GET /case HTTP/2.0",
    b"GET /case HTTP/3.0", b"GET /case HTTP/9.9", b"GET /case HTTP/0.0", b"HTTP/1.1 200 OK", b"1GET", b": x",
    b"GET /a/../case HTTP/1.1", b"GET /case%00 HTTP/1.1", b"GET /case%0d%0aX:%20y HTTP/1.1",
    b"GET /case%2f HTTP/1.1", b"OPTIONS  * HTTP/1.1", b"OPTIONS *x HTTP/1.1", b"HEAD * HTTP/1.1",
    b"POST * HTTP/1.1"]):
    add(f"line {line!r}", get(line=line), REFUSE)
for line in [b"GET /case HTTP/1.1", b"ODD /case HTTP/1.1", b"X-Y_Z /case HTTP/1.1", b"GET http://x/case HTTP/1.1",
    b"GET HTTP://x/case HTTP/1.1", b"GET https://x/case HTTP/1.1", b"GET http://x:8080/case HTTP/1.1",
    b"GET http://[::1]:80/case HTTP/1.1", b"GET /case?a=b%00%0d%0a HTTP/1.1", b"GET /case?\" HTTP/1.1",
    b"\r\nGET /case HTTP/1.1", b"\r\n\r\n\r\nGET /case HTTP/1.1"]:
    add(f"line ok {line!r}", get(line=line), OK, b"")
# Host
for h in [b"", b"Host: \r\n", b"Host:\r\n", b"Host: x\r\nHost: x\r\n", b"Host: x\r\nhost: y\r\n", b"Host: x, y\r\n",
    b"Host: x y\r\n", b"Host: u@x\r\n", b"Host: x/\r\n", b"Host: x/../y\r\n", b"Host: x?y\r\n", b"Host: x#\r\n",
    b"Host: x\\y\r\n", b"Host: x:y\r\n", b"Host: x:80:80\r\n", b"Host: x:-1\r\n", b"Host: x:65536\r\n",
    b"Host: x:0\r\n", b"Host: x:+80\r\n", b"Host: x: 80\r\n", b"Host: x :80\r\n", b"Host: :80\r\n",
    b"Host: [::1\r\n", b"Host: ::1\r\n", b"Host: [::1]x\r\n", b"Host: [::1%25eth0]\r\n", b"Host: [v1.a]\r\n",
    b"Host: [::g]\r\n", b"Host: []\r\n", b"Host: .x\r\n", b"Host: x..y\r\n", b"Host: .\r\n", b"Host: a%zz\r\n",
    b"Host: a%2\r\n", b"Host: a%00\r\n", b"Host: a%2f\r\n", b"Host: a%40b\r\n", b"Host: a\x00\r\n",
    b"Host: a\x0b\r\n", b"Host: a\xe9\r\n", b"Host: a\xa0\r\n", b"Host: \"x\"\r\n", b"Host: <x>\r\n",
    b"Host: a|b\r\n", b"Host: a^b\r\n", b"Host: {x}\r\n", b"Host: " + b"a" * 300 + b"\r\n", b"Host : x\r\n",
    b" Host: x\r\n", b"Host\x00: x\r\n", b"Host: x\r\n y\r\n", b"Host:\r\n x\r\n", b"A: b\r\n", b"Host_: x\r\n",
    b"Host: http://x\r\n", b"Host: x\n\r\n", b"\nHost: x\r\n", b"Host: x\r\r\n"]:
    add(f"host {h[:40]!r}", get(host=h), REFUSE)
for h in [b"Host: x:80\r\n", b"Host: X.Y.\r\n", b"host:x\r\n", b"HOST:\t x \t\r\n", b"Host: [::1]\r\n",
    b"Host: [2001:DB8::1]:8443\r\n", b"Host: 1.2.3.4\r\n", b"Host: x:\r\n", b"Host: a_b\r\n",
    b"Host: x\r\nX-Host_: y\r\n", b"Host: x\r\nX_Host: y\r\n"]:
    add(f"host ok {h!r}", get(host=h), OK, b"")
# fields
for f in [b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b"A:\r\n b\r\n", b"A: b\nC: d\r\n", b"A: b\rC: d\r\n",
    b"A: b\r\r\n", b"A: \x00\r\n", b"A: b\x01\r\n", b"A: b\x7f\r\n", b"A: b\x0b\r\n", b"A : b\r\n", b"A\t: b\r\n",
    b" A: b\r\n", b"A\r\n", b"A\n: b\r\n", b": b\r\n", b":\r\n", b"A(: b\r\n", b"A/: b\r\n", b"A@b: c\r\n",
    b"A[]: b\r\n", b"A\xe9: b\r\n", b"A{}: b\r\n", b"A\"b\": c\r\n", b"A\\: b\r\n", b"A B: c\r\n", b"A=b\r\n",
    b"\x00: b\r\n", b"A\x00: b\r\n", b"\r: b\r\n", b"GET /x HTTP/1.1\r\n", b"\x80: b\r\n"]:
    add(f"field {f!r}", get(f), REFUSE)
for f in [b"A:\r\n", b"A:b\r\n", b"A: \t b \t\r\n", b"A: \xff\xfe\r\n", b"!#$%&'*+-.^_`|~: b\r\n",
    b"A: b\r\nA: c\r\n", b"User-Agent: a\r\nUser-Agent: b\r\n", b"Cookie: a\r\nCookie: b\r\n",
    b"Connection: transfer-encoding, content-length, host, x\r\n",
    b"Connection: keep-alive\r\nConnection: foo\r\nFoo: bar\r\n", b"Connection: " + b"a," * 2000 + b"b\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n", b"Expect: foo\r\n",
    b"Max-Forwards: 0\r\n", b"Max-Forwards: x\r\n", b"Proxy-Connection: close\r\n", b"Keep-Alive: timeout=1\r\n",
    b"Proxy: http://evil\r\n", b"A: b: c\r\n"]:
    add(f"field ok {f[:60]!r}", get(f), OK, b"")
# body with GET etc, upgrade with body
add("get with length", get(b"Content-Length: 3\r\n") + b"abc", OK, b"abc")
add("get with chunks", get(CHUNKED) + b"3\r\nabc\r\n" + LAST, OK, b"abc")
add("delete chunked", get(CHUNKED, line=b"DELETE /case HTTP/1.1") + b"3\r\nabc\r\n" + LAST, OK, b"abc")
UP = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
add("upgrade with length", request(UP + b"Content-Length: 3\r\n", b"abc"), OK, b"abc")
add("upgrade with chunks", request(UP + CHUNKED, b"3\r\nabc\r\n" + LAST), OK, b"abc")
add("upgrade h2c with body", request(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AA\r\nContent-Length: 3\r\n",
    b"abc"), OK, b"abc")
add("upgrade no body", get(UP), OK, b"")
add("expect with body", request(b"Expect: 100-continue\r\nContent-Length: 3\r\n", b"abc"), OK, b"abc")
add("expect with chunks", request(b"Expect: 100-Continue\r\n" + CHUNKED, b"3\r\nabc\r\n" + LAST), OK, b"abc")
# HTTP/1.0
L0 = b"POST /case HTTP/1.0"
add("1.0 te", request(CHUNKED, LAST, line=L0), REFUSE)
add("1.0 te cl", request(CHUNKED + b"Content-Length: 5\r\n", LAST, line=L0), REFUSE)
add("1.0 cl2", request(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"abcde", line=L0), REFUSE)
add("1.0 two hosts", request(b"Host: y\r\n", line=L0), REFUSE)
add("1.0 cl keep", request(b"Content-Length: 5\r\nConnection: keep-alive\r\n", b"abcde", line=L0), OK, b"abcde")
add("1.0 nohost keep", request(b"Content-Length: 5\r\nConnection: keep-alive\r\n",
    b"abcde", line=L0, host=b""), OK, b"abcde")
add("preface", b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", REFUSE)
add("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 50 + b"\r\n\r\n", REFUSE)
add("proxy v1", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get(), REFUSE)
add("proxy v2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x01" * 12 + get(), REFUSE)
