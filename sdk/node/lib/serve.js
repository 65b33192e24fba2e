// A plugin's process from its first line to its last, as hashicorp/go-plugin
// has it.
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import grpc from "@grpc/grpc-js";

import { readBootstrap } from "./bootstrap.js";
import { connect } from "./host.js";
import { newLogger } from "./logger.js";
import {
  cookie,
  coreVersion,
  healthService,
  limits,
  pluginServices,
  protocolVersion,
  socketDirKey,
} from "./protocol.js";
import { Session } from "./session.js";

/** @import { Plugin } from "../index.js" */
/** @import { Identity } from "./bootstrap.js" */

/** How long start may go on, in milliseconds, after the host went away. */
const stopTimeout = 2000;

/** How long, in milliseconds, the last answers may take to leave. */
const answerTimeout = 250;

/** Health.ServingStatus.SERVING */
const serving = 1;

/**
 * Runs a plugin until the host asks it to stop, and then ends the process.
 *
 * @param {Plugin} plugin
 */
export function serve(plugin) {
  if (typeof plugin?.registerSecrets !== "function") {
    throw new TypeError("a plugin must have a function registerSecrets");
  }
  if (process.env[cookie.key] !== cookie.value) {
    writeSync(2, byHand(basename(process.argv[1] ?? "this")));
    process.exit(1);
  }
  // Standard output is for the handshake alone.
  process.stdout.write = process.stderr.write.bind(process.stderr);
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => {}); // the host is gone, which standard input tells
  }
  process.on("SIGINT", () => {}); // CTRL+C in the host's terminal is the host's to handle
  run(plugin).then(
    (code) => process.exit(code),
    (error) => {
      newLogger(process.stderr, "plugin").error("starting the plugin", { error: String(error) });
      process.exit(1);
    },
  );
}

/**
 * What a person sees who starts a plugin in a terminal.
 *
 * @param {string} program
 */
const byHand = (program) => `${program} is a plugin for datasette-secrets, which starts it by itself.
Put it in a folder as datasette-secrets-plugin-NAME and run: datasette-secrets --plugins-dir FOLDER
`;

/**
 * @param {Plugin} plugin
 * @returns {Promise<number>} the exit code
 */
async function run(plugin) {
  const terminated = new Promise((resolve) => process.once("SIGTERM", resolve));
  const identity = await readBootstrap(process.stdin);
  const orphaned = ended(process.stdin);

  const server = new grpc.Server(limits);
  const session = new Session(plugin, (address) => connect(address, identity), process.stderr);
  session.register(server);
  const dismissed = register(server);
  const socket = await listen(server, identity);
  // The only version there is; a host that speaks no such one says so itself.
  writeSync(1, `${coreVersion}|${protocolVersion}|unix|${socket}|grpc\n`);

  const failed = session.failed.then(() => 1);
  const code = await Promise.race([failed, Promise.race([terminated, orphaned, dismissed]).then(() => 0)]);
  const stopped = await Promise.race([session.stop().then(() => true), after(stopTimeout)]);
  await Promise.race([new Promise((resolve) => server.tryShutdown(resolve)), after(answerTimeout)]);
  session.close();
  server.forceShutdown();
  rmSync(socket, { force: true });
  return stopped ? code : 1;
}

/**
 * Offers what go-plugin itself asks of a plugin.
 *
 * @param {grpc.Server} server
 * @returns {Promise<unknown>} fulfilled when the plugin is dismissed
 */
function register(server) {
  server.addService(pluginServices.health, {
    Check(/** @type {grpc.ServerUnaryCall<any, any>} */ { request }, /** @type {grpc.sendUnaryData<any>} */ respond) {
      if (request.service === "" || request.service === healthService) {
        respond(null, { status: serving });
      } else {
        respond({ code: grpc.status.NOT_FOUND, details: "unknown service" });
      }
    },
  });
  return new Promise((resolve) => {
    server.addService(pluginServices.controller, {
      Shutdown(/** @type {unknown} */ _, /** @type {grpc.sendUnaryData<any>} */ respond) {
        respond(null, {});
        setImmediate(resolve, undefined); // after the answer
      },
    });
  });
}

/**
 * Opens the plugin's socket, to nobody but the host. TLS 1.3 needs no setting:
 * the host accepts nothing less.
 *
 * @param {grpc.Server} server
 * @param {Identity} identity
 * @returns {Promise<string>} its path
 */
function listen(server, { cert, key, hostCert }) {
  const folder = process.env[socketDirKey] || mkdtempSync(join(tmpdir(), "plugin-"));
  const path = join(folder, `plugin${process.pid}`);
  const credentials = grpc.ServerCredentials.createSsl(hostCert, [{ private_key: key, cert_chain: cert }], true);
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, credentials, (error) => (error ? reject(error) : resolve(path)));
  });
}

/**
 * Is fulfilled when the input has ended.
 *
 * @param {import("node:stream").Readable} input
 */
function ended(input) {
  return new Promise((resolve) => {
    input.once("end", resolve).once("close", resolve).on("error", resolve).resume();
    if (input.readableEnded) {
      resolve(undefined);
    }
  });
}

/** @param {number} milliseconds */
const after = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds, false));
