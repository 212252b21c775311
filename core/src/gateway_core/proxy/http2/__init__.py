"""What both sides of HTTP/2 have in common that does I/O: sending frames over one connection."""
