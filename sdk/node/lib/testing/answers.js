// What a host takes from a plugin's optional functions. The rules and numbers
// are those of internal/pluginwire.
import { AssertionError } from "node:assert";

/** @import { Actor, MenuLink, TestResult } from "../../index.js" */

export const limits = {
  links: 20, // of one plugin in a menu
  label: 100, // bytes
  href: 2000, // bytes
  actor: 16 << 10, // bytes of JSON
  actorId: 255, // bytes
  message: 300, // bytes
};

/**
 * @param {Required<TestResult>} result
 * @param {string} value
 */
export function checkResult({ message }, value) {
  if (value !== "" && message.includes(value)) {
    fail("the message holds the value; it must never leave the plugin");
  }
  if (size(message) > limits.message) {
    fail(`the message has ${size(message)} bytes, of which a host shows ${limits.message}`);
  }
}

/** @param {MenuLink[]} links */
export function checkLinks(links) {
  if (links.length > limits.links) {
    fail(`${links.length} links, of which a host shows ${limits.links}`);
  }
  for (const { href, label } of links) {
    const wrong = wrongLink(href, label);
    if (wrong) {
      fail(`link ${JSON.stringify(label)} to ${JSON.stringify(href)}: ${wrong}`);
    }
  }
}

/**
 * @param {string} href
 * @param {string} label
 */
function wrongLink(href, label) {
  if (label.trim() === "" || size(label) > limits.label || !printable(label)) {
    return `a label must be 1 to ${limits.label} bytes of printable text`;
  }
  if (size(href) > limits.href) {
    return `an address must be at most ${limits.href} bytes`;
  }
  if (/[ \\]/.test(href) || !printable(href)) {
    return "an address must not contain spaces, backslashes and what is not printable";
  }
  if (/^\/(?!\/)/.test(href) || isPage(href)) {
    return undefined;
  }
  return "an address must be a path that begins with one slash, or an http or https URL";
}

/** @param {string} href */
function isPage(href) {
  if (!/^https?:\/\//i.test(href) || !URL.canParse(href)) {
    return false;
  }
  const { username, password } = new URL(href);
  return username === "" && password === "";
}

/**
 * @param {string} id
 * @param {Actor} actor
 */
export function checkKnown(id, actor) {
  checkSize(actor);
  if (String(actor.id) !== id) {
    fail(`the actor of ${JSON.stringify(id)}: its id must be the one that was asked for`);
  }
}

/** @param {Actor} actor */
export function checkSender(actor) {
  checkSize(actor);
  const { id } = actor;
  if (typeof id !== "string" || id === "" || size(id) > limits.actorId || !printable(id) || id.trim() !== id) {
    fail(`the actor's id must be a text of 1 to ${limits.actorId} printable bytes without spaces around it`);
  }
  if (id.toLowerCase() === "root") {
    fail("the actor cannot be root");
  }
  if (Object.keys(actor).some((key) => /^(_|token)/i.test(key))) {
    fail("no key of the actor may begin with _ or with token");
  }
}

/** @param {Actor} actor */
function checkSize(actor) {
  if (size(JSON.stringify(actor)) > limits.actor) {
    fail(`an actor must be at most ${limits.actor} bytes of JSON`);
  }
}

/** @param {string} text */
const size = (text) => Buffer.byteLength(text);

/** @param {string} text */
const printable = (text) => /^(?:[\p{L}\p{M}\p{N}\p{P}\p{S}]| )*$/u.test(text);

/**
 * @param {string} message
 * @returns {never}
 */
export function fail(message) {
  throw new AssertionError({ message });
}
