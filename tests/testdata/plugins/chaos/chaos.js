#!/usr/bin/env node
// The plugin of main.go in Node.
import { secret, serve } from "datasette-secrets-plugin";
import { setTimeout as sleep } from "node:timers/promises";

const name = process.argv[2];

async function read(host) {
  try {
    return (await host.getSecret(name, { actorId: "chaos" })).reveal();
  } catch {
    return "";
  }
}

function obey(host, order) {
  switch (order.split(" ")[0]) {
    case "flood":
      for (let i = 0; i < 2000; i++) {
        process.stderr.write("flood ".repeat(200) + i + "\n");
        read(host);
      }
      break;
    case "hang":
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // the only thread
  }
}

serve({
  registerSecrets: () => [secret(name, { description: "What to do" })],

  async start(host, signal) {
    let done = "";
    for (let first = true; !signal.aborted; first = false) {
      const order = await read(host);
      if (order !== done && !first) obey(host, order);
      done = order;
      await sleep(100);
    }
  },
});
