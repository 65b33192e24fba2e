// Runs a plugin inside a test, with a small host in memory. The plugin talks to
// that host through the same services, messages and errors as to a real one;
// only the process boundary and its TLS are missing.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import grpc from "@grpc/grpc-js";

import { encodeActor, readActor } from "../context.js";
import { fromStatus } from "../errors.js";
import { limits as messageLimits, pluginServices } from "../protocol.js";
import { Session } from "../session.js";
import { actorHeader, writeHeader } from "../signed.js";
import { checkKnown, checkLinks, checkResult, checkSender, fail } from "./answers.js";
import { FakeHost } from "./fake.js";

/** @import { Actor, Plugin } from "../../index.js" */
/** @import { Options, PageRequest } from "../../testing.js" */

/** The name under which the plugin runs. */
export const pluginName = "plugintest";

const patience = 10_000; // milliseconds that a plugin may take for what it is asked

/**
 * Starts a plugin as a host does, calls a function with the host, and stops the
 * plugin.
 *
 * @template T
 * @param {Plugin} plugin
 * @param {Options | ((host: Host) => T | Promise<T>)} first
 * @param {(host: Host) => T | Promise<T>} [second]
 * @returns {Promise<T>}
 */
export async function run(plugin, first, second) {
  const [options, test] = typeof first === "function" ? [{}, first] : [first, second];
  if (!test) {
    throw new TypeError("run needs a function to call with the host");
  }
  const { secrets = {}, config = null, failing = null, maxAge = 0, patience: given = patience } = options;
  const fake = new FakeHost({ secrets, config, failing, maxAge });
  const world = new World(plugin, given);
  try {
    const host = new Host(fake, world);
    await host.launch();
    return await test(host);
  } finally {
    fake.endWatches();
    await world.end();
  }
}

/** The plugin, and the way to it. */
class World {
  dir = mkdtempSync(join(tmpdir(), "plugin")); // the paths of sockets must be short
  log = "";
  /** @type {grpc.Server[]} */
  #servers = [];
  /** @type {grpc.Client | undefined} */
  #client;

