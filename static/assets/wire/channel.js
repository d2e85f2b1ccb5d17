/** A WebSocket with a heartbeat. Whatever ends it, it ends once, and is not used again. */

import { addressed } from "./access.js";
import { parse } from "./json.js";

/** @import { Json } from "./json.js" */

/** Some proxies never answer the handshake. */
const OPEN_MS = 5_000;
/** Proxies cut a quiet connection after 30 to 60 s. */
const PING_MS = 20_000;
const PONG_MS = 5_000;

/** @typedef {{opened: () => void, received: (frame: Json) => void, ended: () => void}} Listener `ended` once */
/** @typedef {{send: (message: Json) => void, ping: () => void, close: () => void}} Channel to send after `opened` */

/** @param {Listener} listener @returns {Channel} */
export function openChannel(listener) {
  const address = new URL(addressed("/ws"), location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  const listening = new AbortController();
  const { signal } = listening;
  let pulse = 0;
  let deadline = window.setTimeout(end, OPEN_MS);

  function end() {
    listening.abort();
    window.clearTimeout(deadline);
    window.clearInterval(pulse);
    socket.close();
    listener.ended();
  }

  /** Browsers drop what is sent while the socket closes. @param {Json} message */
  const send = (message) => socket.send(JSON.stringify(message));

  function ping() {
    send({ type: "ping" });
    window.clearTimeout(deadline);
    deadline = window.setTimeout(end, PONG_MS);
  }

  socket.addEventListener("open", () => {
    pulse = window.setInterval(ping, PING_MS);
    listener.opened();
    ping();
  }, { signal });
  socket.addEventListener("message", (event) => {
    window.clearTimeout(deadline);
    const frame = parse(event.data);
    if (frame) listener.received(frame);
  }, { signal });
  socket.addEventListener("close", end, { signal });
  return { send, ping, close: end };
}
