/**
 * What the author of a plugin imports.
 *
 * A plugin is a program of its own that the host, datasette-secrets, starts as
 * a subprocess. It declares the secrets it needs, an administrator gives them
 * values on the host's pages, and the plugin reads them when it needs them.
 *
 * Log with `host.logger`: its lines reach the host's log under the plugin's
 * name. Standard input belongs to `serve`, and standard output to the protocol:
 * what is written to it goes to standard error instead.
 */

export {}; // nothing is exported but what says so

/** Declares that a plugin needs a secret. */
export interface Secret {
  /** 1 to 255 of A-Z a-z 0-9 _ . - by custom in upper case: OPENAI_API_KEY */
  name: string;
  /** One sentence for the administrator; of HTML, a, code, em, strong and br are kept. */
  description?: string;
  /** The page on which to get a value. */
  obtainUrl?: string;
  /** The text of the link to obtainUrl; without it there is no link. */
  obtainLabel?: string;
  /** An expression (RE2) that a whole value must match. */
  pattern?: string;
  /** What a value looks like, shown beside the field. No real value. */
  example?: string;
  /** Whether values have several lines, such as a private key. */
  multiline?: boolean;
  /** How much of a stored value administrators may see; without it, nothing. */
  redact?: Redact;
}

/** How many characters of a stored value stay readable, to recognise it by. */
export interface Redact {
  /** At its beginning. */
  prefix?: number;
  /** At its end. */
  suffix?: number;
}

/** Makes a declaration: `secret("KEY", { description: "…" })`. */
export function secret(name: string, rest?: Omit<Secret, "name">): Secret;

/** What every plugin implements. */
export interface Plugin {
  /** The plugin's own version, shown to administrators. */
  version?: string;

  /**
   * Says which secrets the plugin needs. It is called once, soon after the
   * plugin was started, and should answer at once and always the same.
   */
  registerSecrets(): readonly Secret[] | Promise<readonly Secret[]>;

  /**
   * Is called once the plugin's declarations are known. It may return when
   * everything is under way, or stay for as long as the plugin works; `signal`
   * is aborted when the plugin is asked to stop. Then start should return
   * within a second.
   *
   * When start throws or rejects before that, the plugin has failed: it ends,
   * and the host starts it again after a while.
   */
  start?(host: Host, signal: AbortSignal): unknown;

  /*
   * The host is offered what follows by its presence, and may call it before
   * `start` has come far: `currentHost()` has the host. Each has little time,
   * after which the host goes on without the answer and `signal` is aborted.
   */

  /**
   * Tries a value out, for an administrator who wants to know whether it
   * works.
   */
  testSecret?(name: string, value: Value, signal: AbortSignal): TestResult | Promise<TestResult>;

  /** Links for the menu of every page; an actor of null is nobody. */
  menuLinks?(actor: Actor | null, signal: AbortSignal): readonly MenuLink[] | Promise<readonly MenuLink[]>;

  /** The actors that the plugin knows, by their ids. */
  actorsFromIDs?(ids: readonly string[], signal: AbortSignal): ActorsByID | Promise<ActorsByID>;

  /**
   * Who sends a request to the host, or null if this plugin does not know. It
   * needs the approval of an administrator.
   */
  actorFromRequest?(request: RequestMeta, signal: AbortSignal): Actor | null | Promise<Actor | null>;

  /**
   * Answers a request to the plugin's own pages, which the host shows under
   * /-/plugins/NAME/: a handler as for Node's `createServer`, or an application
   * of a framework that is one. `currentActor()` tells who sent it.
   */
  serveHTTP?(request: HTTPRequest, response: HTTPResponse): unknown;
}

/** Who is signed in at the host: an object, usually with an "id". */
export interface Actor {
  [key: string]: any;
}

/** Actors by their ids. */
export type ActorsByID = Record<string, Actor | null> | Map<string, Actor | null>;

/** Tells whether a value works. */
export interface TestResult {
  ok: boolean;
  /** One sentence for the administrator, without the value. */
  message?: string;
}

/** A link in the menu of every page. */
export interface MenuLink {
  /** A path on the host, such as /-/plugins/weather/, or an http or https URL. */
  href: string;
  label: string;
}

/** A request to the host, of which somebody has to say who sent it. */
export interface RequestMeta {
  method: string;
  /** The escaped path, without the query. */
  path: string;
  /** Those that the administrator lets this plugin see, by names in lower case. */
  headers: Record<string, string>;
}

/** The part of Node's IncomingMessage that is written down here. */
export interface HTTPRequest {
  method?: string;
  /** The path below /-/plugins/NAME, with the query. */
  url?: string;
  headers: Record<string, string | string[] | undefined>;
  [Symbol.asyncIterator](): AsyncIterator<any>;
}

/** The part of Node's ServerResponse that is written down here. */
export interface HTTPResponse {
  statusCode: number;
  setHeader(name: string, value: string | number | readonly string[]): unknown;
  writeHead(status: number, headers?: Record<string, string | number | string[]>): unknown;
  write(chunk: string | Uint8Array): boolean;
  end(chunk?: string | Uint8Array): unknown;
}

/**
 * The host that calls one of the optional functions, which may be before
 * `start` has come far. It throws anywhere else.
 */
