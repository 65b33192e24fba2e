// Watches, and the values that are kept while one is open, against a small
// host.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import grpc from "@grpc/grpc-js";

import { Cache } from "../lib/cache.js";
import { called } from "../lib/context.js";
import { DeniedError, toStatus } from "../lib/errors.js";
import { newHost } from "../lib/host.js";
import { Value } from "../lib/index.js";
import { hostServices } from "../lib/protocol.js";

const opened = { kind: 1, cursor: "1" };
const updated = (/** @type {string} */ name, /** @type {number} */ version, /** @type {string} */ cursor) => ({
  kind: 2,
  name,
  version,
  cursor,
});
const resync = { kind: 4, cursor: "3" };
const logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A host on a socket, and a plugin's view of it. */
class World {
  version = 1;
  asked = 0;
  maxAge = 60;
  /** @type {Promise<unknown> | undefined} */
  held; // the answer to a read
  /** @type {any[]} */
  #watches = [];
  #opened = new EventTarget();
  lifetime = new AbortController();
  server = new grpc.Server();

  /** @param {import("node:test").TestContext} t */
  static async open(t) {
    const world = new World();
    const dir = mkdtempSync(join(tmpdir(), "host"));
    const { secrets } = hostServices;
    world.server.addService(secrets, {
      GetSecret: async (/** @type {any} */ { request }, /** @type {any} */ respond) => {
        world.asked++;
        const { version, maxAge } = world;
        await world.held;
        respond(null, { value: Buffer.from(`${version} of ${request.actorId}`), version, maxAgeSeconds: maxAge });
      },
      Watch: (/** @type {any} */ call) => {
        world.#watches.push(call);
        world.#opened.dispatchEvent(new Event("watch"));
      },
    });
    const address = `unix:${join(dir, "s")}`;
    await new Promise((resolve) => world.server.bindAsync(address, grpc.ServerCredentials.createInsecure(), resolve));
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    t.after(() => {
      world.lifetime.abort();
      client.close();
      world.server.forceShutdown();
      rmSync(dir, { recursive: true });
    });
    return { world, host: newHost(client, logger, world.lifetime.signal) };
  }

