import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { format, inspect } from "node:util";

import grpc from "@grpc/grpc-js";

import { checkDeclarations, secret } from "../lib/declare.js";
import { fromStatus, reasons, toStatus } from "../lib/errors.js";
import * as sdk from "../lib/index.js";
import { newLogger } from "../lib/logger.js";
import * as protocol from "../lib/protocol.js";

const read = (/** @type {string} */ path) => readFileSync(new URL(path, import.meta.url), "utf8");

test("a value hides itself", () => {
  const value = new sdk.Value("hunter2");
  const shown = [
    String(value),
    `${value}`,
    value + "",
    JSON.stringify({ value }),
    inspect(value),
    inspect({ deep: { value } }, { customInspect: false, showHidden: true, depth: 9 }),
    format("%s %o %O %j", value, value, value, value),
    JSON.stringify(Object.entries(value)),
    JSON.stringify(structuredClone({ value })),
  ];
  assert.doesNotMatch(shown.join(), /hunter2/);
  assert.deepEqual(shown.slice(0, 5), [...Array(3).fill("[redacted]"), '{"value":"[redacted]"}', "[redacted]"]);
  assert.equal(value.reveal(), "hunter2");
  assert.equal(new sdk.Value("ü").byteLength, 2);
});

test("every row of the host's table of errors has one here, and crosses", () => {
  const table = read("../../../internal/pluginwire/status.go");
  const rows = [...table.matchAll(/\{secrets\.Err(\w+), codes\.(\w+), "(\w+)"\}/g)];
  assert.equal(rows.length, Object.keys(reasons).length);
  for (const [, sentinel, code, reason] of rows) {
    assert.equal(reasons[reason].code, grpc.status[/** @type {any} */ (code.replace(/\B[A-Z]/g, "_$&").toUpperCase())]);
    const error = reasons[reason].make("because", { code: reason });
    const back = fromStatus("asking", toStatus(error));
    assert.deepEqual([back.constructor, back.code], [error.constructor, reason]);
    assert.ok(back instanceof sdk.SecretsError);
    const named = /** @type {any} */ (sdk)[`${sentinel}Error`];
    assert.ok(named === undefined || back instanceof named);
    assert.equal(back.name, named?.name ?? back.constructor.name);
  }
});

test("errors have the words of the host", () => {
  const words = read("../../../errors.go");
  for (const Class of [sdk.NotSetError, sdk.DeniedError, sdk.SealedError, sdk.NotConfiguredError, sdk.IntegrityError, sdk.UnavailableError]) {
    assert.ok(words.includes(`"${new Class().message}"`), Class.name);
    assert.equal(new Class("other words").message, "other words");
  }
});

test("what an administrator has not approved is also denied", () => {
  const error = fromStatus("asking", toStatus(new sdk.NotApprovedError()));
  assert.ok(error instanceof sdk.NotApprovedError && error instanceof sdk.DeniedError);
  assert.deepEqual([error.name, error.code], ["NotApprovedError", "GRANT_PENDING"]);
  assert.equal(error.message, "asking: permission denied: an administrator has to approve this first");
});

test("errors that name no reason", () => {
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from("hunter2"));
  /** @type {[grpc.status | undefined, typeof sdk.SecretsError | typeof sdk.NotSetError, string][]} */
  const rows = [
    [grpc.status.UNAVAILABLE, sdk.UnavailableError, "x: temporarily unavailable: a b"],
    [grpc.status.DEADLINE_EXCEEDED, sdk.UnavailableError, "x: temporarily unavailable: deadline exceeded"],
    [undefined, sdk.UnavailableError, "x: temporarily unavailable: a b"],
    [grpc.status.INTERNAL, sdk.SecretsError, "x: internal error"],
    [grpc.status.NOT_FOUND, sdk.SecretsError, "x: NOT_FOUND: a b"],
  ];
  for (const [code, Class, message] of rows) {
    const error = fromStatus("x", { code, details: "a\nb", metadata });
    assert.deepEqual([error.constructor, error.message], [Class, message]);
  }
  assert.deepEqual(toStatus(new Error("hunter2")), { code: grpc.status.INTERNAL, details: "internal error" });
  assert.equal(toStatus(new sdk.SecretsError("hunter2", { code: "toString" })).details, "internal error");
});

test("the protocol is the host's", () => {
  const go = read("../../../internal/pluginwire/pluginwire.go");
  for (const part of [
    `CookieKey   = "${protocol.cookie.key}"`,
    `CookieValue = "${protocol.cookie.value}"`,
    `ProtocolVersion = ${protocol.protocolVersion}\n`,
    `Authority = "${protocol.authority}"`,
    `HostMaxReceive   = ${protocol.maxMessage >> 20} << 20`,
    `PluginMaxReceive = ${protocol.maxMessage >> 20} << 20`,
    `MaxBootstrap     = ${protocol.maxBootstrap >> 10} << 10`,
    `HostCallTimeout  = ${protocol.hostCallTimeout / 1000} * time.Second`,
  ]) {
    assert.ok(go.includes(part), part);
  }
});

test("the stubs are those of the protos", () => {
  const generate = fileURLToPath(new URL("../scripts/generate.js", import.meta.url));
  const made = execFileSync(process.execPath, [generate, "--print"], { encoding: "utf8" });
  assert.equal(made, read("../lib/stubs.js"), "run: npm run generate");
});

test("declarations are checked", () => {
  const declared = secret("KEY", { description: "d" });
  assert.deepEqual(declared, { name: "KEY", description: "d" });
  const empty = { obtainUrl: "", obtainLabel: "", pattern: "", example: "", multiline: false, redact: undefined };
  assert.deepEqual(checkDeclarations([declared]), [{ ...empty, ...declared }]);
  const full = { ...empty, ...declared, pattern: "sk-.*", example: "sk-1", multiline: true, redact: { prefix: 3 } };
  assert.deepEqual(checkDeclarations([full]), [{ ...full, redact: { prefix: 3, suffix: 0 } }]);
  for (const wrong of [
    undefined,
    {},
    [undefined],
    [{ name: 1 }],
    [{ name: "KEY", obtainUrl: new URL("https://example.com") }],
    [{ name: "KEY", multiline: "yes" }],
    [{ name: "KEY", redact: { suffix: "4" } }],
    [{ name: "KEY", redact: { prefix: -1 } }],
    [{ name: "KEY", pattern: /a/ }],
  ]) {
    assert.throws(() => checkDeclarations(wrong), TypeError);
  }
  assert.throws(() => sdk.serve(/** @type {any} */ ({})), /registerSecrets/);
});

test("a line of the log", () => {
  /** @type {string[]} */
  const lines = [];
  const logger = newLogger({ write: (line) => lines.push(line) }, "weather");
  /** @type {any} */
  const circle = { big: 1n };
  circle.self = circle;
  logger.warn("two\nlines", { "@level": "mine", key: new sdk.Value("hunter2"), error: new TypeError("t"), circle, nothing: undefined });
  logger.error("no fields");
  const [first, second] = lines.map((line) => JSON.parse(line));
  assert.match(first.circle, /Circular/);
  delete first["@timestamp"];
  assert.deepEqual(first, {
    "@level": "warn",
    "@message": "two\nlines",
    "@module": "weather",
    "attr.level": "mine",
    key: "[redacted]",
    error: "TypeError: t",
    circle: first.circle,
    nothing: null,
  });
  assert.equal(second["@level"], "error");
  assert.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
});
