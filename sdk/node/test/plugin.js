// A plugin that misbehaves in the way that its first argument names.
import { serve, secret } from "../lib/index.js";

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
