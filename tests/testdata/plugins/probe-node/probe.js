#!/usr/bin/env node
// The probe of tests/testdata/plugins/probe, in Node: it declares what a file
// beside it says, and answers questions of a test over a socket. Package
// harness has the other end.
//
// Besides the questions of its sibling it is asked {"op": "fail"}, and then
// ends as a plugin whose author made a mistake; and {"op": "many", "names":
// ["KEY", …], "actor": "root"}, which it answers with {"values": {"KEY":
// "hunter2"}, "errors": {"OTHER": "secret is not set"}}.
import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";

import * as sdk from "datasette-secrets-plugin";

sdk.serve({
  version: "0.0.1",

  registerSecrets() {
    const program = process.argv[1];
    const name = basename(program).replace("datasette-secrets-plugin-", "");
    const declared = JSON.parse(readFileSync(join(dirname(program), `${name}.json`), "utf8"));
    if (declared.Refuse) {
      throw new Error("told to refuse");
    }
    return (declared.Secrets ?? []).map((d) =>
      sdk.secret(d.Name, { description: d.Description, obtainUrl: d.ObtainURL, obtainLabel: d.ObtainLabel }),
    );
  },

  async start(host, signal) {
    const config = await host.config();
    if (!config?.socket) {
      return;
    }
    rmSync(config.socket, { force: true }); // of an earlier life
    await listen(config.socket, host, signal);
  },
});

// Serves the socket until signal is aborted or a question is to fail.
function listen(socket, host, signal) {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => {
      signal.addEventListener("abort", () => connection.destroy());
      connection.on("error", () => {}); // the test has gone
      converse(connection, host).catch(reject);
    });
    server.on("error", reject).listen(socket);
    signal.addEventListener("abort", () => server.close(resolve));
  });
}

async function converse(connection, host) {
  for await (const line of createInterface({ input: connection })) {
    const question = JSON.parse(line);
    if (question.op === "fail") {
      throw new Error("told to fail");
    }
    connection.write(`${JSON.stringify(await answer(host, question))}\n`);
  }
}

async function answer(host, question) {
  try {
    return await ask(host, question);
  } catch (error) {
    return { error: classOf(error), message: error.message };
  }
}

async function ask(host, { op, name, names, actor, times = 1 }) {
  switch (op) {
    case "get":
      return get(host, name, actor, times);
    case "can":
      return { allowed: await host.canAccessSecret(name, { actorId: actor }) };
    case "list":
      return { secrets: await host.listSecrets() };
    case "config":
      return { config: await host.config() };
    case "watch":
      return { changes: changesSoFar(host) };
    case "many":
      return many(host, names, actor);
  }
  throw new Error(`no such op: ${op}`);
}

async function get(host, name, actorId, times) {
  const began = process.hrtime.bigint();
  let value;
  for (let i = 0; i < times; i++) {
    value = (await host.getSecret(name, { actorId })).reveal();
  }
  return { value, nanoseconds: Number(process.hrtime.bigint() - began) };
}

async function many(host, names, actorId) {
  const found = await host.getSecrets(names, { actorId });
  return {
    values: Object.fromEntries([...found].map(([name, value]) => [name, value.reveal()])),
    errors: Object.fromEntries([...found.errors].map(([name, error]) => [name, classOf(error)])),
  };
}

let told; // what the host tells of all secrets, from the first question on

function changesSoFar(host) {
  if (!told) {
    told = [];
    collect(host);
  }
  return told;
}

async function collect(host) {
  for await (const { kind, name, version } of host.watch()) {
    told.push({ Kind: kind, Name: name, Version: version });
  }
}

// Names the error in the words of pluginapi's own text.
function classOf(error) {
  const classes = [
    sdk.NotSetError,
    sdk.DeniedError,
    sdk.NotConfiguredError,
    sdk.SealedError,
    sdk.IntegrityError,
    sdk.UnavailableError,
  ];
  const found = classes.find((c) => error instanceof c);
  return found ? new found().message : "other";
}
