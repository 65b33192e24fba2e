// A plugin that misbehaves in the way that its first argument names.
import { NotSetError, currentActor, currentHost, secret, serve } from "../lib/index.js";

/** @import { Host, Plugin } from "../index.js" */

const declared = [
  secret("KEY", {
    description: "A key",
    obtainUrl: "https://example.com/",
    obtainLabel: "Get one",
    pattern: "sk-.+",
    redact: { prefix: 3 },
  }),
];

/** @type {Record<string, Plugin>} */
const plugins = {
  quiet: { registerSecrets: () => declared },
  asks: {
    version: "1.2.3",
    registerSecrets: async () => declared,
    async start({ getSecret, canAccessSecret, listSecrets, config, logger }) {
      const key = await getSecret("KEY", { actorId: "root" });
      const error = await getSecret("OTHER").catch((/** @type {unknown} */ error) => error);
      const late = await getSecret("SLOW", { timeout: 50 }).catch((/** @type {unknown} */ error) => error);
      const gaveUp = await getSecret("SLOW", { signal: AbortSignal.timeout(50) }).catch(
        (/** @type {unknown} */ error) => error,
      );
      logger.info("asked", {
        key,
        length: key.byteLength,
        error,
        late,
        gaveUp,
        may: await canAccessSecret("KEY"),
        list: await listSecrets(),
        config: await config(),
      });
    },
  },
  works: {
    registerSecrets: () => declared,
    async start({ logger }, signal) {
      logger.info("working");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      logger.info("stopped");
    },
  },
  prints: {
    registerSecrets: () => declared,
    start() {
      console.log("printed");
      process.stdout.write("written\n");
    },
  },
  rejects: {
    registerSecrets: () => declared,
    async start() {
      throw new Error("no weather");
    },
  },
  "rejects if the host does": {
    registerSecrets: () => declared,
    start: (host) => host.getSecret("KEY"),
  },
  throws: {
    registerSecrets() {
      throw new Error("hunter2 is broken");
    },
  },
  everything: {
    registerSecrets: () => declared,
    testSecret: (name, value) => ({ ok: value.reveal() === "good", message: `${name} is ${value}` }),
    async menuLinks(actor) {
      const error = await currentHost().getSecret("KEY").catch((/** @type {unknown} */ error) => error);
      const same = JSON.stringify(actor) === JSON.stringify(currentActor());
      return [{ href: "/", label: `${actor?.id} ${same} ${error instanceof NotSetError}` }];
    },
    actorsFromIDs: (ids) => (ids.includes("1") ? { 1: { id: "1", name: "Ann" }, 2: null } : new Map()),
    actorFromRequest: async ({ method, path, headers }) =>
      headers["x-user"] ? { id: headers["x-user"], via: `${method} ${path}` } : null,
    async serveHTTP(request, response) {
      if (request.url === "/fails") {
        throw new Error("no weather");
      }
      if (request.url === "/late") {
        response.write("half");
        throw new Error("no more weather");
      }
      /** @type {Buffer[]} */
      const body = [];
      await new Promise((resolve) => {
        // Its own listeners, as many frameworks have them.
        const incoming = /** @type {import("node:http").IncomingMessage} */ (request);
        incoming.on("data", (chunk) => body.push(chunk)).on("end", async () => {
          await currentHost().canAccessSecret("KEY");
          response.setHeader("content-type", "application/json");
          const { method, url, headers, rawHeaders } = incoming;
          const text = Buffer.concat(body).toString();
          response.end(JSON.stringify({ method, url, headers, rawHeaders, text, actor: currentActor() }));
          resolve(undefined);
        });
      });
    },
  },
  slow: {
    registerSecrets: () => declared,
    testSecret: (_name, _value, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("the host gave up")))),
  },
  wrong: {
    registerSecrets: () => declared,
    testSecret: () => /** @type {any} */ (true),
    menuLinks: () => /** @type {any} */ (["/"]),
    actorsFromIDs: () => /** @type {any} */ ({ 1: "Ann" }),
    actorFromRequest: () => /** @type {any} */ ("ann"),
    serveHTTP: /** @type {any} */ (undefined),
  },
  confused: { registerSecrets: () => /** @type {any} */ ({ name: "KEY" }) },
  stubborn: {
    registerSecrets: () => declared,
    start({ logger }) {
      logger.info("working");
      return new Promise(() => {});
    },
  },
};

serve(plugins[process.argv[2]]);
