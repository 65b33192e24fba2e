import grpc from "@grpc/grpc-js";

import { Secrets } from "./batch.js";
import { Cache } from "./cache.js";
import { claim } from "./context.js";
import { SecretsError, fromReason, fromStatus } from "./errors.js";
import { authority, hostCallTimeout, hostServices, limits } from "./protocol.js";
import { Value } from "./value.js";
import { watch } from "./watch.js";

/** @import { ActorOptions, CallOptions, Host, Logger } from "../index.js" */
/** @import { Identity } from "./bootstrap.js" */
/** @import { Mark } from "./cache.js" */

/** @typedef {{ actorId: string, actorToken: string }} Claim */
/** @typedef {Claim & { name: string }} Asked */

const maxNames = 100; // that the host gives at once

/**
 * Opens the way to the socket that the host opened for this plugin. Nothing is
 * sent before the first call.
 *
 * @param {string} address
 * @param {Identity} identity
 */
export function connect(address, { cert, key, hostCert }) {
  return new grpc.Client(`unix:${address}`, grpc.credentials.createSsl(hostCert, key, cert), {
    ...limits,
    "grpc.default_authority": authority,
    "grpc.ssl_target_name_override": authority,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
  });
}

/**
 * What a plugin is given: the host's services at the other end of client. Its
 * functions need no `this`.
 *
 * @param {grpc.Client} client
 * @param {Logger} logger
 * @param {AbortSignal} lifetime is aborted when the plugin is to stop
 * @returns {Host}
 */
export function newHost(client, logger, lifetime) {
  const { secrets, configuration } = hostServices;
  const cache = new Cache();
  const follow = once(async () => {
    for await (const _ of watch(client, [], { observer: cache, ended: lifetime, logger })) {
      // The cache knows already.
    }
  });

  /**
   * Turns what the host gave into a Value, and keeps it if that is allowed.
   *
   * @param {Asked} asked
   * @param {any} response
   * @param {Mark | undefined} before
   */
  function accept(asked, response, before) {
    const value = new Value(response.value.toString(), response.version);
    if (response.maxAgeSeconds > 0) {
      follow();
      cache.put(keyOf(asked), asked.name, value, response.maxAgeSeconds, before);
    }
    return value;
  }

  /**
   * Adds what the host gives, and why it does not, to found.
   *
   * @param {string[]} names
   * @param {Claim} behalf
   * @param {CallOptions} options
   * @param {Secrets} found
   */
  async function getBatch(names, behalf, options, found) {
    const marks = names.map((name) => cache.mark(name));
    const doing = `getting ${names.length} secrets`;
    let results;
    try {
      ({ results } = await call(client, secrets.GetSecrets, doing, { names, ...behalf }, options));
    } catch (error) {
      if (!(error instanceof SecretsError)) {
        throw error; // the author gave up
      }
      names.forEach((name) => found.errors.set(name, error));
      return;
    }
    const byName = new Map(results.map((/** @type {any} */ result) => [result.name, result]));
    names.forEach((name, i) => {
      const result = byName.get(name);
      if (result?.found && !result.error) {
        found.set(name, accept({ name, ...behalf }, result.found, marks[i]));
      } else {
        found.errors.set(name, fromReason(`getting secret ${quoted(name)}`, result?.error ?? ""));
      }
    });
  }

  return Object.freeze({
    logger,

    async getSecret(/** @type {string} */ name, /** @type {ActorOptions} */ options = {}) {
      const doing = `getting secret ${quoted(name)}`;
      const asked = request(name, options);
      const kept = cache.get(keyOf(asked));
      if (kept) {
        return kept;
      }
      const before = cache.mark(name);
      return accept(asked, await call(client, secrets.GetSecret, doing, asked, options), before);
    },

    async getSecrets(/** @type {Iterable<string>} */ names, /** @type {ActorOptions} */ options = {}) {
      const found = new Secrets();
      const behalf = claim(options.actorId);
      const missing = [];
      for (const name of new Set(names)) {
        quoted(name);
        const kept = cache.get(keyOf({ name, ...behalf }));
        kept ? found.set(name, kept) : missing.push(name);
      }
      for (let start = 0; start < missing.length; start += maxNames) {
        await getBatch(missing.slice(start, start + maxNames), behalf, options, found);
      }
      return found;
    },

    watch(/** @type {string[]} */ names = [], /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
      names.forEach(quoted);
      const ended = signal ? AbortSignal.any([lifetime, signal]) : lifetime;
      const observer = { changed: cache.changed.bind(cache) };
      return watch(client, [...names], { observer, ended, logger });
    },

    async canAccessSecret(/** @type {string} */ name, /** @type {ActorOptions} */ options = {}) {
      const doing = `asking for access to secret ${quoted(name)}`;
      const { allowed } = await call(client, secrets.CanAccessSecret, doing, request(name, options), options);
      return allowed;
    },

    async listSecrets(/** @type {CallOptions} */ options = {}) {
      return (await call(client, secrets.ListSecrets, "listing secrets", {}, options)).secrets;
    },

    async config(/** @type {CallOptions} */ options = {}) {
      const { json } = await call(client, configuration.GetConfig, "getting the configuration", {}, options);
      return JSON.parse(json.toString());
    },
  });
}

/**
 * Begins something when it is called first, and never again. If it fails, that
 * is that: values are not kept.
 *
 * @param {() => Promise<void>} begin
 */
function once(begin) {
  let begun = false;
  return () => {
    if (!begun) {
      begun = true;
      begin().catch(() => {});
    }
  };
}

/**
 * For whom a value is kept: another actor may be refused.
 *
 * @param {Asked} asked
 */
const keyOf = ({ name, actorId, actorToken }) => JSON.stringify([name, actorId, actorToken !== ""]);

/** @param {string} name */
function quoted(name) {
  if (typeof name !== "string") {
    throw new TypeError("the name of a secret must be a string");
  }
  return JSON.stringify(name);
}

/**
 * @param {string} name
 * @param {ActorOptions} options
 */
function request(name, { actorId }) {
  return { name, ...claim(actorId) };
}

/**
 * Calls one method of the host.
 *
 * @param {grpc.Client} client
 * @param {grpc.MethodDefinition<any, any>} method
 * @param {string} doing
 * @param {object} request
 * @param {CallOptions} options
 * @returns {Promise<any>}
 */
function call(client, method, doing, request, { signal, timeout = hostCallTimeout }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const cancel = () => pending.cancel();
    const pending = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new grpc.Metadata(),
      { deadline: Date.now() + timeout },
      (error, response) => {
        signal?.removeEventListener("abort", cancel);
        if (!error) {
          resolve(response);
        } else {
          reject(signal?.aborted ? signal.reason : fromStatus(doing, error));
        }
      },
    );
    signal?.addEventListener("abort", cancel);
  });
}
