// The plugin's own pages: HTTP on a unix socket, for the host alone.
import { chmodSync } from "node:fs";
import { createServer } from "node:http";

import { bindEvents, called } from "./context.js";
import { SecretsError } from "./errors.js";
import { actorHeader, readHeader } from "./signed.js";

/** @import { IncomingMessage, Server, ServerResponse } from "node:http" */
/** @import { Host } from "../index.js" */

const minKey = 16; // bytes
const maxConnections = 128;
const maxHeaders = 64 << 10; // bytes
const headersTimeout = 30_000; // milliseconds

/**
 * Serves a handler on a new socket, to whoever signs with key.
 *
 * @param {(request: IncomingMessage, response: ServerResponse) => unknown} handle
 * @param {{ address: string, key: Uint8Array }} where
 * @param {Host} host
 * @returns {Promise<Server>}
 */
export async function servePages(handle, { address, key }, host) {
  if (key.length < minKey) {
    throw new SecretsError("invalid request: the key of Listen is too short", { code: "BAD_REQUEST" });
  }
  const secret = Buffer.from(key);
  const server = createServer({ maxHeaderSize: maxHeaders, headersTimeout }, (request, response) => {
    const sender = readHeader(request.headers[actorHeader], secret, request, Date.now() / 1000);
    if (!sender) {
      response.writeHead(403, { connection: "close" }).end("This address is for the host alone.\n");
      return;
    }
    conceal(request);
    called(host, sender, () => {
      bindEvents(request, response);
      answer(handle, request, response, host);
    });
  });
  server.maxConnections = maxConnections;
  await new Promise((resolve, reject) => server.once("error", reject).listen(address, () => resolve(undefined)));
  server.on("error", (error) => host.logger.error("a connection for a page failed", { error }));
  chmodSync(address, 0o600);
  return server;
}

/**
 * Takes the host's proof out of a request: the handler may print it.
 *
 * @param {IncomingMessage} request
 */
function conceal(request) {
  delete request.headers[actorHeader];
  request.rawHeaders = request.rawHeaders.filter(
    (_, i, all) => all[i - (i % 2)].toLowerCase() !== actorHeader,
  );
}

/**
 * @param {(request: IncomingMessage, response: ServerResponse) => unknown} handle
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 * @param {Host} host
 */
async function answer(handle, request, response, { logger }) {
  try {
    await handle(request, response);
  } catch (error) {
    logger.error("serving a page failed", {
      error: String(error),
      ...(error instanceof Error && { stack: error.stack }),
    });
    if (response.headersSent) {
      response.destroy(); // the host must not take half an answer for a whole one
    } else {
      response.writeHead(500, { connection: "close" }).end("Internal Server Error\n");
    }
  }
}
