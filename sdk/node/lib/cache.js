// Values that the host lets the plugin keep for a while.

/** @import { Change } from "../index.js" */
/** @import { Value } from "./value.js" */

const maxKept = 1000; // values

/**
 * Keeps values for as long as the host allows, and only while it tells of
 * changes. It observes a watch of all secrets. Whatever that watch may have
 * missed is not kept: values are forgotten when it opens, breaks or says so.
 */
export class Cache {
  #isOpen = false;
  #openings = 0; // times that everything was forgotten
  /** @type {Map<string, number>} */
  #changes = new Map(); // since then, by secret
  /** @type {Map<string, { name: string, value: Value, until: number }>} */
  #kept = new Map(); // by who reads what; until is by performance.now

  /**
   * @param {string} key
   * @returns {Value | undefined}
   */
  get(key) {
    const kept = this.#kept.get(key);
    if (kept && performance.now() >= kept.until) {
      this.#kept.delete(key);
      return undefined;
    }
    return kept?.value;
  }

  /**
   * Where the secret stands, before it is read; nothing while nothing is kept.
   *
   * @param {string} name
   * @returns {string | undefined}
   */
  mark(name) {
    return this.#isOpen ? `${this.#openings} ${this.#changes.get(name) ?? 0}` : undefined;
  }

  /**
   * Keeps a value for maxAge seconds, unless it changed while it was read.
   *
   * @param {string} key
   * @param {string} name
   * @param {Value} value
   * @param {number} maxAge
   * @param {string | undefined} before
   */
  put(key, name, value, maxAge, before) {
    if (maxAge <= 0 || before === undefined || before !== this.mark(name)) {
      return;
    }
    if (this.#kept.size >= maxKept) {
      const [oldest] = this.#kept.keys();
      this.#kept.delete(oldest);
    }
    this.#kept.set(key, { name, value, until: performance.now() + maxAge * 1000 });
  }

  opened() {
    this.#forgetAll();
    this.#isOpen = true;
  }

  broke() {
    this.#forgetAll();
    this.#isOpen = false;
  }

  /** @param {Change} change */
  changed({ kind, name }) {
    if (kind === "resync") {
      this.#forgetAll();
      return;
    }
    this.#changes.set(name, (this.#changes.get(name) ?? 0) + 1);
    for (const [key, kept] of this.#kept) {
      if (kept.name === name) {
        this.#kept.delete(key);
      }
    }
  }

  #forgetAll() {
    this.#openings++;
    this.#changes.clear();
    this.#kept.clear();
  }
}
