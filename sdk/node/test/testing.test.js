// The host for tests of plugins, and through it what plugins can do.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as sdk from "../lib/index.js";
import { limits } from "../lib/testing/answers.js";
import { run } from "../lib/testing/index.js";

/** @import { Change, Host, Plugin } from "../index.js" */

/**
 * A plugin that hands out its host.
 *
 * @param {Partial<Plugin>} [more]
 */
function weather(more) {
  return {
    /** @type {Host} */
    host: /** @type {any} */ (undefined),
    registerSecrets: () => [
      sdk.secret("KEY", { description: "d", pattern: "p", multiline: true, redact: { prefix: 1, suffix: 2 } }),
      sdk.secret("OTHER"),
      sdk.secret("KEY", { description: "twice" }),
    ],
    /** @param {Host} host */
    start(host) {
      this.host = host;
    },
    ...more,
  };
}

test("what is declared", async () => {
  assert.equal(await run(weather(), (host) => host.declared.length), 2);
  await run(weather(), {}, (host) => {
    const [first, second] = /** @type {any[]} */ (weather().registerSecrets());
    assert.deepEqual(host.declared, [first, second]);
  });
});

test("secrets", async () => {
  const plugin = weather();
  await run(plugin, { secrets: { KEY: "hunter2", HIDDEN: "x" }, config: { url: "u" } }, async (host) => {
    await host.wait();
    const ann = { actorId: "ann" };
    const value = await plugin.host.getSecret("KEY", ann);
    assert.deepEqual([value.reveal(), value.version], ["hunter2", 1]);
    assert.deepEqual(host.uses, [{ name: "KEY", actorId: "ann", proven: false }]);
    await assert.rejects(plugin.host.getSecret("HIDDEN"), sdk.DeniedError);
    await assert.rejects(plugin.host.getSecret("OTHER"), sdk.NotSetError);
    assert.deepEqual(await plugin.host.config(), { url: "u" });
    assert.deepEqual(await plugin.host.listSecrets(), [
      { name: "KEY", set: true, source: "database" },
      { name: "OTHER", set: false, source: "" },
    ]);
    assert.equal(await plugin.host.canAccessSecret("OTHER"), true);
    assert.equal(await plugin.host.canAccessSecret("HIDDEN"), false);
    host.set("KEY", "new");
    assert.equal((await plugin.host.getSecret("KEY")).version, 2);
    host.deny("KEY", "ann");
    await assert.rejects(plugin.host.getSecret("KEY", ann), sdk.DeniedError);
    assert.equal(await plugin.host.canAccessSecret("KEY", ann), false);
    host.unset("KEY");
    await assert.rejects(plugin.host.getSecret("KEY"), sdk.NotSetError);
    host.fail(new sdk.SealedError());
    await assert.rejects(plugin.host.getSecret("KEY"), sdk.SealedError);
    host.fail(null);
    assert.equal(host.uses.length, 2);
  });
});

test("many secrets at once", async () => {
  const names = Array.from({ length: 250 }, (_, i) => `N${i}`);
  const plugin = weather({ registerSecrets: () => names.map((name) => sdk.secret(name)) });
  const secrets = Object.fromEntries(names.slice(1).map((name) => [name, "v"]));
  await run(plugin, { secrets }, async (host) => {
    await host.wait();
    const found = await plugin.host.getSecrets([...names, ...names, "HIDDEN"], { actorId: "ann" });
    assert.deepEqual([...found.keys()], names.slice(1));
    assert.equal(host.uses.length, 249);
    assert.deepEqual([found.get("N249").reveal(), found.get("N1").version, found.has("N0")], ["v", 1, false]);
    assert.deepEqual(
      [...found.errors].map(([name, error]) => [name, error.code]),
      [
        ["N0", "SECRET_NOT_SET"],
        ["HIDDEN", "SECRET_NOT_DECLARED"],
      ],
    );
    assert.throws(() => found.get("N0"), { name: "NotSetError", message: 'getting secret "N0": secret is not set' });
    assert.throws(() => found.get("HIDDEN"), sdk.DeniedError);
    assert.throws(() => found.get("NEVER"), /was not asked for/);
    host.fail(new sdk.UnavailableError());
    const none = await plugin.host.getSecrets(["N1", "N2"]);
    assert.deepEqual([none.size, none.errors.size], [0, 2]);
    assert.throws(() => none.get("N2"), { name: "UnavailableError", message: /^getting 2 secrets: temporarily/ });
    assert.equal((await plugin.host.getSecrets([])).errors.size, 0);
    const gaveUp = plugin.host.getSecrets(["N1"], { signal: AbortSignal.abort(new Error("enough")) });
    await assert.rejects(gaveUp, /enough/);
  });
});