  /**
   * @param {Plugin} plugin
   * @param {number} patience
   */
  constructor(plugin, patience) {
    this.patience = patience;
    const out = { write: (/** @type {string} */ text) => (this.log += text) };
    this.session = new Session(plugin, (path) => this.#connect(path), out);
    /** @type {{ error?: unknown }} */
    this.outcome = {};
    this.session.failed.then((error) => (this.outcome.error = error));
  }

  /**
   * @param {string} name
   * @param {(server: grpc.Server) => void} register
   * @returns {Promise<string>} the socket
   */
  async serve(name, register) {
    const server = new grpc.Server(messageLimits);
    register(server);
    const path = join(this.dir, name);
    const credentials = grpc.ServerCredentials.createInsecure();
    await new Promise((resolve, reject) =>
      server.bindAsync(`unix:${path}`, credentials, (error) => (error ? reject(error) : resolve(undefined))),
    );
    this.#servers.push(server);
    return path;
  }

  /** @param {string} path */
  #connect(path) {
    return new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), messageLimits);
  }

  /** @param {string} path */
  connect(path) {
    this.#client = this.#connect(path);
  }

  /**
   * Calls the plugin.
   *
   * @param {grpc.MethodDefinition<any, any>} method
   * @param {object} request
   * @param {string} name
   * @returns {Promise<any>}
   */
  call({ path, requestSerialize, responseDeserialize }, request, name) {
    const deadline = Date.now() + this.patience;
    return new Promise((resolve, reject) => {
      const settle = (/** @type {any} */ error, /** @type {any} */ response) =>
        error ? reject(this.#failure(fromStatus(name, error).message)) : resolve(response);
      this.#client?.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, settle);
    });
  }

  /** @param {string} text */
  #failure(text) {
    try {
      fail(`${text}; the plugin logged:\n${this.log}`);
    } catch (error) {
      return error;
    }
  }

  /** Stops the plugin and removes what was made for it. */
  async end() {
    const late = new AbortController();
    const stopped = await Promise.race([
      this.session.stop().then(() => true),
      setTimeout(this.patience, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    this.session.close();
    this.#client?.close();
    this.#servers.forEach((server) => server.forceShutdown());
    rmSync(this.dir, { recursive: true, force: true });
    if (!stopped) {
      fail("the plugin does not stop");
    }
  }
}

/** The host of one plugin in a test. */
export class Host {
  #fake;
  #world;
  /** @type {string[]} */
  #offered = [];
  /** @type {Buffer | undefined} */
  #key; // of the plugin's pages, once they were asked for

  /**
   * @param {FakeHost} fake
   * @param {World} world
   */
  constructor(fake, world) {
    this.#fake = fake;
    this.#world = world;
  }

  /** Does what a host does with a plugin that has just connected. */
  async launch() {
    const world = this.#world;
    const hostAddress = await world.serve("host", (server) => this.#fake.register(server));
    world.connect(await world.serve("plugin", (server) => world.session.register(server)));
    const { lifecycle, declarations, starter } = pluginServices;
    const introduction = { hostVersion: pluginName, pluginName, hostAddress };
    const described = await world.call(lifecycle.Init, introduction, "the plugin");
    this.#offered = described.services.map((/** @type {string} */ name) => name.split(".").at(-1));
    const { secrets } = await world.call(declarations.RegisterSecrets, {}, "registerSecrets");
    this.#fake.declare(secrets);
    if (this.#offered.includes("Starter")) {
      await world.call(starter.Start, {}, "start");
    }
  }

  get declared() {
    return [...this.#fake.declared.values()];
  }

  get uses() {
    return [...this.#fake.uses];
  }

  get log() {
    const lines = this.#world.log.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line));
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    this.#fake.set(name, value);
  }

  /** @param {string} name */
  unset(name) {
    this.#fake.unset(name);
  }

  /**
   * @param {string} name
   * @param {string} [actorId]
   */
  deny(name, actorId = "") {
    this.#fake.deny(name, actorId);
  }

  /** @param {import("../errors.js").SecretsError | null} error */
  fail(error) {
    this.#fake.fail(error);
  }

  resync() {
    this.#fake.resync();
  }

  async wait() {
    const { session, patience, outcome } = this.#world;
    const late = new AbortController();
    const returned = await Promise.race([
      Promise.resolve(session.returned).then(() => true),
      setTimeout(patience, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (!returned) {
      fail(`start did not return within ${patience} milliseconds; the plugin logged:\n${this.#world.log}`);
    }
    if ("error" in outcome) {
      throw outcome.error;
    }
  }

  /** @param {() => unknown} condition */
  async until(condition) {
    const { patience } = this.#world;
    for (const deadline = Date.now() + patience; !(await condition()); await setTimeout(5)) {
      if (Date.now() > deadline) {
        fail(`it is not so after ${patience} milliseconds; the plugin logged:\n${this.#world.log}`);
      }
    }
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  async testSecret(name, value) {
    this.#offers("Validator", "testSecret");
    const request = { name, value: Buffer.from(value) };
    const result = await this.#world.call(pluginServices.validator.TestSecret, request, "testSecret");
    checkResult(result, value);
    return result;
  }

  /** @param {Actor | null} [actor] */
  async menuLinks(actor = null) {
    this.#offers("Menu", "menuLinks");
    const { links } = await this.#world.call(pluginServices.menu.MenuLinks, { actor: this.#proof(actor) }, "menuLinks");
    checkLinks(links);
    return links;
  }

  /** @param {string[]} ids */
  async actorsFromIDs(...ids) {
    this.#offers("Actors", "actorsFromIDs");
    const { actors } = await this.#world.call(pluginServices.actors.ActorsFromIDs, { ids }, "actorsFromIDs");
    return Object.fromEntries(
      Object.entries(actors).map(([id, json]) => {
        const actor = JSON.parse(json.toString());
        checkKnown(id, actor);
        return [id, actor];
      }),
    );
  }

  /**
   * @param {Record<string, string>} [headers]
   * @param {{ method?: string, path?: string }} [where]
   */
  async actorFromRequest(headers = {}, { method = "GET", path = "/-/secrets" } = {}) {
    this.#offers("Authenticator", "actorFromRequest");
    const asked = { method, path, headers };
    const answer = await this.#world.call(pluginServices.authenticator.ActorFromRequest, asked, "actorFromRequest");
    if (answer.actorJson.length === 0) {
      return null;
    }
    const actor = JSON.parse(answer.actorJson.toString());
    checkSender(actor);
    return actor;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {PageRequest} [request]
   */
  async http(method, path, { actor = null, headers = {}, body } = {}) {
    this.#offers("Http", "serveHTTP");
    const address = join(this.#world.dir, "http");
    if (!this.#key) {
      const key = randomBytes(32);
      const asked = { address, key, prefix: `/-/plugins/${pluginName}` };
      await this.#world.call(pluginServices.http.Listen, asked, "serveHTTP");
      this.#key = key;
    }
    const { token } = this.#proof(actor);
    const expires = Math.floor(Date.now() / 1000) + 60;
    const signed = writeHeader(this.#key, { actor, token, method, path, expires });
    return send(address, method, path, { ...headers, [actorHeader]: signed }, body, this.#world.patience);
  }

  /**
   * @param {string} service
   * @param {string} name
   */
  #offers(service, name) {
    if (!this.#offered.includes(service)) {
      fail(`the plugin has no function ${name}`);
    }
  }

  /** @param {Actor | null} actor */
  #proof(actor) {
    const json = encodeActor(actor);
    return { json, token: actor ? this.#fake.token(readActor(json, "").actorId) : "" };
  }
}

/**
 * @param {string} socketPath
 * @param {string} method
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {string | Uint8Array | undefined} body
 * @param {number} timeout
 * @returns {Promise<{ status: number, headers: Record<string, string | string[] | undefined>, text: string }>}
 */
function send(socketPath, method, path, headers, body, timeout) {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path, headers, agent: false, timeout }, (response) => {
      /** @type {Buffer[]} */
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk)).on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, text: Buffer.concat(chunks).toString() });
      });
    });
    request.on("timeout", () => request.destroy(new Error("serveHTTP does not answer")));
    request.on("error", reject).end(body);
  });
}
