import assert from "node:assert/strict";
import { test } from "node:test";

import grpc from "@grpc/grpc-js";

import { NotSetError, SecretsError, fromStatus, toStatus } from "../lib/errors.js";
import { pluginServices } from "../lib/protocol.js";
import { newSide } from "./identity.js";
import { Launch } from "./launch.js";

const { lifecycle, declarations, starter, controller, health } = pluginServices;

test("started by hand it says what it is", async (t) => {
  const plugin = new Launch(t, "quiet", {});
  assert.equal(await plugin.ended, 1);
  assert.match(plugin.stderr, /^plugin\.js is a plugin for datasette-secrets.*\n.*--plugins-dir FOLDER\n$/);
  assert.equal(plugin.stdout, "");
});

test("a bootstrap line that cannot be used ends it, and is not repeated", async (t) => {
  const lines = {
    "no JSON": "hunter2\n",
    "another version": '{"version":2,"key":"hunter2"}\n',
    "a field is missing": '{"version":1,"key":"hunter2","cert":""}\n',
    "no certificates": '{"version":1,"key":"hunter2","cert":"hunter2","host_cert":"hunter2"}\n',
    "too long": "hunter2".repeat(10_000),
    "cut off": '{"version":1,"key":"hunter2',
  };
  for (const [name, line] of Object.entries(lines)) {
    await t.test(name, async (t) => {
      const plugin = new Launch(t, "quiet");
      plugin.process.stdin.end(line);
      assert.equal(await plugin.ended, 1);
      assert.match(plugin.stderr, /"@message":"starting the plugin".*bootstrap line/);
      assert.doesNotMatch(plugin.stderr, /hunter2/);
      assert.equal(plugin.stdout, "");
    });
  }
});

test("the host's questions", async (t) => {
  const plugin = new Launch(t, "asks");
  await plugin.connect();
  assert.equal((await plugin.call(health.Check, { service: "plugin" })).status, 1);
  await refused(plugin.call(health.Check, { service: "other" }), grpc.status.NOT_FOUND);
  await refused(plugin.call(starter.Start), grpc.status.INVALID_ARGUMENT, /the plugin was called before Init/);
  await plugin.says("stderr", /"@level":"error".*"call":"Start"/);

  assert.deepEqual(await plugin.init(), {
    version: "1.2.3",
    services: ["secrets.plugin.v1.Lifecycle", "secrets.plugin.v1.Declarations", "secrets.plugin.v1.Starter"],
  });
  await refused(plugin.call(lifecycle.Init, {}), grpc.status.INVALID_ARGUMENT, /Init was called twice/);
  assert.deepEqual(await plugin.call(declarations.RegisterSecrets), {
    secrets: [
      {
        name: "KEY",
        description: "A key",
        obtainUrl: "https://example.com/",
        obtainLabel: "Get one",
        pattern: "sk-.+",
        example: "",
        multiline: false,
        redact: { prefix: 3, suffix: 0 },
      },
    ],
  });
  const unknown = { ...starter.Start, path: "/secrets.plugin.v1.Future/Hook" };
  await refused(plugin.call(unknown), grpc.status.UNIMPLEMENTED);
  await plugin.call(starter.Start);
  await refused(plugin.call(starter.Start), grpc.status.INVALID_ARGUMENT, /Start was called twice/);
});

test("a plugin without start offers none", async (t) => {
  const plugin = new Launch(t, "quiet");
  await plugin.connect();
  const { version, services } = await plugin.init();
  assert.deepEqual([version, services.length], ["", 2]);
  await refused(plugin.call(starter.Start), grpc.status.UNIMPLEMENTED);
});

test("the plugin's questions", async (t) => {
  const plugin = new Launch(t, "asks");
  await plugin.connect();
  /** @type {any[]} */
  const asked = [];
  await plugin.start({
    GetSecret(request) {
      asked.push(request);
      if (request.name === "SLOW") {
        return undefined; // no answer
      }
      if (request.name !== "KEY") {
        throw toStatus(new NotSetError());
      }
      return { value: Buffer.from("hünter2") };
    },
    CanAccessSecret: () => ({ allowed: true }),
    ListSecrets: () => ({ secrets: [{ name: "KEY", set: true, source: "env" }] }),
    GetConfig: () => ({ json: Buffer.from('{"url":"x"}') }),
  });
  const [line] = await plugin.says("stderr", /.*"@message":"asked".*\n/);
  assert.doesNotMatch(plugin.stderr, /ünter2/);
  const { "@timestamp": at, ...rest } = JSON.parse(line);
  assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.match(rest.late, /^UnavailableError: getting secret "SLOW": temporarily unavailable/);
  assert.deepEqual(rest, {
    "@level": "info",
    "@message": "asked",
    "@module": "weather",
    key: "[redacted]",
    length: 8,
    error: 'NotSetError: getting secret "OTHER": secret is not set',
    late: rest.late,
    gaveUp: "TimeoutError: The operation was aborted due to timeout",
    may: true,
    list: [{ name: "KEY", set: true, source: "env" }],
    config: { url: "x" },
  });
  assert.deepEqual(asked.slice(0, 2), [
    { name: "KEY", actorId: "root", actorToken: "" },
    { name: "OTHER", actorId: "", actorToken: "" },
  ]);
});

