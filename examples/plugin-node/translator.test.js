// Run it with: node --test
import assert from "node:assert/strict";
import { test } from "node:test";

import { DeniedError } from "datasette-secrets-plugin";
import { run } from "datasette-secrets-plugin/testing";

import { translator } from "./translator.js";

test("takes new keys into use", () =>
  run(translator, async (host) => {
    await host.until(() => host.log.some((line) => line["@message"] === "waiting for TRANSLATE_API_KEY"));
    host.set("TRANSLATE_API_KEY", "hunter2");
    await host.until(() => host.log.some((line) => line.key_length === 7));
    assert.equal(host.uses.length, 1);
    assert.doesNotMatch(JSON.stringify(host.log), /hunter2/);
  }));

test("fails", () =>
  run(translator, { secrets: { TRANSLATE_API_KEY: "hunter2" } }, async (host) => {
    host.deny("TRANSLATE_API_KEY");
    await assert.rejects(host.wait(), DeniedError);
  }));
