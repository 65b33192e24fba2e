// Many secrets at once.

/** @import { SecretsError } from "./errors.js" */
/** @import { Value } from "./value.js" */

/**
 * The values that the host gave, by name, and in errors why it did not give the
 * others.
 *
 * @extends {Map<string, Value>}
 */
export class Secrets extends Map {
  /** @type {Map<string, SecretsError>} */
  errors = new Map();

  /**
   * A value. It throws the error of a name that has none.
   *
   * @override
   * @param {string} name
   * @returns {Value}
   */
  get(name) {
    const value = super.get(name);
    if (!value) {
      throw this.errors.get(name) ?? new Error(`secret ${JSON.stringify(name)} was not asked for`);
    }
    return value;
  }
}
