/**
 * Runs a plugin inside a test, with a small host in memory.
 *
 * The plugin talks to that host through the same services, messages and errors
 * as to a real one; only the process boundary and its TLS are missing. The host
 * keeps the real one's rules: a plugin gets what it declared and nothing else,
 * and what is declared may have no value.
 */
import type { Actor, MenuLink, Plugin, Secret, SecretsError, TestResult } from "./index.js";

/**
 * Starts a plugin as a host does, calls `test` with the host, and stops the
 * plugin. It fails when the plugin refuses, declares something that a host
 * would not accept, or does not stop.
 *
 *     await run(weather, { secrets: { WEATHER_KEY: "k" } }, async (host) => {
 *       await host.wait();
 *       assert.deepEqual(host.uses.map((use) => use.name), ["WEATHER_KEY"]);
 *     });
 */
export function run<T>(plugin: Plugin, options: Options, test: (host: Host) => T | Promise<T>): Promise<T>;
export function run<T>(plugin: Plugin, test: (host: Host) => T | Promise<T>): Promise<T>;

/** The name under which the plugin runs. */
export const pluginName: "plugintest";

/** How the host is before the plugin starts. */
export interface Options {
  /**
   * The values that are set. A name that the plugin does not declare stays out
   * of its reach.
   */
  secrets?: Record<string, string>;
  /** The plugin's block of the host's configuration. */
  config?: unknown;
  /** Makes every call to the host fail from the start, as Host.fail does. */
  failing?: SecretsError | null;
  /** How many seconds the plugin may keep a value; 0 if not given. */
  maxAge?: number;
  /** Milliseconds that the plugin may take for what it is asked; 10,000 if not given. */
  patience?: number;
}

/**
 * One use of a secret: a getSecret or getSecrets that gave a value. A value that
 * the plugin kept is used without the host's knowing.
 */
export interface Use {
  name: string;
  actorId: string;
  /** Whether the host's own word stood behind the actor. */
  proven: boolean;
}

/** The host of one plugin in a test. Its functions may be called while the plugin runs. */
export interface Host {
  /** What the plugin declared, in its order. */
  readonly declared: Secret[];
  /** Every use of a secret so far. */
  readonly uses: Use[];
  /** What the plugin logged so far, by field: "@level", "@message" and its own. */
  readonly log: Record<string, any>[];

  /** Gives a secret a value, as an administrator does, and tells watches. */
  set(name: string, value: string): void;
  /** Takes a secret's value away, and tells watches. */
  unset(name: string): void;
  /** Refuses a secret to an actor from now on. Watches are told to resync. */
  deny(name: string, actorId?: string): void;
  /** Tells the plugin's watches that changes may have been missed. */
  resync(): void;
  /**
   * Makes every call to the host fail with an error of this package; null ends
   * that. It also breaks every watch, which the plugin then tries to open again.
   */
  fail(error: SecretsError | null): void;

  /**
   * Waits until start has returned, and throws what it threw. It is of use for
   * a start that does return by itself.
   */
  wait(): Promise<void>;
  /** Waits until something is so that the plugin does in the background. */
  until(condition: () => unknown): Promise<void>;

  /*
   * What follows calls the plugin's optional functions as a host does. An error
   * of the plugin arrives as "internal error", for that is all that a host
   * learns; the plugin's own words are in the log. An answer that a host would
   * not take is an AssertionError that says why.
   */

  testSecret(name: string, value: string): Promise<Required<TestResult>>;
  menuLinks(actor?: Actor | null): Promise<MenuLink[]>;
  actorsFromIDs(...ids: string[]): Promise<Record<string, Actor>>;
  /** Names of headers are in lower case. */
  actorFromRequest(
    headers?: Record<string, string>,
    where?: { method?: string; path?: string },
  ): Promise<Actor | null>;
  /** Sends a request to serveHTTP. The path is as the plugin sees it, with the query. */
  http(method: string, path: string, request?: PageRequest): Promise<PageResponse>;
}

/** The rest of a request to the plugin's own pages. */
export interface PageRequest {
  /** On whose behalf; nobody's if not given. */
  actor?: Actor | null;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

/** What the plugin's own pages answered. */
export interface PageResponse {
  status: number;
  /** By their names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  /** The body, as UTF-8. */
  text: string;
}
