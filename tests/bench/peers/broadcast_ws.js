// `ws` broadcasts so many bytes to every client at each line on stdin.
'use strict';
const http = require('node:http');
const readline = require('node:readline');
const { WebSocketServer, WebSocket } = require('ws');

const payload = 'x'.repeat(Number(process.argv[2]));
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
readline.createInterface({ input: process.stdin }).on('line', () => {
  for (const socket of sockets.clients) {
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(payload);
    }
  }
});