test("watches", async () => {
  /** @type {Change[]} */
  const seen = [];
  const plugin = weather({
    async start(host) {
      for await (const change of host.watch()) {
        seen.push(change);
      }
    },
  });
  const none = { name: "", version: 0 };
  await run(plugin, { secrets: { KEY: "1" } }, async (host) => {
    await host.until(() => seen.length === 1);
    host.set("HIDDEN", "x");
    host.set("KEY", "2");
    await host.until(() => seen.length === 2);
    host.fail(new sdk.UnavailableError());
    host.set("KEY", "3");
    host.fail(null);
    await host.until(() => seen.length === 3);
    host.resync();
    await host.until(() => seen.length === 4);
    host.unset("KEY");
    await host.until(() => seen.length === 5);
  });
  assert.deepEqual(seen, [
    { kind: "opened", ...none },
    { kind: "updated", name: "KEY", version: 2 },
    { kind: "updated", name: "KEY", version: 3 },
    { kind: "resync", ...none },
    { kind: "revoked", name: "KEY", version: 4 },
  ]);
});

test("values are kept if that is allowed", async () => {
  const plugin = weather();
  await run(plugin, { secrets: { KEY: "1" }, maxAge: 60 }, async (host) => {
    await host.wait();
    const kept = async () => {
      const before = host.uses.length;
      await plugin.host.getSecret("KEY");
      return host.uses.length === before;
    };
    await host.until(kept);
    const before = host.uses.length;
    const found = await plugin.host.getSecrets(["KEY", "OTHER"]);
    assert.deepEqual([found.get("KEY").reveal(), host.uses.length], ["1", before]);
    host.set("KEY", "2");
    await host.until(async () => (await plugin.host.getSecret("KEY")).reveal() === "2");
    await host.until(kept);
    host.deny("KEY");
    const denied = (/** @type {unknown} */ error) => error instanceof sdk.DeniedError;
    await host.until(() => plugin.host.getSecret("KEY").then(() => false, denied));
  });
});

