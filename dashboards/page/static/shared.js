// The worker that all tabs of one view share: it holds the stream, and passes on what comes.
import { follow } from "./stream.js";

const ports = new Set();
const latest = new Map();
let close = null;

function take(message) {
  latest.set(message.name, message);
  for (const port of ports) port.postMessage(message);
}

onconnect = (event) => {
  const [port] = event.ports;
  port.onmessage = ({ data }) => {
    if (data.bye) {
      ports.delete(port);
      if (ports.size === 0 && close) { close(); close = null; latest.clear(); }
      return;
    }
    ports.add(port);
    for (const message of latest.values()) port.postMessage(message);
    close ??= follow(data.truth, take);
  };
};
