"""HTTP/2 without I/O: frames, HPACK, header fields, windows and the budget for misuse (RFC 9113, RFC 7541)."""