test("how start ends", async () => {
  const fails = weather({ start: () => Promise.reject(new Error("no weather")) });
  await run(fails, async (host) => {
    await assert.rejects(host.wait(), /no weather/);
    const line = host.log.at(-1);
    assert.deepEqual([line?.["@message"], line?.["@level"]], ["the plugin failed", "error"]);
  });
  const needs = weather({ start: (host) => host.getSecret("KEY") });
  await run(needs, { failing: new sdk.NotApprovedError() }, (host) => assert.rejects(host.wait(), sdk.NotApprovedError));
  const stays = weather({
    start(host, signal) {
      host.logger.info("here", { n: 1 });
      return new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  await run(stays, (host) => host.until(() => host.log[0]?.n === 1));
});

test("what a host would not take", async () => {
  const refuses = weather({
    registerSecrets() {
      throw new Error("no secrets today");
    },
  });
  await assert.rejects(run(refuses, () => assert.fail("it ran")), /registerSecrets: internal error.*no secrets today/s);
  const misnames = weather({ registerSecrets: () => [sdk.secret("A B")] });
  await assert.rejects(run(misnames, () => assert.fail("it ran")), /"A B"/);
  const stuck = weather({ start: () => new Promise(() => {}) });
  const ran = run(stuck, { patience: 200 }, async (host) => {
    await assert.rejects(host.wait(), /did not return/);
    await assert.rejects(host.until(() => false), /it is not so/);
  });
  await assert.rejects(ran, /does not stop/);
  await assert.rejects(run(weather(), (host) => host.testSecret("KEY", "x")), /no function testSecret/);
  await assert.rejects(run(weather(), /** @type {any} */ ({})), TypeError);
});

/** @type {any} what the hooks answer */
const good = {
  result: { ok: true, message: "fine" },
  links: [
    { href: "/x", label: "X" },
    { href: "https://example.com:8/é?x#y", label: "Ü 1" },
    { href: "http://[::1]/", label: "X" },
  ],
  known: { 7: { id: 7 } },
  sender: null,
};

/** @param {any} answers */
const hooks = (answers) =>
  weather({
    testSecret: () => answers.result,
    async menuLinks() {
      await sdk.currentHost().getSecret("KEY");
      return answers.links;
    },
    actorsFromIDs: () => answers.known,
    actorFromRequest: () => answers.sender,
    async serveHTTP(request, response) {
      if (request.url === "/fails") {
        throw new Error("no weather");
      }
      const value = await sdk.currentHost().getSecret("KEY");
      let body = "";
      for await (const chunk of request) {
        body += chunk;
      }
      response.setHeader("x-length", value.byteLength);
      response.end(`${JSON.stringify(sdk.currentActor())} ${body}`);
    },
  });

test("hooks", async () => {
  await run(hooks(good), { secrets: { KEY: "hunter2" } }, async (host) => {
    assert.deepEqual(await host.testSecret("KEY", "x"), good.result);
    assert.deepEqual(await host.menuLinks(), good.links);
    assert.deepEqual(await host.menuLinks({ id: "ann" }), good.links);
    assert.deepEqual(await host.actorsFromIDs("7"), good.known);
    assert.equal(await host.actorFromRequest(), null);
    const { status, headers, text } = await host.http("POST", "/a?b=c", { actor: { id: 7 }, body: "body" });
    assert.deepEqual([status, headers["x-length"], text], [200, "7", '{"id":7} body']);
    assert.equal((await host.http("GET", "/")).text, "null ");
    assert.equal((await host.http("GET", "/fails")).status, 500);
    assert.match(JSON.stringify(host.log), /no weather/);
    const use = (actorId = "") => ({ name: "KEY", actorId, proven: actorId !== "" });
    assert.deepEqual(host.uses, [use(), use("ann"), use("7"), use()]);
  });
  await run(hooks({ ...good, sender: { id: "ann" } }), async (host) => {
    assert.deepEqual(await host.actorFromRequest({ "x-user": "ann" }), { id: "ann" });
  });
});

test("answers that a host would not take", async (t) => {
  /** @type {[object, (host: import("../testing.js").Host) => Promise<unknown>, RegExp][]} */
  const rows = [
    [{ result: { ok: false, message: "it is x" } }, (host) => host.testSecret("KEY", "x"), /holds the value/],
    [{ result: { ok: false, message: "ü".repeat(151) } }, (host) => host.testSecret("KEY", "x"), /302 bytes/],
    [{ links: [{ href: "//x", label: "X" }] }, (host) => host.menuLinks(), /one slash/],
    [{ links: [{ href: "javascript:x", label: "X" }] }, (host) => host.menuLinks(), /http/],
    [{ links: [{ href: "https://a@b/", label: "X" }] }, (host) => host.menuLinks(), /http/],
    [{ links: [{ href: "/a\\b", label: "X" }] }, (host) => host.menuLinks(), /backslashes/],
    [{ links: [{ href: `/${"x".repeat(2000)}`, label: "X" }] }, (host) => host.menuLinks(), /2000 bytes/],
    [{ links: [{ href: "/", label: " " }] }, (host) => host.menuLinks(), /label/],
    [{ links: [{ href: "/", label: "\u202e" }] }, (host) => host.menuLinks(), /label/],
    [{ links: Array(21).fill({ href: "/", label: "X" }) }, (host) => host.menuLinks(), /21 links/],
    [{ known: { 7: { id: "8" } } }, (host) => host.actorsFromIDs("7"), /asked for/],
    [{ known: { 7: { id: "7", x: "x".repeat(17_000) } } }, (host) => host.actorsFromIDs("7"), /16384 bytes/],
    [{ sender: { id: "Root" } }, (host) => host.actorFromRequest(), /root/],
    [{ sender: { id: 7 } }, (host) => host.actorFromRequest(), /must be a text/],
    [{ sender: { id: "a", _r: {} } }, (host) => host.actorFromRequest(), /begin with/],
    [{ sender: { id: "a", Token: 1 } }, (host) => host.actorFromRequest(), /begin with/],
  ];
  for (const [answers, call, text] of rows) {
    await t.test(String(text), async () => {
      const ran = run(hooks({ ...good, ...answers }), { secrets: { KEY: "x" } }, call);
      await assert.rejects(ran, (error) => error instanceof assert.AssertionError && text.test(error.message));
    });
  }
});

test("the rules are those of the host", () => {
  const source = readFileSync(new URL("../../../internal/pluginwire/answers.go", import.meta.url), "utf8");
  const answers = readFileSync(new URL("../lib/testing/answers.js", import.meta.url), "utf8");
  for (const [name, value] of Object.entries({
    MaxLinks: limits.links,
    MaxLabel: limits.label,
    MaxHref: limits.href,
    MaxActorJSON: `${limits.actor >> 10} << 10`,
    MaxActorID: limits.actorId,
    MaxTestMessage: limits.message,
  })) {
    assert.match(source, new RegExp(`\\b${name} += ${value} `));
  }
  for (const text of ["a path that begins with one slash", "_ or with token", "cannot be root", "backslashes"]) {
    assert.ok(source.includes(text) && answers.includes(text), text);
  }
});