export function currentHost(): Host;

/**
 * Who is signed in: who sent the request that `serveHTTP` answers, or who looks
 * at the menu that `menuLinks` is for. It is null for nobody, and anywhere
 * else.
 */
export function currentActor(): Actor | null;

/** Options of every question to the host. */
export interface CallOptions {
  /** Gives the question up: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds after which the question has failed; 10,000 if not given. */
  timeout?: number;
}

/** Options of a question about an actor. */
export interface ActorOptions extends CallOptions {
  /**
   * On whose behalf. Without it that is the actor whom the host has just asked
   * this plugin something for, and otherwise nobody in particular.
   */
  actorId?: string | null;
}

/**
 * What a plugin can ask of its host. Every question may fail with one of the
 * errors below.
 */
export interface Host {
  /**
   * The value of a secret that this plugin declared. It counts as a use of the
   * secret by the actor with that id.
   */
  getSecret(name: string, options?: ActorOptions): Promise<Value>;

  /**
   * getSecret for many secrets at once, which is faster. The result has what
   * could be got, and says why the others could not.
   */
  getSecrets(names: Iterable<string>, options?: ActorOptions): Promise<Secrets>;

  /**
   * Whether getSecret would be allowed. It is no use of the secret, and says
   * nothing about whether it has a value.
   */
  canAccessSecret(name: string, options?: ActorOptions): Promise<boolean>;

  /** Which of the declared secrets have a value. It is no use of them. */
  listSecrets(options?: CallOptions): Promise<SecretStatus[]>;

  /**
   * The plugin's own block of the host's configuration, plugins.NAME; null
   * where there is none.
   */
  config(options?: CallOptions): Promise<any>;

  /**
   * Changes of secrets, of all declared ones without names, until the plugin is
   * to stop or `signal` is aborted. What changes from the first step on is
   * told; when the connection breaks, it goes on where it was. It throws when
   * the host will not tell.
   *
   * Read a value after the first step and at each change. A plugin that only
   * wants the newest value needs no watch, and asks whenever it needs it.
   */
  watch(names?: readonly string[], options?: { signal?: AbortSignal }): AsyncGenerator<Change, void, void>;

  /** Writes to the host's log. A Value in it hides itself. */
  readonly logger: Logger;
}

/** Tells whether a declared secret has a value. */
export interface SecretStatus {
  name: string;
  set: boolean;
  /** Empty while not set. */
  source: "env" | "database" | "";
}

/** The values that the host gave, by name. */
export interface Secrets extends ReadonlyMap<string, Value> {
  /** A value. It throws the error of a name that has none, as getSecret would. */
  get(name: string): Value;
  /** Why the host did not give the others, by name. */
  readonly errors: ReadonlyMap<string, SecretsError>;
}

/** Says that something about a secret is different. It holds no value. */
export interface Change {
  /**
   * - "opened", the first of every watch: from here on changes are told, and
   *   what is read does not get old unnoticed
   * - "updated": the secret has a new value
   * - "revoked": it has none any more, or the plugin may not read it
   * - "resync": changes may have been missed, and whatever is kept of any secret
   *   is to be read again
   */
  kind: "opened" | "updated" | "revoked" | "resync";
  /** The secret's; empty for "opened" and "resync". */
  name: string;
  /** The newest in the host's database; 0 when there is none. */
  version: number;
}

/** A log whose lines have a message and fields. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/**
 * The clear text of a secret. It hides itself: as a string, as JSON and in
 * console.log it is "[redacted]".
 */
export class Value {
  constructor(text: string, version?: number);
  /** Which value of the secret this is, counted by the host's database; 0 from elsewhere. */
  readonly version: number;
  /**
   * The clear text. Every call of it is a place where a secret can leak: keep
   * the result in the smallest possible scope.
   */
  reveal(): string;
  /** The length of the clear text in bytes. */
  get byteLength(): number;
  toString(): "[redacted]";
  toJSON(): "[redacted]";
}

/** The class of every error of a Host. */
export class SecretsError extends Error {
  constructor(message: string, options?: ErrorOptions & { code?: string });
  /** The reason, as it crosses the wire: "SECRET_NOT_SET", … */
  readonly code: string;
}

/** An error with a text of its own. */
declare class KnownError extends SecretsError {
  constructor(message?: string, options?: ErrorOptions & { code?: string });
}

/** The secret is declared, but has no value yet. */
export class NotSetError extends KnownError {}

/** The plugin did not declare this secret, or the actor may not use it. */
export class DeniedError extends KnownError {}

/** The plugin declared this secret, but an administrator has not approved it. */
export class NotApprovedError extends DeniedError {}

/** The host has no encryption key and so no database of secrets. */
export class NotConfiguredError extends KnownError {}

/** The host's keys have to be unsealed by a person first. */
export class SealedError extends KnownError {}

/** The stored value cannot be read with the host's keys. */
export class IntegrityError extends KnownError {}

/**
 * The host cannot be reached or cannot answer now. Trying again later may
 * help.
 */
export class UnavailableError extends KnownError {}

/**
 * Runs a plugin until the host asks it to stop, and then ends the process. It
 * is all that a plugin's program has to call.
 */
export function serve(plugin: Plugin): void;
