// Values that the host lets the plugin keep for a while.

/** @import { Change } from "../index.js" */
/** @import { Value } from "./value.js" */

const maxKept = 1000; // values
const maxTimer = 2 ** 31 - 1; // milliseconds

/**
 * What was known of a secret's changes before it was read.
 *
 * @typedef {{ at: number, openings: number, changes: number }} Mark
 */

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
  /** @type {Map<string, { name: string, value: Value, end: NodeJS.Timeout }>} */
  #kept = new Map(); // by who reads what

  /**
   * @param {string} key
   * @returns {Value | undefined}
   */
  get(key) {
    return this.#kept.get(key)?.value;
  }

  /**
   * Where the secret stands, before it is read; nothing while nothing is kept.
   *
   * @param {string} name
   * @returns {Mark | undefined}
   */
  mark(name) {
    const changes = this.#changes.get(name) ?? 0;
    return this.#isOpen ? { at: performance.now(), openings: this.#openings, changes } : undefined;
  }

  /**
   * Keeps a value for maxAge seconds since it was asked for, unless it changed
   * since.
   *
   * @param {string} key
   * @param {string} name
   * @param {Value} value
   * @param {number} maxAge
   * @param {Mark | undefined} before
   */
  put(key, name, value, maxAge, before) {
    const now = this.mark(name);
    if (!before || !now || before.openings !== now.openings || before.changes !== now.changes) {
      return;
    }
    const left = before.at + maxAge * 1000 - now.at;
    if (left <= 0) {
      return;
    }
    this.#forget(key);
    if (this.#kept.size >= maxKept) {
      const [oldest] = this.#kept.keys();
      this.#forget(oldest);
    }
    const end = setTimeout(() => this.#forget(key), Math.min(left, maxTimer)).unref();
    this.#kept.set(key, { name, value, end });
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
        this.#forget(key);
      }
    }
  }

  /** @param {string} key */
  #forget(key) {
    clearTimeout(this.#kept.get(key)?.end);
    this.#kept.delete(key);
  }

  #forgetAll() {
    this.#openings++;
    this.#changes.clear();
    [...this.#kept.keys()].forEach((key) => this.#forget(key));
  }
}
