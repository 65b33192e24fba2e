import { inspect } from "node:util";

/** @type {"[redacted]"} */
const redacted = "[redacted]";

/** The clear text of a secret, which hides itself. */
export class Value {
  #text;

  /**
   * @param {string} text
   * @param {number} [version]
   */
  constructor(text, version = 0) {
    this.#text = String(text);
    this.version = version;
    Object.freeze(this);
  }

  reveal() {
    return this.#text;
  }

  get byteLength() {
    return Buffer.byteLength(this.#text);
  }

  toString() {
    return redacted;
  }

  toJSON() {
    return redacted;
  }

  [Symbol.toPrimitive]() {
    return redacted;
  }

  [inspect.custom]() {
    return redacted;
  }
}