test("strangers are turned away", async (t) => {
  const plugin = new Launch(t, "quiet");
  await plugin.connect();
  const trusted = Buffer.from(plugin.identity.plugin.cert);
  const other = newSide("other");
  const strangers = {
    "no certificate": grpc.credentials.createSsl(trusted),
    "another certificate": grpc.credentials.createSsl(trusted, Buffer.from(other.key), Buffer.from(other.cert)),
    "the plugin's own": grpc.credentials.createSsl(trusted, Buffer.from(plugin.identity.plugin.key), trusted),
    "no TLS": grpc.credentials.createInsecure(),
  };
  for (const [name, credentials] of Object.entries(strangers)) {
    const call = plugin.call(health.Check, { service: "plugin" }, plugin.dial(credentials));
    await assert.rejects(call, { code: grpc.status.UNAVAILABLE }, name);
  }
  await plugin.call(health.Check, { service: "plugin" });
});

test("a host with another certificate is asked nothing", async (t) => {
  const plugin = new Launch(t, "rejects if the host does");
  await plugin.connect();
  const answers = { GetSecret: () => assert.fail("a stranger was asked") };
  await plugin.init(answers, newSide("stranger"));
  await plugin.call(starter.Start);
  assert.equal(await plugin.ended, 1);
  assert.match(plugin.stderr, /UnavailableError: getting secret \\"KEY\\": temporarily unavailable/);
});

test("errors in the author's code stay in the log", async (t) => {
  for (const [mode, text] of [
    ["throws", /hunter2 is broken.*plugin\.js:\d+/],
    ["confused", /registerSecrets must return an array/],
  ]) {
    const plugin = new Launch(t, String(mode));
    await plugin.connect();
    await refused(plugin.call(declarations.RegisterSecrets), grpc.status.INTERNAL, /internal error$/);
    await plugin.says("stderr", /** @type {RegExp} */ (text));
  }
});

test("a start that fails ends the plugin", async (t) => {
  const plugin = new Launch(t, "rejects");
  await plugin.connect();
  await plugin.start();
  assert.equal(await plugin.ended, 1);
  assert.match(plugin.stderr, /"@message":"the plugin failed".*Error: no weather.*plugin\.js/);
  assert.deepEqual(plugin.sockets(), []);
});

test("what is printed is in the log", async (t) => {
  const plugin = new Launch(t, "prints");
  await plugin.connect();
  await plugin.start();
  await plugin.says("stderr", /printed\nwritten\n/);
  assert.match(plugin.stdout, /^[^\n]*\n$/);
});

/** @type {Record<string, (plugin: Launch) => unknown>} */
const ends = {
  "Shutdown and the end of its input": async (plugin) => {
    await plugin.call(lifecycle.Shutdown);
    await plugin.says("stderr", /"stopped"/); // before anything else happens
    plugin.process.stdin.end();
  },
  "go-plugin's Shutdown": (plugin) => plugin.call(controller.Shutdown),
  "the end of its input": (plugin) => plugin.process.stdin.end(),
  SIGTERM: (plugin) => plugin.process.kill("SIGTERM"),
};
for (const [name, end] of Object.entries(ends)) {
  test(`${name} stops it`, async (t) => {
    const plugin = new Launch(t, "works");
    await plugin.connect();
    await plugin.start();
    await plugin.says("stderr", /"working"/);
    plugin.process.kill("SIGINT"); // does nothing
    await plugin.call(health.Check, { service: "plugin" });
    await end(plugin);
    assert.equal(await plugin.ended, 0);
    assert.match(plugin.stderr, /"stopped"/);
    assert.deepEqual(plugin.sockets(), []);
  });
}

test("a start that goes on is left behind", async (t) => {
  const plugin = new Launch(t, "stubborn");
  await plugin.connect();
  await plugin.start();
  await plugin.says("stderr", /"working"/);
  plugin.process.stdin.end();
  assert.equal(await plugin.ended, 1);
});

/**
 * @param {Promise<unknown>} call
 * @param {grpc.status} code
 * @param {RegExp} [text]
 */
async function refused(call, code, text = /./) {
  await assert.rejects(call, (/** @type {any} */ error) => {
    assert.equal(error.code, code);
    assert.match(error.details, text);
    assert.ok(fromStatus("x", error) instanceof SecretsError);
    return true;
  });
}
