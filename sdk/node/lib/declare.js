/** @import { Redact, Secret } from "../index.js" */

/**
 * Makes a declaration.
 *
 * @param {string} name
 * @param {Omit<Secret, "name">} [rest]
 * @returns {Secret}
 */
export function secret(name, rest) {
  return { ...rest, name };
}

/**
 * Checks what an author's registerSecrets returned: the encoder would make
 * texts of anything.
 *
 * @param {unknown} declared
 * @returns {Secret[]}
 */
export function checkDeclarations(declared) {
  if (!Array.isArray(declared)) {
    throw new TypeError("registerSecrets must return an array");
  }
  return declared.map(checkDeclaration);
}

/**
 * @param {any} declared
 * @param {number} index
 * @returns {Secret}
 */
function checkDeclaration(declared, index) {
  const text = (/** @type {string} */ key) => {
    const value = declared?.[key] ?? "";
    if (typeof value !== "string") {
      throw new TypeError(`the ${key} of declared secret ${index + 1} is not a string`);
    }
    return value;
  };
  if (typeof (declared.multiline ?? false) !== "boolean") {
    throw new TypeError(`the multiline of declared secret ${index + 1} is not true or false`);
  }
  return {
    name: text("name"),
    description: text("description"),
    obtainUrl: text("obtainUrl"),
    obtainLabel: text("obtainLabel"),
    pattern: text("pattern"),
    example: text("example"),
    multiline: declared.multiline ?? false,
    redact: declared.redact == null ? undefined : checkRedact(declared.redact, index),
  };
}

/**
 * @param {any} redact
 * @param {number} index
 * @returns {Required<Redact>}
 */
function checkRedact({ prefix = 0, suffix = 0 }, index) {
  if (![prefix, suffix].every((n) => Number.isInteger(n) && n >= 0)) {
    throw new TypeError(`the redact of declared secret ${index + 1} does not hold numbers of characters`);
  }
  return { prefix, suffix };
}
