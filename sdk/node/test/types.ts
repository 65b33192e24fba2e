// Checked by tsc, not run: the types that authors see are those of the code.
import * as code from "../lib/index.js";
import type * as types from "../index.js";

const same: Omit<typeof types, never> = code;
const names: keyof typeof types = "" as keyof typeof code;
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
    const statuses: types.SecretStatus[] = await host.listSecrets({ timeout: 1 });
    void statuses;
    // @ts-expect-error: an actor is given in the options
    await host.getSecret("KEY", "root");
  },
};
code.serve(plugin);
// @ts-expect-error: it declares nothing
code.serve({});