  /** The next watch that the plugin opens. */
  async watch() {
    if (this.#watches.length === 0) {
      await once(/** @type {any} */ (this.#opened), "watch");
    }
    return this.#watches.shift();
  }
}

/**
 * Waits until something is so.
 *
 * @param {() => unknown} so
 */
async function until(so) {
  for (const deadline = Date.now() + 20_000; !(await so()); ) {
    assert.ok(Date.now() < deadline, "not in time");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("changes, and where to go on from", async (t) => {
  const { world, host } = await World.open(t);
  const changes = host.watch(["A", "B"]);
  let next = changes.next();
  let call = await world.watch();
  assert.deepEqual(call.request, { names: ["A", "B"], cursor: "" });
  call.write(opened);
  call.write(updated("A", 2, "7"));
  assert.deepEqual((await next).value, { kind: "opened", name: "", version: 0 });
  assert.deepEqual((await changes.next()).value, { kind: "updated", name: "A", version: 2 });
  call.write({ kind: 3, name: "B", cursor: "8" });
  assert.deepEqual((await changes.next()).value, { kind: "revoked", name: "B", version: 0 });
  next = changes.next();
  call.end(); // in order
  call = await world.watch();
  assert.equal(call.request.cursor, "8");
  call.emit("error", { code: grpc.status.RESOURCE_EXHAUSTED, details: "too slow" });
  call = await world.watch();
  assert.equal(call.request.cursor, "8");
  call.write({ ...opened, cursor: "8" });
  call.write(resync);
  call.write({ kind: 99, name: "A", cursor: "4" });
  const again = { kind: "resync", name: "", version: 0 };
  assert.deepEqual([(await next).value, (await changes.next()).value], [again, again]);
  next = changes.next();
  world.lifetime.abort();
  assert.deepEqual(await next, { done: true, value: undefined });
  for await (const change of host.watch()) {
    assert.fail(`${change.kind} after the end`);
  }
});

test("a watch that will not be", async (t) => {
  const { world, host } = await World.open(t);
  const next = host.watch(["OTHER"]).next();
  (await world.watch()).emit("error", toStatus(new DeniedError()));
  await assert.rejects(next, (error) => error instanceof DeniedError && /^watching secrets: /.test(error.message));
  assert.throws(() => host.watch(/** @type {any} */ ([1])), TypeError);
});

test("a watch ends with its loop, and with a signal", async (t) => {
  const { world, host } = await World.open(t);
  const first = (async () => {
    for await (const change of host.watch()) {
      return change;
    }
  })();
  const call = await world.watch();
  const cancelled = once(call, "cancelled");
  call.write(updated("A", 1, "1"));
  assert.equal((await first)?.name, "A");
  await cancelled;

  const given = new AbortController();
  const next = host.watch([], { signal: given.signal }).next();
  await world.watch();
  given.abort();
  assert.equal((await next).done, true);
});

/**
 * Makes the host allow keeping values, and opens the watch that this needs.
 *
 * @param {World} world
 * @param {import("../index.js").Host} host
 */
async function keeping(world, host) {
  await host.getSecret("A");
  const call = await world.watch();
  assert.deepEqual(call.request.names, []);
  call.write(opened);
  await until(async () => (await host.getSecret("A")) === (await host.getSecret("A")));
  world.asked = 0;
  return call;
}

test("values are kept while the watch tells", async (t) => {
  const { world, host } = await World.open(t);
  let call = await keeping(world, host);
  const value = await host.getSecret("A");
  assert.deepEqual([value.reveal(), value.version, world.asked], ["1 of ", 1, 0]);
  const ann = { actorId: "ann" };
  assert.equal((await host.getSecret("A", ann)).reveal(), "1 of ann"); // somebody else
  await host.getSecret("A", ann);
  assert.equal(world.asked, 1);
  await called(host, { actor: { id: "ann" }, actorId: "ann", token: "proof" }, async () => {
    await host.getSecret("A");
    assert.equal(world.asked, 2); // with proof
    await host.getSecret("A");
    assert.equal(world.asked, 2);
  });

  assert.equal((await host.getSecret("B")).version, 1);
  world.version = 2;
  call.write(updated("A", 2, "2"));
  await until(async () => (await host.getSecret("A")).version === 2);
  assert.equal((await host.getSecret("B")).version, 1); // is another secret

  for (const forget of [
    () => call.write(resync),
    () => call.end(),
    () => call.emit("error", { code: grpc.status.UNAVAILABLE, details: "x" }),
  ]) {
    await host.getSecret("A");
    world.version++;
    forget();
    await until(async () => (await host.getSecret("A")).version === world.version);
  }
  const { asked } = world;
  await host.getSecret("A");
  assert.equal(world.asked, asked + 1); // nothing is kept while the watch is broken
});

test("nothing is kept that the host forbids", async (t) => {
  const { world, host } = await World.open(t);
  world.maxAge = 0;
  await host.getSecret("A");
  await host.getSecret("A");
  assert.equal(world.asked, 2);
});

test("what changes while it is read is not kept", async (t) => {
  const { world, host } = await World.open(t);
  const call = await keeping(world, host);
  /** @type {(_: unknown) => void} */
  let answer = () => {};
  world.held = new Promise((resolve) => (answer = resolve));
  const old = host.getSecret("B");
  await until(() => world.asked === 1); // the host has read the old value
  const seen = host.watch(["B"]);
  const change = seen.next();
  const own = await world.watch();
  world.version = 2;
  own.write(updated("B", 2, "2")); // the author's own watch; the other hears nothing yet
  assert.equal((await change).value?.version, 2);
  answer(undefined);
  world.held = undefined;
  assert.equal((await old).version, 1);
  assert.equal((await host.getSecret("B")).version, 2);
  call.end();
});

test("values age, and only so many are kept", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const cache = new Cache();
  const put = (/** @type {string} */ name, seconds = 5) =>
    cache.put(name, name, new Value("x"), seconds, cache.mark(name));
  put("A");
  assert.equal(cache.get("A"), undefined); // no watch is open
  cache.opened();
  t.mock.method(performance, "now", () => now);
  let now = 100_000;
  const asked = cache.mark("A");
  now = 102_000;
  cache.put("A", "A", new Value("x"), 5, asked);
  t.mock.timers.tick(2999);
  assert.equal(cache.get("A")?.reveal(), "x");
  t.mock.timers.tick(1); // five seconds after it was asked for
  assert.equal(cache.get("A"), undefined);
  cache.put("A", "A", new Value("x"), 2, asked);
  assert.equal(cache.get("A"), undefined);
  put("A", 0);
  assert.equal(cache.get("A"), undefined);
  for (let i = 0; i <= 1000; i++) {
    put(`${i}`);
  }
  assert.equal(cache.get("0"), undefined);
  assert.ok(cache.get("1") && cache.get("1000"));
  cache.broke();
  assert.equal(cache.get("1000"), undefined);
});
