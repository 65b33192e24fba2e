// One plugin in the course of one life: its services for the host, and its
// connection back.
import { checkDeclarations } from "./declare.js";
import { SecretsError, UnavailableError, toStatus } from "./errors.js";
import { newHost } from "./host.js";
import { hooksOf } from "./hooks.js";
import { newLogger } from "./logger.js";
import { servePages } from "./pages.js";
import { pluginServices } from "./protocol.js";

/** @import { Client, Server, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js" */
/** @import { Server as PagesServer } from "node:http" */
/** @import { Host, Plugin } from "../index.js" */
/** @import { Answer } from "./hooks.js" */

export class Session {
  #plugin;
  #connect;
  #out;
  #logger;
  #lifetime = new AbortController(); // the one whose signal start is given
  /** @type {Client | undefined} */
  #client;
  /** @type {Promise<void> | undefined} */
  #returned; // when start has returned; there is none before it is called
  /** @type {Host | undefined} */
  #host; // there is none before Init
  /** @type {PagesServer | undefined} */
  #pages;
  /** @type {any[]} */
  #services = []; // what the plugin offers
  /** @type {(error: unknown) => void} */
  #fail = () => {};

  /**
   * Is fulfilled with the error when start has failed before the plugin was
   * asked to stop.
   */
  failed = new Promise((/** @type {(error: unknown) => void} */ resolve) => {
    this.#fail = resolve;
  });

  /**
   * @param {Plugin} plugin
   * @param {(address: string) => Client} connect to the host
   * @param {{ write(text: string): unknown }} out
   */
  constructor(plugin, connect, out) {
    this.#plugin = plugin;
    this.#connect = connect;
    this.#out = out;
    this.#logger = newLogger(out, "plugin");
  }

  /**
   * Offers the plugin's services on server.
   *
   * @param {Server} server
   */
  register(server) {
    const { lifecycle, declarations, starter, http } = pluginServices;
    this.#offer(server, lifecycle, {
      Init: (request) => this.#init(request),
      Shutdown: (_, signal) => this.#shutdown(signal),
    });
    this.#offer(server, declarations, {
      RegisterSecrets: async () => ({ secrets: checkDeclarations(await this.#plugin.registerSecrets()) }),
    });
    if (this.#plugin.start) {
      this.#offer(server, starter, { Start: () => this.#start() });
    }
    for (const { service, answers } of hooksOf(this.#plugin, () => this.#called())) {
      this.#offer(server, service, answers);
    }
    if (this.#plugin.serveHTTP) {
      this.#offer(server, http, { Listen: (request) => this.#listen(request) });
    }
  }

  /**
   * @param {Server} server
   * @param {any} service
   * @param {Record<string, Answer>} answers
   */
  #offer(server, service, answers) {
    this.#services.push(service);
    server.addService(
      service,
      Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, this.#answer(name, answer)])),
    );
  }

  /** Is fulfilled when start has returned; there is nothing to wait for before it is called. */
  get returned() {
    return this.#returned;
  }

  /** Asks the plugin to stop, and is fulfilled when start has returned. */
  async stop() {
    this.#lifetime.abort();
    this.#pages?.close();
    await this.#returned;
  }

  /** Ends the connections to the host. */
  close() {
    end(this.#pages);
    this.#client?.close();
  }

  /**
   * Makes a gRPC handler of a function, whose errors are logged: the host may
   * know only their class.
   *
   * @param {string} name
   * @param {Answer} answer
   */
  #answer(name, answer) {
    return async (/** @type {ServerUnaryCall<any, any>} */ call, /** @type {sendUnaryData<any>} */ respond) => {
      const given = new AbortController(); // up; nobody reads the answer then
      call.once("cancelled", () => given.abort());
      try {
        respond(null, (await answer(call.request, given.signal)) ?? {});
      } catch (error) {
        this.#logger.error("call from the host failed", { call: name, ...described(error) });
        respond(toStatus(error));
      }
    };
  }

  /** @param {{ pluginName: string, hostAddress: string }} request */
  #init({ pluginName, hostAddress }) {
    if (this.#client) {
      throw invalid("Init was called twice");
    }
    this.#client = this.#connect(hostAddress);
    this.#logger = newLogger(this.#out, pluginName);
    this.#host = newHost(this.#client, this.#logger, this.#lifetime.signal);
    return { version: String(this.#plugin.version ?? ""), services: this.#services.map(nameOf) };
  }

  /** Calls the plugin's start in the background. */
  #start() {
    const host = this.#called();
    if (this.#returned) {
      throw invalid("Start was called twice");
    }
    this.#mustNotStop();
    this.#returned = this.#run(host);
  }

  /** The host, once it has called Init. */
  #called() {
    if (!this.#host) {
      throw invalid("the plugin was called before Init");
    }
    return this.#host;
  }

  #mustNotStop() {
    if (this.#lifetime.signal.aborted) {
      throw new UnavailableError("temporarily unavailable: the plugin is stopping");
    }
  }

  /** @param {Host} host */
  async #run(host) {
    await new Promise(setImmediate); // the host gets its answer first
    const { signal } = this.#lifetime;
    try {
      await this.#plugin.start?.(host, signal);
    } catch (error) {
      if (!signal.aborted) {
        this.#logger.error("the plugin failed", described(error));
        this.#fail(error);
      }
    }
  }

  /** @param {{ address: string, key: Uint8Array }} where */
  async #listen(where) {
    this.#mustNotStop();
    end(this.#pages); // its socket and key are good no more
    this.#pages = await servePages((...both) => this.#plugin.serveHTTP?.(...both), where, this.#called());
  }

  /** @param {AbortSignal} signal */
  async #shutdown(signal) {
    const given = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await Promise.race([this.stop(), given]);
  }
}

/** @param {string} message */
const invalid = (message) => new SecretsError(`invalid request: ${message}`, { code: "BAD_REQUEST" });

/** @param {PagesServer | undefined} pages */
function end(pages) {
  pages?.close();
  pages?.closeAllConnections();
}

/**
 * The full name of a service.
 *
 * @param {import("@grpc/grpc-js").ServiceDefinition} service
 */
const nameOf = (service) => Object.values(service)[0].path.split("/")[1];

/**
 * An error for the log.
 *
 * @param {unknown} error
 */
const described = (error) => ({
  error: String(error),
  ...(error instanceof Error && { stack: error.stack }),
});
