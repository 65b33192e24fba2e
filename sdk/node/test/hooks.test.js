// The optional functions of a plugin, called as a host calls them.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { test } from "node:test";

import grpc from "@grpc/grpc-js";

import { nobody, readActor } from "../lib/context.js";
import { NotSetError, toStatus } from "../lib/errors.js";
import { currentActor, currentHost } from "../lib/index.js";
import { pluginServices } from "../lib/protocol.js";
import { readHeader } from "../lib/signed.js";
import { Launch } from "./launch.js";

const { lifecycle, validator, menu, actors, authenticator, http } = pluginServices;
const key = Buffer.from("0123456789abcdef0123456789abcdef");
const json = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value));

/** @param {import("node:test").TestContext} t */
async function everything(t) {
  const plugin = new Launch(t, "everything");
  await plugin.connect();
  /** @type {any[]} */
  const asked = [];
  const { services } = await plugin.init({
    GetSecret(request) {
      asked.push(request);
      throw toStatus(new NotSetError());
    },
    CanAccessSecret(request) {
      asked.push(request);
      return { allowed: true };
    },
  });
  const names = services.map((/** @type {string} */ name) => name.replace("secrets.plugin.v1.", ""));
  return { plugin, asked, names };
}

test("what a plugin has functions for", async (t) => {
  const { plugin, asked, names } = await everything(t);
  assert.deepEqual(names, ["Lifecycle", "Declarations", "Validator", "Menu", "Actors", "Authenticator", "Http"]);

  const result = (/** @type {string} */ value) =>
    plugin.call(validator.TestSecret, { name: "KEY", value: Buffer.from(value) });
  assert.deepEqual(await result("good"), { ok: true, message: "KEY is [redacted]" });
  assert.deepEqual(await result("hunter2"), { ok: false, message: "KEY is [redacted]" });

  const links = async (/** @type {object} */ actor) => (await plugin.call(menu.MenuLinks, { actor })).links;
  assert.deepEqual(await links({}), [{ href: "/", label: "undefined true true" }]);
  const ann = { json: json({ id: "ann" }), token: "proof" };
  assert.deepEqual(await links(ann), [{ href: "/", label: "ann true true" }]);
  assert.deepEqual(asked, [
    { name: "KEY", actorId: "", actorToken: "" },
    { name: "KEY", actorId: "ann", actorToken: "proof" },
  ]);

  const known = (/** @type {string[]} */ ids) => plugin.call(actors.ActorsFromIDs, { ids });
  assert.deepEqual(await known(["1", "2"]), { actors: { 1: json({ id: "1", name: "Ann" }) } });
  assert.deepEqual(await known([]), { actors: {} });

  const sender = async (/** @type {object} */ headers) =>
    (await plugin.call(authenticator.ActorFromRequest, { method: "GET", path: "/-/x", headers })).actorJson.toString();
  assert.equal(await sender({}), "");
  assert.deepEqual(JSON.parse(await sender({ "x-user": "ann" })), { id: "ann", via: "GET /-/x" });
});

test("no function is called before Init", async (t) => {
  const plugin = new Launch(t, "everything");
  await plugin.connect();
  for (const [method, request] of [
    [validator.TestSecret, { name: "KEY" }],
    [menu.MenuLinks, {}],
    [http.Listen, { address: join(plugin.dir, "http.sock"), key }],
  ]) {
    await assert.rejects(plugin.call(method, request), { code: grpc.status.INVALID_ARGUMENT });
  }
});

test("answers of the wrong type are refused", async (t) => {
  const plugin = new Launch(t, "wrong");
  await plugin.connect();
  assert.equal((await plugin.init()).services.length, 6); // serveHTTP is no function
  for (const method of [validator.TestSecret, menu.MenuLinks, actors.ActorsFromIDs, authenticator.ActorFromRequest]) {
    await assert.rejects(plugin.call(method), { code: grpc.status.INTERNAL, details: "internal error" });
  }
  await assert.rejects(plugin.call(http.Listen), { code: grpc.status.UNIMPLEMENTED });
});

test("a function is told that the host gave up", async (t) => {
  const plugin = new Launch(t, "slow");
  await plugin.connect();
  await plugin.init();
  const deadline = { deadline: Date.now() + 300 };
  const { path, requestSerialize, responseDeserialize } = validator.TestSecret;
  await new Promise((resolve) =>
    plugin.client?.makeUnaryRequest(path, requestSerialize, responseDeserialize, { name: "KEY" }, deadline, resolve),
  );
  await plugin.says("stderr", /"call":"TestSecret".*the host gave up/);
});

test("outside of a call there is no host and nobody", () => {
  assert.equal(currentActor(), null);
  assert.throws(currentHost, /only while it calls/);
});

test("ids are as the host writes them", () => {
  for (const [text, want] of [
    ['{"id":"ann"}', "ann"],
    ['{"id":"7\\"8"}', '7"8'],
    ['{"id":7}', "7"],
    ['{"a":"1\\\\","id":-7.50,"z":[1,{"2":3}]}', "-7.50"],
    ['{"id":123456789012345678901}', "123456789012345678901"],
    ['{"id":1e+3}', "1e+3"],
    ['{"id":true}', "True"],
    ['{"id":false}', "False"],
    ['{"id":null,"name":"Ann"}', ""],
    ['{"id":[1]}', ""],
  ]) {
    assert.deepEqual(readActor(Buffer.from(text), "t"), { actor: JSON.parse(text), actorId: want, token: "t" });
  }
  for (const text of ["", "null", "{}"]) {
    assert.equal(readActor(Buffer.from(text), "t"), nobody);
  }
});

