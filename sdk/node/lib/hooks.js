// The optional functions of a plugin: what the host asks, in the author's
// words, and what the author answers, checked. The encoder would make texts of
// anything.
import { called, encodeActor, nobody, readActor } from "./context.js";
import { pluginServices } from "./protocol.js";
import { Value } from "./value.js";

/** @import { Host, Plugin } from "../index.js" */

/**
 * Answers one method of a service.
 *
 * @typedef {(request: any, signal: AbortSignal) => unknown} Answer
 */

/**
 * The services that a plugin offers by having their functions, with what
 * answers their methods.
 *
 * @param {Plugin} plugin
 * @param {() => Host} host
 * @returns {{ service: any, answers: Record<string, Answer> }[]}
 */
export function hooksOf(plugin, host) {
  const { validator, menu, actors, authenticator } = pluginServices;
  /** @type {{ hook: unknown, service: any, answers: Record<string, Answer> }[]} */
  const all = [
    { hook: plugin.testSecret, service: validator, answers: { TestSecret: testSecret(plugin, host) } },
    { hook: plugin.menuLinks, service: menu, answers: { MenuLinks: menuLinks(plugin, host) } },
    { hook: plugin.actorsFromIDs, service: actors, answers: { ActorsFromIDs: actorsFromIDs(plugin, host) } },
    { hook: plugin.actorFromRequest, service: authenticator, answers: { ActorFromRequest: actorFromRequest(plugin, host) } },
  ];
  return all.filter(({ hook }) => typeof hook === "function");
}

/**
 * @param {Plugin} plugin
 * @param {() => Host} host
 * @returns {Answer}
 */
function testSecret(plugin, host) {
  return async ({ name, value: data }, signal) => {
    const value = new Value(data.toString());
    const result = await called(host(), nobody, () => plugin.testSecret?.(name, value, signal));
    const { ok, message = "" } = result ?? {};
    if (typeof ok !== "boolean" || typeof message !== "string") {
      throw new TypeError("testSecret must return { ok: true or false, message: a string or nothing }");
    }
    return { ok, message };
  };
}

/**
 * @param {Plugin} plugin
 * @param {() => Host} host
 * @returns {Answer}
 */
function menuLinks(plugin, host) {
  return async ({ actor: sent }, signal) => {
    const who = sent ? readActor(sent.json, sent.token) : nobody;
    const links = await called(host(), who, () => plugin.menuLinks?.(who.actor, signal));
    if (!Array.isArray(links) || !links.every((l) => typeof l?.href === "string" && typeof l.label === "string")) {
      throw new TypeError("menuLinks must return an array of { href, label }");
    }
    return { links };
  };
}

/**
 * @param {Plugin} plugin
 * @param {() => Host} host
 * @returns {Answer}
 */
function actorsFromIDs(plugin, host) {
  return async ({ ids }, signal) => {
    const found = await called(host(), nobody, () => plugin.actorsFromIDs?.(ids, signal));
    if (typeof found !== "object" || found === null) {
      throw new TypeError("actorsFromIDs must return an object or a Map");
    }
    const pairs = [...(found instanceof Map ? found : Object.entries(found))];
    const actors = pairs.map(([id, actor]) => [String(id), encodeActor(actor)]);
    return { actors: Object.fromEntries(actors.filter(([, actor]) => actor.length > 0)) };
  };
}

/**
 * @param {Plugin} plugin
 * @param {() => Host} host
 * @returns {Answer}
 */
function actorFromRequest(plugin, host) {
  return async ({ method, path, headers }, signal) => {
    const request = { method, path, headers };
    const actor = await called(host(), nobody, () => plugin.actorFromRequest?.(request, signal));
    return { actorJson: encodeActor(actor) };
  };
}
