// Changes of secrets, told by the host as they happen.
import { setTimeout } from "node:timers/promises";

import grpc from "@grpc/grpc-js";

import { SecretsError, fromStatus } from "./errors.js";
import { hostServices } from "./protocol.js";

/** @import { Change, Logger } from "../index.js" */

// Milliseconds before a watch that broke is opened again: the first is doubled
// each time.
const firstPause = 250;
const longestPause = 10_000;

/** @type {(grpc.status | undefined)[]} With these the host says that it will never answer this question otherwise. */
const final = [
  grpc.status.INVALID_ARGUMENT,
  grpc.status.NOT_FOUND,
  grpc.status.PERMISSION_DENIED,
  grpc.status.UNIMPLEMENTED,
];

// The kinds of secrets.host.v1.Change.
const opened = 1;
const updated = 2;
const revoked = 3;

/**
 * Is told what a watch comes to know, before whoever iterates over it: that
 * from here on changes arrive, that one has, and that none do for now.
 *
 * @typedef {{ opened?(): void, changed(change: Change): void, broke?(): void }} Observer
 */

/**
 * Gives changes until ended is aborted; when the connection breaks it goes on
 * where it was.
 *
 * @param {grpc.Client} client
 * @param {string[]} names
 * @param {{ observer: Observer, ended: AbortSignal, logger: Logger }} options
 * @returns {AsyncGenerator<Change, void, void>}
 */
export async function* watch(client, names, { observer, ended, logger }) {
  let cursor = "";
  let began = false;
  let failures = 0; // since the host said something
  while (!ended.aborted) {
    const call = open(client, { names, cursor });
    const cancel = () => call.cancel();
    ended.addEventListener("abort", cancel);
    /** @type {any} */
    let error;
    try {
      for await (const message of call) {
        cursor = message.cursor;
        failures = 0;
        const change = changeOf(message);
        if (change.kind === "opened") {
          observer.opened?.();
        } else {
          observer.changed(change);
        }
        if (change.kind !== "opened" || !began) {
          began = true;
          yield change;
        }
      }
    } catch (caught) {
      error = caught;
    } finally {
      ended.removeEventListener("abort", cancel);
      cancel();
      observer.broke?.();
    }
    if (!ended.aborted && final.includes(error?.code)) {
      throw fromStatus("watching secrets", error);
    }
    if (failures === 1 && !ended.aborted) {
      // The first is nothing unusual.
      const reason = error ? fromStatus("watching secrets", error) : new SecretsError("the host ended the watch");
      logger.warn("a watch broke, and is tried again", { error: reason });
    }
    const pause = Math.min(firstPause * 2 ** failures++, longestPause) * (0.5 + Math.random() / 2);
    await setTimeout(pause, undefined, { signal: ended }).catch(() => {});
  }
}

/**
 * @param {grpc.Client} client
 * @param {{ names: string[], cursor: string }} request
 */
function open(client, request) {
  const { path, requestSerialize, responseDeserialize } = hostServices.secrets.Watch;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
  return call.on("error", () => {}); // also after nobody iterates any more
}

/**
 * @param {{ kind: number, name: string, version: number }} message
 * @returns {Change}
 */
function changeOf({ kind, name, version }) {
  switch (kind) {
    case opened:
      return { kind: "opened", name: "", version: 0 };
    case updated:
      return { kind: "updated", name, version };
    case revoked:
      return { kind: "revoked", name, version };
  }
  return { kind: "resync", name: "", version: 0 }; // also for what a newer host may say
}
