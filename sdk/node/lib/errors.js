// The errors of a host, and the one table of how they cross the wire: a gRPC
// code and a google.rpc.ErrorInfo. The cause of an error never crosses.
import grpc from "@grpc/grpc-js";

import { domain, messages } from "./protocol.js";

const detailsKey = "grpc-status-details-bin";
const infoType = "type.googleapis.com/google.rpc.ErrorInfo";
const maxText = 1024; // characters of a text that the other side chose

/** The class of every error of a host. */
export class SecretsError extends Error {
  /**
   * @param {string} message
   * @param {ErrorOptions & { code?: string }} [options]
   */
  constructor(message, options = {}) {
    super(message, options);
    this.code = options.code ?? "INTERNAL";
  }

  get name() {
    return this.constructor.name;
  }
}

/**
 * Makes the class for a reason in the table, with its text.
 *
 * @param {string} code
 * @param {string} text
 */
function known(code, text) {
  return class extends SecretsError {
    /**
     * @param {string} [message]
     * @param {ErrorOptions & { code?: string }} [options]
     */
    constructor(message = text, options) {
      super(message, { code, ...options });
    }
  };
}

export class NotSetError extends known("SECRET_NOT_SET", "secret is not set") {}
export class DeniedError extends known("ACTOR_DENIED", "permission denied") {}
export class NotApprovedError extends DeniedError {
  /**
   * @param {string} [message]
   * @param {ErrorOptions & { code?: string }} [options]
   */
  constructor(message = "permission denied: an administrator has to approve this first", options) {
    super(message, { code: "GRANT_PENDING", ...options });
  }
}
export class SealedError extends known("HOST_SEALED", "host is sealed") {}
export class NotConfiguredError extends known("NOT_CONFIGURED", "datasette-secrets has not been configured") {}
export class IntegrityError extends known("DECRYPT_FAILED", "stored secret cannot be read with the configured keys") {}
export class UnavailableError extends known("HOST_UNAVAILABLE", "temporarily unavailable") {}

/**
 * The table: what an ErrorInfo's reason means.
 *
 * @type {Record<string, { code: grpc.status, make: (text: string, options: { code: string }) => SecretsError, text?: string }>}
 */
export const reasons = {
  SECRET_NOT_SET: row(grpc.status.NOT_FOUND, NotSetError),
  SECRET_NOT_DECLARED: row(
    grpc.status.PERMISSION_DENIED,
    DeniedError,
    "permission denied: secret not declared by this plugin",
  ),
  GRANT_PENDING: row(grpc.status.PERMISSION_DENIED, NotApprovedError),
  ACTOR_DENIED: row(grpc.status.PERMISSION_DENIED, DeniedError),
  HOST_SEALED: row(grpc.status.FAILED_PRECONDITION, SealedError),
  NOT_CONFIGURED: row(grpc.status.FAILED_PRECONDITION, NotConfiguredError),
  DECRYPT_FAILED: row(grpc.status.DATA_LOSS, IntegrityError),
  HOST_UNAVAILABLE: row(grpc.status.UNAVAILABLE, UnavailableError),
  BAD_REQUEST: row(grpc.status.INVALID_ARGUMENT, SecretsError), // the text is for whoever asked
  NOT_FOUND: row(grpc.status.NOT_FOUND, SecretsError, "not found"),
};

/**
 * @param {grpc.status} code
 * @param {typeof SecretsError | typeof NotSetError} Class
 * @param {string} [text] the class's own if there is none
 */
function row(code, Class, text = Class === SecretsError ? undefined : new (/** @type {typeof NotSetError} */ (Class))().message) {
  return {
    code,
    text,
    make: (/** @type {string} */ message, /** @type {{ code: string }} */ options) => new Class(message, options),
  };
}

/**
 * Turns an error into what may cross to the host.
 *
 * @param {unknown} error
 * @returns {{ code: grpc.status, details: string, metadata?: grpc.Metadata }}
 */
export function toStatus(error) {
  const reason = error instanceof SecretsError ? error.code : "";
  if (error instanceof SecretsError && Object.hasOwn(reasons, reason)) {
    const { code, text = clean(error.message) } = reasons[reason];
    return { code, details: text, metadata: withReason(code, text, reason) };
  }
  return { code: grpc.status.INTERNAL, details: "internal error" };
}

/**
 * @param {grpc.status} code
 * @param {string} message
 * @param {string} reason
 */
function withReason(code, message, reason) {
  const info = messages.errorInfo.serialize({ domain, reason });
  const metadata = new grpc.Metadata();
  const status = { code, message, details: [{ typeUrl: infoType, value: info }] };
  metadata.set(detailsKey, messages.status.serialize(status));
  return metadata;
}

/**
 * Turns the error of a gRPC call back into its class. A transport that fails
 * or takes too long is an UnavailableError.
 *
 * @param {string} doing
 * @param {Partial<grpc.ServiceError>} error
 * @returns {SecretsError}
 */
export function fromStatus(doing, error) {
  const reason = reasonOf(error);
  if (reason !== undefined) {
    const { make, text = clean(error.details) } = reasons[reason];
    return make(`${doing}: ${text}`, { code: reason });
  }
  const details = clean(error.details);
  switch (lost(details) ? grpc.status.UNAVAILABLE : error.code) {
    case grpc.status.DEADLINE_EXCEEDED:
      return new UnavailableError(`${doing}: temporarily unavailable: deadline exceeded`);
    case grpc.status.UNAVAILABLE:
    case undefined: // the connection is closed on this side
      return new UnavailableError(`${doing}: temporarily unavailable: ${details || "the connection is closed"}`);
    case grpc.status.INTERNAL:
      return new SecretsError(`${doing}: internal error`);
  }
  const code = grpc.status[error.code ?? grpc.status.UNKNOWN] ?? "UNKNOWN";
  return new SecretsError(`${doing}: ${code}: ${details}`, { code });
}

/**
 * Whether a call ended without an answer: grpc-js has another code for it than
 * for a connection that breaks between calls.
 *
 * @param {string} details
 */
const lost = (details) => details.startsWith("Received RST_STREAM");

/**
 * Makes the error that a reason stands for.
 *
 * @param {string} doing
 * @param {string} reason
 * @returns {SecretsError}
 */
export function fromReason(doing, reason) {
  if (!Object.hasOwn(reasons, reason)) {
    return new SecretsError(`${doing}: ${clean(reason) || "internal error"}`);
  }
  const { make, text = "invalid request" } = reasons[reason];
  return make(`${doing}: ${text}`, { code: reason });
}

/**
 * The reason that an error names, if it is one of the table.
 *
 * @param {Partial<grpc.ServiceError>} error
 * @returns {string | undefined}
 */
function reasonOf(error) {
  for (const data of error.metadata?.get(detailsKey) ?? []) {
    for (const info of infos(data)) {
      if (info.domain === domain && Object.hasOwn(reasons, info.reason)) {
        return info.reason;
      }
    }
  }
  return undefined;
}

/**
 * @param {unknown} data
 * @returns {{ domain: string, reason: string }[]}
 */
function infos(data) {
  try {
    const { details = [] } = messages.status.deserialize(data);
    return details
      .filter((/** @type {any} */ d) => d.typeUrl === infoType)
      .map((/** @type {any} */ d) => messages.errorInfo.deserialize(d.value));
  } catch {
    return []; // not what it says it is
  }
}

/**
 * Makes a text that came from elsewhere fit for a log line.
 *
 * @param {string | undefined} text
 */
function clean(text) {
  return (text ?? "").slice(0, maxText).replace(/[^\P{C}]|[\u2028\u2029]/gu, " ");
}
