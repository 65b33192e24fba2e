// Checked by tsc, not run: the types that authors see are those of the code.
import http from "node:http";

import * as code from "../lib/index.js";
import * as testingCode from "../lib/testing/index.js";
import type * as types from "../index.js";
import type * as testing from "../testing.js";

const same: Omit<typeof types, never> = code;
const names: keyof typeof types = "" as keyof typeof code;
const alsoSame: typeof testing = testingCode;
void alsoSame;
void same;
void names;

const plugin: types.Plugin = {
  registerSecrets: () => [
    code.secret("KEY"),
    { name: "OTHER", description: "d", pattern: ".+", multiline: true, redact: { prefix: 1 } },
  ],
  async start(host, signal) {
    const value: types.Value = await host.getSecret("KEY", { actorId: "root", signal });
    const text: string = value.reveal();
    host.logger.info("length", { length: text.length });
    const version: number = value.version;
    void version;
    for await (const { kind, name } of host.watch(["KEY"], { signal })) {
      const known: "opened" | "updated" | "revoked" | "resync" = kind;
      host.logger.info(known, { name });
    }
    const statuses: types.SecretStatus[] = await host.listSecrets({ timeout: 1 });
    void statuses;
    // @ts-expect-error: an actor is given in the options
    await host.getSecret("KEY", "root");
  },
};
code.serve(plugin);
code.serve({
  registerSecrets: () => [],
  testSecret: async (name, value, signal) => ({ ok: !signal.aborted && value.byteLength > name.length }),
  menuLinks: (actor) => (actor?.id ? [{ href: "/", label: String(actor.id) }] : []),
  actorsFromIDs: (ids) => new Map(ids.map((id) => [id, { id }])),
  actorFromRequest: ({ headers }) => (headers["x-user"] ? { id: headers["x-user"] } : null),
  serveHTTP: http.createServer((_, response) => response.end(code.currentActor()?.id)).listeners("request")[0] as (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ) => void,
});
code.serve({
  registerSecrets: () => [],
  // @ts-expect-error: it says nothing about the value
  testSecret: () => ({}),
});
// @ts-expect-error: it declares nothing
code.serve({});
