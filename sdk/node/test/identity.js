// The certificates that a host makes for one launch of a plugin, as
// internal/pluginwire makes them. Node has no library for that, but the few
// that are needed are quickly written.
import { createSign, generateKeyPairSync, randomBytes } from "node:crypto";

/** @typedef {{ cert: string, key: string }} Side */

/** @returns {{ host: Side, plugin: Side }} */
export function newIdentity() {
  return { host: newSide("host"), plugin: newSide("plugin") };
}

/**
 * @param {string} name
 * @returns {Side}
 */
export function newSide(name) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = seq(oid("2a8648ce3d040302")); // ecdsa-with-SHA256
  const subject = seq(der(0x31, seq(oid("550403"), der(0x0c, Buffer.from(name)))));
  const validity = seq(der(0x17, Buffer.from("700101000000Z")), der(0x18, Buffer.from("99991231235959Z")));
  const extensions = seq(
    extension("551d13", true, seq(yes)), // a certificate authority of its own
    extension("551d0f", true, der(0x03, Buffer.from("0284", "hex"))), // signs, also certificates
    extension("551d25", false, seq(oid("2b06010505070302"), oid("2b06010505070301"))), // either end
    extension("551d11", false, seq(der(0x82, Buffer.from("localhost")))),
  );
  const serial = der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const version = der(0xa0, der(0x02, Buffer.from([2])));
  const spki = publicKey.export({ type: "spki", format: "der" });
  const body = seq(version, serial, algorithm, subject, validity, subject, spki, der(0xa3, extensions));
  const signature = createSign("sha256").update(body).sign(privateKey);
  const certificate = seq(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

const yes = der(0x01, Buffer.from([0xff]));

/**
 * @param {number} tag
 * @param {Buffer} content
 */
function der(tag, content) {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** @param {Buffer[]} parts */
function seq(...parts) {
  return der(0x30, Buffer.concat(parts));
}

/** @param {string} hex */
function oid(hex) {
  return der(0x06, Buffer.from(hex, "hex"));
}

/**
 * @param {string} id
 * @param {boolean} critical
 * @param {Buffer} value
 */
function extension(id, critical, value) {
  return seq(oid(id), ...(critical ? [yes] : []), der(0x04, value));
}