/** @param {object | string} payload */
function sign(payload, secret = key) {
  const text = typeof payload === "string" ? payload : json(payload).toString("base64url");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

const soon = () => Math.floor(Date.now() / 1000) + 60;
const fields = (/** @type {object} */ more = {}) => ({
  actor: null,
  token: "",
  method: "GET",
  path: "/",
  expires: soon(),
  ...more,
});

/**
 * @param {string} socketPath
 * @param {string} method
 * @param {string} path
 * @param {string[]} headers
 * @param {string} [body]
 * @returns {Promise<{ status?: number, text: string }>}
 */
function ask(socketPath, method, path, headers, body) {
  return new Promise((resolve, reject) => {
    const all = ["Host", "localhost", ...headers];
    const request = httpRequest({ socketPath, method, path, headers: all, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk)).on("end", () => resolve({ status: response.statusCode, text }));
      response.on("error", reject);
    });
    request.on("error", reject).end(body);
  });
}

test("pages", async (t) => {
  const { plugin, asked } = await everything(t);
  const address = join(plugin.dir, "http.sock");
  const short = plugin.call(http.Listen, { address, key: Buffer.from("short") });
  await assert.rejects(short, { code: grpc.status.INVALID_ARGUMENT });
  await plugin.call(http.Listen, { address, key, prefix: "/-/plugins/weather" });
  assert.equal(statSync(address).mode & 0o777, 0o600);

  await t.test("the host is answered", async () => {
    const header = sign(fields({ actor: { id: "ann" }, token: "proof", method: "POST", path: "/a%20b?c=d" }));
    const headers = ["X-One", "1", "Datasette-Secrets-Actor", header];
    const { status, text } = await ask(address, "POST", "/a%20b?c=d", headers, "a body");
    assert.equal(status, 200);
    const seen = JSON.parse(text);
    assert.deepEqual(
      [seen.method, seen.url, seen.text, seen.actor, seen.headers["x-one"]],
      ["POST", "/a%20b?c=d", "a body", { id: "ann" }, "1"],
    );
    assert.doesNotMatch(text, /datasette-secrets-actor|proof/i);
    assert.deepEqual(asked.at(-1), { name: "KEY", actorId: "ann", actorToken: "proof" });
  });

  await t.test("nobody", async () => {
    const { text } = await ask(address, "GET", "/", ["Datasette-Secrets-Actor", sign(fields())]);
    assert.equal(JSON.parse(text).actor, null);
    assert.deepEqual(asked.at(-1), { name: "KEY", actorId: "", actorToken: "" });
  });

  await t.test("strangers are refused", async () => {
    const before = asked.length;
    const good = sign(fields());
    for (const headers of [
      [],
      ["Datasette-Secrets-Actor", ""],
      ["Datasette-Secrets-Actor", sign(fields(), Buffer.from("another key of thirty-two bytes!"))],
      ["Datasette-Secrets-Actor", sign(fields({ path: "/other" }))],
      ["Datasette-Secrets-Actor", good, "Datasette-Secrets-Actor", good],
    ]) {
      assert.equal((await ask(address, "GET", "/", headers)).status, 403);
    }
    assert.equal((await ask(address, "POST", "/", ["Datasette-Secrets-Actor", good], "x")).status, 403);
    assert.equal(asked.length, before);
  });

  await t.test("failures are in the log", async () => {
    const headers = (/** @type {string} */ path) => ["Datasette-Secrets-Actor", sign(fields({ path }))];
    const { status, text } = await ask(address, "GET", "/fails", headers("/fails"));
    assert.equal(status, 500);
    assert.doesNotMatch(text, /weather/);
    await plugin.says("stderr", /"serving a page failed".*no weather.*plugin\.js/);
    await assert.rejects(ask(address, "GET", "/late", headers("/late"))); // never half an answer
  });

  await t.test("listening again ends what was before", async () => {
    const next = join(plugin.dir, "next.sock");
    await plugin.call(http.Listen, { address: next, key });
    assert.ok(!existsSync(address));
    assert.equal((await ask(next, "GET", "/", ["Datasette-Secrets-Actor", sign(fields())])).status, 200);
    await plugin.call(lifecycle.Shutdown);
    assert.ok(!existsSync(next));
  });
});

test("what the header of a request says", () => {
  const now = 1_700_000_000;
  const read = (/** @type {unknown} */ header, at = now) => readHeader(header, key, { method: "GET", url: "/" }, at);
  const good = fields({ expires: now, actor: { id: "ann" }, token: "t", future: 1 });
  assert.deepEqual(read(sign(good)), { actor: { id: "ann" }, actorId: "ann", token: "t" });
  assert.deepEqual(read(sign({ ...good, actor: {} })), nobody);
  assert.equal(read(sign(good), now + 1), undefined);
  const signed = sign(good);
  for (const wrong of [
    undefined,
    "",
    ".",
    "x",
    signed.replace(".", ".."),
    `${signed}=`,
    `${signed}.`,
    signed.slice(0, -1),
    `${signed}, ${signed}`,
    `é${signed}`,
    sign(good, Buffer.alloc(32)),
    ...Object.keys(fields()).map((name) => sign({ ...good, [name]: undefined })),
    sign({ ...good, expires: String(now) }),
    sign({ ...good, expires: true }),
    sign({ ...good, actor: "ann" }),
    sign({ ...good, actor: [] }),
    sign({ ...good, token: null }),
    sign({ ...good, method: "get" }),
    sign("hunter2"),
    sign(""),
    sign(json(null).toString("base64url")),
    sign(json([]).toString("base64url")),
  ]) {
    assert.equal(read(wrong), undefined);
  }
});
