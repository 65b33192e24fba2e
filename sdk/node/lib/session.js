// One plugin in the course of one life: its services for the host, and its
// connection back.
import { checkDeclarations } from "./declare.js";
import { SecretsError, UnavailableError, toStatus } from "./errors.js";
import { connect, newHost } from "./host.js";
import { newLogger } from "./logger.js";
import { pluginServices } from "./protocol.js";

/** @import { Client, Server, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js" */
/** @import { Plugin } from "../index.js" */
/** @import { Identity } from "./bootstrap.js" */

export class Session {
  #plugin;
  #identity;
  #out;
  #logger;
  #lifetime = new AbortController(); // the one whose signal start is given
  /** @type {Client | undefined} */
  #client;
  /** @type {Promise<void> | undefined} */
  #returned; // when start has returned; there is none before it is called
  /** @type {() => void} */
  #fail = () => {};

  /** Is fulfilled when start has failed before the plugin was asked to stop. */
  failed = new Promise((/** @type {(_: void) => void} */ resolve) => {
    this.#fail = resolve;
  });

  /**
   * @param {Plugin} plugin
   * @param {Identity} identity
   * @param {{ write(text: string): unknown }} out
   */
  constructor(plugin, identity, out) {
    this.#plugin = plugin;
    this.#identity = identity;
    this.#out = out;
    this.#logger = newLogger(out, "plugin");
  }

  /**
   * Offers the plugin's services on server.
   *
   * @param {Server} server
   */
  register(server) {
    const { lifecycle, declarations, starter } = pluginServices;
    server.addService(lifecycle, {
      Init: this.#answer("init", (call) => this.#init(call.request)),
      Shutdown: this.#answer("shutdown", (call) => this.#shutdown(call)),
    });
    server.addService(declarations, {
      RegisterSecrets: this.#answer("register secrets", async () => ({
        secrets: checkDeclarations(await this.#plugin.registerSecrets()),
      })),
    });
    if (this.#plugin.start) {
      server.addService(starter, { Start: this.#answer("start", () => this.#start()) });
    }
  }

  /** Asks the plugin to stop, and is fulfilled when start has returned. */
  async stop() {
    this.#lifetime.abort();
    await this.#returned;
  }

  /** Ends the connection to the host. */
  close() {
    this.#client?.close();
  }

  /**
   * Makes a gRPC handler of a function, whose errors are logged: the host may
   * know only their class.
   *
   * @param {string} name
   * @param {(call: ServerUnaryCall<any, any>) => unknown} answer
   */
  #answer(name, answer) {
    return async (/** @type {ServerUnaryCall<any, any>} */ call, /** @type {sendUnaryData<any>} */ respond) => {
      try {
        respond(null, (await answer(call)) ?? {});
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
    this.#client = connect(hostAddress, this.#identity);
    this.#logger = newLogger(this.#out, pluginName);
    const { lifecycle, declarations, starter } = pluginServices;
    const services = this.#plugin.start ? [lifecycle, declarations, starter] : [lifecycle, declarations];
    return { version: String(this.#plugin.version ?? ""), services: services.map(nameOf) };
  }

  /** Calls the plugin's start in the background. */
  #start() {
    if (!this.#client) {
      throw invalid("Start was called before Init");
    }
    if (this.#returned) {
      throw invalid("Start was called twice");
    }
    if (this.#lifetime.signal.aborted) {
      throw new UnavailableError("temporarily unavailable: the plugin is stopping");
    }
    this.#returned = this.#run(this.#client);
  }

  /** @param {Client} client */
  async #run(client) {
    await new Promise(setImmediate); // the host gets its answer first
    const { signal } = this.#lifetime;
    try {
      await this.#plugin.start?.(newHost(client, this.#logger), signal);
    } catch (error) {
      if (!signal.aborted) {
        this.#logger.error("the plugin failed", described(error));
        this.#fail();
      }
    }
  }

  /** @param {ServerUnaryCall<any, any>} call */
  async #shutdown(call) {
    const given = new Promise((resolve) => call.once("cancelled", resolve)); // up; nobody reads the answer then
    await Promise.race([this.stop(), given]);
  }
}

/** @param {string} message */
const invalid = (message) => new SecretsError(`invalid request: ${message}`, { code: "BAD_REQUEST" });

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
