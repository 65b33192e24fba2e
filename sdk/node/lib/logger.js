import { inspect } from "node:util";

/** @import { Logger } from "../index.js" */

/**
 * Writes lines of JSON as hashicorp/go-hclog does, which any host built on
 * go-plugin understands.
 *
 * @param {{ write(text: string): unknown }} out
 * @param {string} module
 * @returns {Logger}
 */
export function newLogger(out, module) {
  const at =
    (/** @type {string} */ level) =>
    (/** @type {string} */ message, /** @type {Record<string, unknown>} */ fields = {}) => {
      const line = {
        "@timestamp": new Date().toISOString().replace("Z", "000Z"), // go-hclog wants six digits
        "@level": level,
        "@message": String(message),
        "@module": module,
        ...apart(fields),
      };
      out.write(`${JSON.stringify(line)}\n`);
    };
  return Object.freeze({ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") });
}

/**
 * The author's own fields, kept apart from the keys of the line, and each of
 * them something that JSON has.
 *
 * @param {Record<string, unknown>} fields
 */
function apart(fields) {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key.replace(/^@+/, "attr."), plain(value)]),
  );
}

/** @param {unknown} value */
function plain(value) {
  if (value instanceof Error) {
    return String(value); // its fields may hold anything
  }
  try {
    return JSON.parse(JSON.stringify(value) ?? "null");
  } catch {
    return inspect(value); // a circle, a bigint
  }
}
