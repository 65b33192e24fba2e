// A small host in memory, with the rules of the real one.
import { randomBytes } from "node:crypto";

import { DeniedError, NotSetError, SecretsError, fromReason, reasons, toStatus } from "../errors.js";
import { hostServices } from "../protocol.js";
import { fail } from "./answers.js";

/** @import { Server } from "@grpc/grpc-js" */
/** @import { Secret } from "../../index.js" */
/** @import { Options, Use } from "../../testing.js" */

const maxNames = 100;
const validName = /^[A-Za-z0-9_.-]{1,255}$/;

// The kinds of secrets.host.v1.Change.
const opened = 1;
const updated = 2;
const revoked = 3;
const resync = 4;

export class FakeHost {
  /** @type {Map<string, Secret>} */
  declared = new Map();
  /** @type {Use[]} */
  uses = [];
  /** @type {SecretsError | null} */
  failure;
  /** @type {Map<string, string>} */
  #values;
  /** @type {Map<string, number>} */
  #versions = new Map(); // of values and of their absence, by secret
  #denied = new Set();
  /** @type {Map<string, string>} */
  #tokens = new Map(); // an actor's id by the token that proves it
  #config;
  #maxAge;
  /** @type {{ kind: number, name: string, version: number }[]} */
  #changes = [];
  /** @type {Set<any>} */
  #watches = new Set();

  /** @param {Required<Omit<Options, "patience">>} options */
  constructor({ secrets, config, failing, maxAge }) {
    this.#values = new Map(Object.entries(secrets));
    this.#values.forEach((_, name) => this.#versions.set(name, 1));
    this.#config = Buffer.from(JSON.stringify(config));
    this.failure = failing;
    this.#maxAge = maxAge;
  }

  /** @param {Server} server */
  register(server) {
    const answer =
      (/** @type {(request: any) => object} */ method) =>
      (/** @type {any} */ { request }, /** @type {any} */ respond) => {
        try {
          this.#mayFail();
          respond(null, method(request));
        } catch (error) {
          respond(toStatus(error));
        }
      };
    server.addService(hostServices.secrets, {
      GetSecret: answer((request) => this.#use(request)),
      GetSecrets: answer(({ names, ...behalf }) => this.#useMany(names, behalf)),
      CanAccessSecret: answer((request) => ({ allowed: this.#refusal(request) === undefined })),
      ListSecrets: answer(() => ({ secrets: [...this.declared.keys()].map((name) => this.#status(name)) })),
      Watch: (/** @type {any} */ call) => this.#watch(call),
    });
    server.addService(hostServices.configuration, { GetConfig: answer(() => ({ json: this.#config })) });
  }

  /**
   * Takes the plugin's declarations, unless a host would refuse them.
   *
   * @param {any[]} declared
   */
  declare(declared) {
    for (const { redact, ...rest } of declared) {
      if (!validName.test(rest.name)) {
        fail(`a secret cannot be named ${JSON.stringify(rest.name)}`);
      }
      if (!this.declared.has(rest.name)) {
        const given = Object.entries(rest).filter(([, value]) => value !== "" && value !== false);
        this.declared.set(rest.name, { ...Object.fromEntries(given), ...(redact && { redact }) });
      }
    }
  }

  /**
   * Makes a token that proves an actor.
   *
   * @param {string} actorId
   */
  token(actorId) {
    const token = `actor-token-${randomBytes(16).toString("hex")}`;
    this.#tokens.set(token, actorId);
    return token;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    this.#values.set(name, value);
    this.#tell(name, updated);
  }

  /** @param {string} name */
  unset(name) {
    if (this.#values.delete(name)) {
      this.#tell(name, revoked);
    }
  }

  /**
   * @param {string} name
   * @param {string} actorId
   */
  deny(name, actorId) {
    this.#denied.add(JSON.stringify([name, actorId]));
    this.resync();
  }

  resync() {
    this.#tell("", resync);
  }

  /** @param {SecretsError | null} error */
  fail(error) {
    this.failure = error;
    this.endWatches();
  }

  endWatches() {
    this.#watches.forEach((call) => call.end());
    this.#watches.clear();
  }

  #mayFail() {
    if (this.failure) {
      throw this.failure;
    }
  }

  /**
   * Why a secret is refused, if it is.
   *
   * @param {{ name: string, actorId: string, actorToken: string }} request
   */
  #refusal({ name, actorId, actorToken }) {
    if (actorToken !== "" && this.#tokens.get(actorToken) !== actorId) {
      return new DeniedError("the actor's token does not prove this actor");
    }
    if (!this.declared.has(name)) {
      return fromReason("using a secret", "SECRET_NOT_DECLARED");
    }
    return this.#denied.has(JSON.stringify([name, actorId])) ? new DeniedError() : undefined;
  }

  /** @param {{ name: string, actorId: string, actorToken: string }} request */
  #use(request) {
    const { name, actorId, actorToken } = request;
    const refusal = this.#refusal(request);
    const value = this.#values.get(name);
    if (refusal || value === undefined) {
      throw refusal ?? new NotSetError();
    }
    this.uses.push({ name, actorId, proven: actorToken !== "" });
    const version = this.#versions.get(name);
    return { value: Buffer.from(value), source: "database", version, maxAgeSeconds: this.#maxAge };
  }

  /**
   * @param {string[]} names
   * @param {{ actorId: string, actorToken: string }} behalf
   */
  #useMany(names, behalf) {
    if (names.length > maxNames) {
      throw new SecretsError(`invalid request: at most ${maxNames} names at once`, { code: "BAD_REQUEST" });
    }
    const results = names.map((name) => {
      try {
        return { name, found: this.#use({ name, ...behalf }) };
      } catch (error) {
        const { code } = /** @type {SecretsError} */ (error);
        return { name, error: Object.hasOwn(reasons, code) ? code : "" };
      }
    });
    return { results };
  }

  /** @param {string} name */
  #status(name) {
    const set = this.#values.has(name);
    return { name, set, source: set ? "database" : "" };
  }

  /** @param {any} call */
  #watch(call) {
    const { names, cursor } = call.request;
    const unknown = names.some((/** @type {string} */ name) => !this.declared.has(name));
    if (this.failure || unknown) {
      call.emit("error", toStatus(this.failure ?? fromReason("watching", "SECRET_NOT_DECLARED")));
      return;
    }
    const at = cursor === "" ? this.#changes.length : Number(cursor);
    call.write({ kind: opened, cursor: String(at) });
    this.#changes.slice(at).forEach((change, i) => send(call, change, at + i + 1, this.declared));
    this.#watches.add(call);
    call.on("cancelled", () => this.#watches.delete(call));
  }

  /**
   * @param {string} name
   * @param {number} kind
   */
  #tell(name, kind) {
    const version = (this.#versions.get(name) ?? 0) + (kind === resync ? 0 : 1);
    if (kind !== resync) {
      this.#versions.set(name, version);
    }
    const count = this.#changes.push({ kind, name, version });
    this.#watches.forEach((call) => send(call, this.#changes[count - 1], count, this.declared));
  }
}

/**
 * Tells a watch of a change, if it is of interest.
 *
 * @param {any} call
 * @param {{ kind: number, name: string, version: number }} change
 * @param {number} number
 * @param {Map<string, unknown>} declared
 */
function send(call, change, number, declared) {
  const { names } = call.request;
  if (change.name === "" || (names.length > 0 ? names.includes(change.name) : declared.has(change.name))) {
    call.write({ ...change, cursor: String(number) });
  }
}
