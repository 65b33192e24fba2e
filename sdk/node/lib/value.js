import { inspect } from "node:util";

/** @type {"[redacted]"} */
const redacted = "[redacted]";

/** The clear text of a secret, which hides itself. */
export class Value {
  #text;

  /** @param {string} text */
  constructor(text) {
    this.#text = String(text);
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
