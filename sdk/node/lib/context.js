// What belongs to one call of the host: the host itself, and who is signed in.
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

/** @import { EventEmitter } from "node:events" */
/** @import { Actor, Host } from "../index.js" */

/** @type {AsyncLocalStorage<{ host: Host, actor: Actor | null, token: string }>} */
const calls = new AsyncLocalStorage();

/**
 * Calls a function, and everything that it begins, for the host.
 *
 * @template T
 * @param {Host} host
 * @param {Actor | null} actor who is signed in
 * @param {string} token the host's proof of it
 * @param {() => T} run
 * @returns {T}
 */
export function called(host, actor, token, run) {
  return calls.run({ host, actor, token }, run);
}

/**
 * Makes whatever listens to emitters belong to the current call too: their
 * events begin elsewhere, in a connection that knows no call.
 *
 * @param {EventEmitter[]} emitters
 */
export function bindEvents(...emitters) {
  for (const emitter of emitters) {
    emitter.emit = AsyncResource.bind(emitter.emit);
  }
}

/** The host that calls one of the optional functions. */
export function currentHost() {
  const call = calls.getStore();
  if (!call) {
    throw new Error("there is a current host only while it calls a function of the plugin");
  }
  return call.host;
}

/** Who is signed in; null is nobody, and anywhere else. */
export function currentActor() {
  return calls.getStore()?.actor ?? null;
}

/**
 * On whose behalf to ask, with a proof where the host gave one. Without an id
 * that is the current actor. The id of anybody else is the plugin's own word,
 * and goes without a proof.
 *
 * @param {string | null} [actorId]
 * @returns {{ actorId: string, actorToken: string }}
 */
export function claim(actorId) {
  if (actorId != null && typeof actorId !== "string") {
    throw new TypeError("actorId must be a string");
  }
  const { actor = null, token = "" } = calls.getStore() ?? {};
  const currentId = actor ? idOf(actor) : "";
  if (!actorId || actorId === currentId) {
    return { actorId: currentId, actorToken: token };
  }
  return { actorId, actorToken: "" };
}

/**
 * The actor's id as the host writes it; empty when there is none.
 *
 * @param {Actor} actor
 */
function idOf({ id }) {
  switch (typeof id) {
    case "string":
    case "number":
      return String(id);
    case "boolean":
      return id ? "True" : "False";
  }
  return "";
}

/**
 * Reads an actor as it crosses from the host.
 *
 * @param {Uint8Array} json
 * @returns {Actor | null}
 */
export function decodeActor(json) {
  return json.length === 0 ? null : checkActor(JSON.parse(Buffer.from(json).toString()));
}

/**
 * Writes an actor for the host; nobody is empty.
 *
 * @param {unknown} actor
 */
export function encodeActor(actor) {
  const checked = checkActor(actor);
  return Buffer.from(checked ? JSON.stringify(checked) : "");
}

/**
 * @param {any} actor
 * @returns {Actor | null}
 */
export function checkActor(actor) {
  if (actor == null) {
    return null;
  }
  if (typeof actor !== "object" || Array.isArray(actor)) {
    throw new TypeError("an actor must be an object or null");
  }
  return actor;
}
