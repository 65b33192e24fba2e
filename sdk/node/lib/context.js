// What belongs to one call of the host: the host itself, and who is signed in.
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

/** @import { EventEmitter } from "node:events" */
/** @import { Actor, Host } from "../index.js" */

/** @type {AsyncLocalStorage<SignedIn & { host: Host }>} */
const calls = new AsyncLocalStorage();

/**
 * Calls a function, and everything that it begins, for the host.
 *
 * @template T
 * @param {Host} host
 * @param {SignedIn} who
 * @param {() => T} run
 * @returns {T}
 */
export function called(host, who, run) {
  return calls.run({ host, ...who }, run);
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
  const { actorId: current, token } = calls.getStore() ?? nobody;
  if (!actorId || actorId === current) {
    return { actorId: current, actorToken: token };
  }
  return { actorId, actorToken: "" };
}

/**
 * Who is signed in, and the host's proof of it.
 *
 * @typedef {{ actor: Actor | null, actorId: string, token: string }} SignedIn
 */

/** @type {SignedIn} */
export const nobody = Object.freeze({ actor: null, actorId: "", token: "" });

/**
 * Reads an actor as it crosses from the host: nothing for nobody.
 *
 * @param {Uint8Array} json
 * @param {string} token
 * @returns {SignedIn}
 */
export function readActor(json, token) {
  const text = Buffer.from(json).toString();
  return text === "" ? nobody : signedIn(JSON.parse(text), exactly(text), token);
}

/**
 * @param {unknown} actor
 * @param {any} exact the same actor, as exactly reads it
 * @param {string} token
 * @returns {SignedIn}
 */
export function signedIn(actor, exact, token) {
  const checked = checkActor(actor);
  if (!checked || Object.keys(checked).length === 0) {
    return nobody;
  }
  const id = exact.id === true ? "True" : exact.id === false ? "False" : exact.id;
  return { actor: checked, actorId: typeof id === "string" ? id : "", token };
}

/**
 * Reads JSON with its numbers as texts. The host compares an actor's id with
 * its proof as it stands there, and JavaScript's numbers are not exact.
 *
 * @param {string} json
 */
export function exactly(json) {
  const texts = json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) => (token[0] === '"' ? token : `"${token}"`));
  return JSON.parse(texts);
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
