import grpc from "@grpc/grpc-js";

import { Cache } from "./cache.js";
import { claim } from "./context.js";
import { fromStatus } from "./errors.js";
import { authority, hostCallTimeout, hostServices, limits } from "./protocol.js";
import { Value } from "./value.js";
import { watch } from "./watch.js";

/** @import { ActorOptions, CallOptions, Host, Logger } from "../index.js" */
/** @import { Identity } from "./bootstrap.js" */

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
  return Object.freeze({
    logger,

    async getSecret(/** @type {string} */ name, /** @type {ActorOptions} */ options = {}) {
      const doing = `getting secret ${quoted(name)}`;
      const asked = request(name, options);
      const key = JSON.stringify([name, asked.actorId, asked.actorToken !== ""]);
      const kept = cache.get(key);
      if (kept) {
        return kept;
      }
      const before = cache.mark(name);
      const found = await call(client, secrets.GetSecret, doing, asked, options);
      const value = new Value(found.value.toString(), found.version);
      if (found.maxAgeSeconds > 0) {
        follow();
        cache.put(key, name, value, found.maxAgeSeconds, before);
      }
      return value;
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
