// The header by which the host signs its requests to the plugin's own pages.
// The format is in pluginapi/proto/plugin.proto, at ListenRequest.key.
import { createHmac, timingSafeEqual } from "node:crypto";

import { exactly, signedIn } from "./context.js";

/** @import { Actor } from "../index.js" */
/** @import { SignedIn } from "./context.js" */

/** The header's name, as Node has it. */
export const actorHeader = "datasette-secrets-actor";

/**
 * Who sent a request, and the host's proof of it; nothing unless the host sent
 * exactly this request.
 *
 * @param {unknown} header
 * @param {Buffer} key
 * @param {{ method?: string, url?: string }} request
 * @param {number} now in seconds since 1970
 * @returns {SignedIn | undefined}
 */
export function readHeader(header, key, { method, url }, now) {
  if (typeof header !== "string") {
    return undefined;
  }
  const [payload, mac, ...rest] = header.split(".");
  const wanted = createHmac("sha256", key).update(payload).digest("base64url");
  if (rest.length !== 0 || !same(mac ?? "", wanted)) {
    return undefined;
  }
  try {
    const text = Buffer.from(payload, "base64url").toString();
    const fields = JSON.parse(text);
    if (fields.method !== method || fields.path !== url || typeof fields.token !== "string") {
      return undefined;
    }
    if (typeof fields.expires !== "number" || now > fields.expires || fields.actor === undefined) {
      return undefined;
    }
    return signedIn(fields.actor, exactly(text).actor, fields.token);
  } catch {
    return undefined; // not what the host would sign
  }
}

/**
 * Signs a request as the host does. Only tests have to.
 *
 * @param {Buffer} key
 * @param {{ actor: Actor | null, token: string, method: string, path: string, expires: number }} fields
 */
export function writeHeader(key, fields) {
  const payload = Buffer.from(JSON.stringify(fields)).toString("base64url");
  return `${payload}.${createHmac("sha256", key).update(payload).digest("base64url")}`;
}

/**
 * @param {string} a
 * @param {string} b
 */
function same(a, b) {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
