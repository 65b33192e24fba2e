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
}

/** Options of every question to the host. */
export interface CallOptions {
  /** Gives the question up: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds after which the question has failed; 10,000 if not given. */
  timeout?: number;
}

/** Options of a question about an actor. */
export interface ActorOptions extends CallOptions {
  /** On whose behalf; without it, for nobody in particular. */
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
  constructor(text: string);
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
