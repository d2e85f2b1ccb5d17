/** A WebSocket with a heartbeat. Whatever ends it, it ends once, and is not used again. */

import { parse } from "./json.js";

/** @import { Json } from "./json.js" */

/** Some proxies never answer the handshake. */
const OPEN_MS = 5_000;
/** Proxies cut a quiet connection after 30 to 60 s. */
const PING_MS = 20_000;
const PONG_MS = 5_000;

/** @typedef {{opened: () => void, received: (frame: Json) => void, ended: () => void}} Listener `ended` once */

/** @param {Listener} listener @returns {{send: (message: Json) => void, ping: () => void}} */
export function openChannel(listener) {
  const address = new URL("/ws", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  let over = false;
  let pulse = 0;
  let deadline = window.setTimeout(end, OPEN_MS);

  function end() {
    if (over) return;
    over = true;
    window.clearTimeout(deadline);
    window.clearInterval(pulse);
    socket.close();
    listener.ended();
  }

  /** @param {Json} message */
  function send(message) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function ping() {
    if (over || socket.readyState !== WebSocket.OPEN) return;
    send({ type: "ping" });
    window.clearTimeout(deadline);
    deadline = window.setTimeout(end, PONG_MS);
  }

  socket.addEventListener("open", () => {
    if (over) return;
    pulse = window.setInterval(ping, PING_MS);
    listener.opened();
    ping();
  });
  socket.addEventListener("message", (event) => {
    if (over) return;
    window.clearTimeout(deadline);
    const frame = parse(event.data);
    if (frame) listener.received(frame);
  });
  socket.addEventListener("close", end);
  return { send, ping };
}
