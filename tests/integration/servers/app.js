// The application of application.py for Node, and what only Node offers simply: 103, trailers, upgrades.
'use strict';
const http = require('http');
const TEXT = 'The quick brown fox jumps over the lazy dog.\n'.repeat(2800);

function gather(req, then) {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => then(Buffer.concat(parts)));
}

const server = http.createServer((req, res) => {
  switch (req.url.split('?')[0]) {
    case '/text':
      res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': TEXT.length });
      return res.end(TEXT);
    case '/stream':
      res.writeHead(200, { 'Content-Type': 'text/plain' });
      res.write('first\n');
      return setImmediate(() => { res.write('second\n'.repeat(2000)); res.end('third\n'); });
    case '/nothing': res.writeHead(204); return res.end();
    case '/not-modified': res.writeHead(304, { ETag: '"v1"' }); return res.end();
    case '/moved': res.writeHead(302, { Location: '/elsewhere?a=b', 'Content-Length': 0 }); return res.end();
    case '/cookies':
      res.writeHead(200, { 'Set-Cookie': ['a=1; Path=/', 'b=2; Path=/'], 'Content-Length': 2 });
      return res.end('ok');
    case '/failed': res.writeHead(500, { 'Content-Length': 6 }); return res.end('failed');
    case '/hints':
      res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      res.writeHead(200, { 'Content-Length': 2 });
      return res.end('ok');
    case '/trailers':
      return gather(req, () => {
        res.writeHead(200, { Trailer: 'X-Sum', 'X-Got': JSON.stringify(req.trailers), 'X-TE': req.headers.te || '' });
        res.write('part');
        res.addTrailers({ 'X-Sum': '42' });
        res.end();
      });
    case '/early':  // responds without having read the body
      res.writeHead(413, { 'Content-Length': 9, Connection: 'close' });
      return res.end('too large');
    case '/until-close':
      res.shouldKeepAlive = false;
      res.useChunkedEncodingByDefault = false;
      res.removeHeader('Transfer-Encoding');
      res.write('until ');
      return res.end('close');
    case '/events': {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write('data: 0\n\n');
      let count = 0;
      req.socket.on('close', () => clearInterval(timer));
      const timer = setInterval(() => {
        res.write(`data: ${++count}\n\n`);
        if (count === 5) { clearInterval(timer); res.end(); }
      }, 5);
      return undefined;
    }
    case '/not-switched': res.writeHead(200, { 'Content-Length': 12 }); return res.end('not switched');
    default:
      return gather(req, (body) => {
        res.writeHead(200, { 'X-Method': req.method, 'Content-Length': body.length });
        res.end(body);
      });
  }
});
server.on('checkExpectation', (req, res) => { res.writeHead(417, { 'Content-Length': 0 }); res.end(); });
server.on('checkContinue', (req, res) => {
  if (req.url === '/refused') {
    res.writeHead(403, { 'Content-Length': 2, Connection: 'close' });
    return res.end('no');
  }
  res.writeContinue();
  return server.emit('request', req, res);
});
server.on('upgrade', (req, socket, head) => {
  if (req.url === '/not-switched') {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nnot switched');
    return;
  }
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.write(head);
  socket.on('error', () => {});
  socket.pipe(socket);
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
