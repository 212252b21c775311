"""HTTP/1 on the wire, as pure functions of bytes: heads, framing, chunks, forwarding fields (RFC 9110, RFC 9112)."""
