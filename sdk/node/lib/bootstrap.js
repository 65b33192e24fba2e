// The first line of standard input: the plugin's certificate and key, and the
// certificate of its host. Nothing that was read is repeated in an error, for
// it may be a key.
import { createSecureContext } from "node:tls";

import { maxBootstrap } from "./protocol.js";

/**
 * The three files of mutual TLS, in PEM.
 *
 * @typedef {{ cert: Buffer, key: Buffer, hostCert: Buffer }} Identity
 */

/**
 * Reads the bootstrap line. Nothing follows it but the end of the input.
 *
 * @param {import("node:stream").Readable} input
 * @returns {Promise<Identity>}
 */
export async function readBootstrap(input) {
  const identity = parse(await firstLine(input));
  try {
    createSecureContext({ cert: identity.cert, key: identity.key, ca: identity.hostCert });
  } catch {
    throw new Error("the certificates of the bootstrap line cannot be used");
  }
  return identity;
}

/**
 * @param {import("node:stream").Readable} input
 * @returns {Promise<string>}
 */
function firstLine(input) {
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let length = 0;
    const done = (/** @type {() => void} */ settle) => {
      input.off("data", onData).off("end", onEnd).off("error", onEnd);
      settle();
    };
    const onEnd = () => done(() => reject(new Error("the input ended before the bootstrap line did")));
    const onData = (/** @type {Buffer} */ chunk) => {
      const end = chunk.indexOf(10);
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
      length += chunk.length;
      if (end >= 0) {
        done(() => resolve(Buffer.concat(chunks).toString()));
      } else if (length >= maxBootstrap) {
        done(() => reject(new Error("the bootstrap line is too long")));
      }
    };
    input.on("data", onData).on("end", onEnd).on("error", onEnd);
  });
}

/**
 * @param {string} line
 * @returns {Identity}
 */
function parse(line) {
  let fields;
  try {
    fields = JSON.parse(line);
  } catch {
    throw new Error("the bootstrap line is not the JSON that was expected");
  }
  const { version, cert, key, host_cert: hostCert } = fields ?? {};
  if (version !== 1) {
    throw new Error("the host speaks another version of the bootstrap line than this plugin");
  }
  if (![cert, key, hostCert].every((pem) => typeof pem === "string")) {
    throw new Error("the bootstrap line is not the JSON that was expected");
  }
  return { cert: Buffer.from(cert), key: Buffer.from(key), hostCert: Buffer.from(hostCert) };
}
