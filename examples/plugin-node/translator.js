// A whole plugin: it declares the key of a translation service, and takes every
// new key into use as soon as there is one.
import { NotSetError, secret } from "datasette-secrets-plugin";

export const translator = {
  registerSecrets() {
    return [
      secret("TRANSLATE_API_KEY", {
        description: "Key of the translation service",
        obtainUrl: "https://example.com/keys",
        obtainLabel: "Get a key",
      }),
    ];
  },

  async start(host) {
    for await (const _ of host.watch(["TRANSLATE_API_KEY"])) {
      try {
        const key = await host.getSecret("TRANSLATE_API_KEY");
        host.logger.info("ready to translate", { key_length: key.byteLength });
      } catch (error) {
        if (!(error instanceof NotSetError)) throw error;
        host.logger.info("waiting for TRANSLATE_API_KEY");
      }
    }
  },
};
