// A plugin's process, as a host sees it.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";

import { authority, cookie, hostServices, pluginServices, socketDirKey } from "../lib/protocol.js";
import { newIdentity } from "./identity.js";

/** @import { Side } from "./identity.js" */

const program = fileURLToPath(new URL("plugin.js", import.meta.url));
const patience = 20_000; // milliseconds; no test takes nearly as long

/** @typedef {Record<string, (request: any) => object | undefined>} Answers what a host says, by method */

export class Launch {
  identity = newIdentity();
  dir = mkdtempSync(join(tmpdir(), "plugin"));
  stdout = "";
  stderr = "";
  #changed = new EventTarget();
  #closers = [() => rmSync(this.dir, { recursive: true, force: true })];

  /**
   * @param {import("node:test").TestContext} t
   * @param {string} mode of the plugin in plugin.js
   * @param {Record<string, string>} [env]
   */
  constructor(t, mode, env = { [cookie.key]: cookie.value }) {
    this.process = spawn(process.execPath, [program, mode], {
      env: { ...env, [socketDirKey]: this.dir },
    });
    this.process.stdin.on("error", () => {}); // it may have ended
    this.process.stdout.on("data", (data) => this.#add("stdout", data));
    this.process.stderr.on("data", (data) => this.#add("stderr", data));
    /** @type {Promise<number | string | null>} the exit code, or the signal */
    this.ended = new Promise((resolve) => this.process.once("close", (code, signal) => resolve(code ?? signal)));
    t.after(async () => {
      this.process.kill("SIGKILL");
      await this.ended;
      this.#closers.forEach((close) => close());
    });
  }

  /**
   * @param {"stdout" | "stderr"} stream
   * @param {Buffer} data
   */
  #add(stream, data) {
    this[stream] += data;
    this.#changed.dispatchEvent(new Event("output"));
  }

  /** Tells the plugin its certificates. */
  bootstrap() {
    const { host, plugin } = this.identity;
    this.process.stdin.write(`${JSON.stringify({ version: 1, ...plugin, host_cert: host.cert })}\n`);
  }

  /**
   * Waits until a stream has a match, and returns it.
   *
   * @param {"stdout" | "stderr"} stream
   * @param {RegExp} pattern
   * @returns {Promise<RegExpMatchArray>}
   */
  says(stream, pattern) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${pattern} but:\n${this.stdout}${this.stderr}`)), patience);
      const look = () => {
        const match = this[stream].match(pattern);
        if (match) {
          clearTimeout(timer);
          this.#changed.removeEventListener("output", look);
          resolve(match);
        }
      };
      this.#changed.addEventListener("output", look);
      look();
    });
  }

  /** Does a host's part of the start, up to the connection. */
  async connect() {
    this.bootstrap();
    [, this.address = ""] = await this.says("stdout", /^1\|1\|unix\|([^|]+)\|grpc\n/);
    const { host, plugin } = this.identity;
    this.client = this.dial(grpc.credentials.createSsl(pem(plugin.cert), pem(host.key), pem(host.cert)));
  }

  /** @param {grpc.ChannelCredentials} credentials */
  dial(credentials) {
    const client = new grpc.Client(`unix:${this.address}`, credentials, {
      "grpc.default_authority": authority,
      "grpc.ssl_target_name_override": authority,
    });
    this.#closers.push(() => client.close());
    return client;
  }

  /**
   * Calls the plugin.
   *
   * @param {grpc.MethodDefinition<any, any>} method
   * @param {object} [request]
   * @param {grpc.Client} [client]
   * @returns {Promise<any>}
   */
  call(method, request = {}, client = this.client) {
    return new Promise((resolve, reject) => {
      client?.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: Date.now() + patience },
        (error, response) => (error ? reject(error) : resolve(response)),
      );
    });
  }

  /**
   * Calls Init and Start, with what the host answers by method.
   *
   * @param {Answers} answers
   */
  async start(answers = {}) {
    await this.init(answers);
    await this.call(pluginServices.starter.Start);
  }

  /**
   * @param {Answers} answers
   * @param {Side} host who answers
   */
  async init(answers = {}, host = this.identity.host) {
    const hostAddress = await this.#serve(answers, host);
    return this.call(pluginServices.lifecycle.Init, { pluginName: "weather", hostAddress });
  }

  /**
   * @param {Answers} answers
   * @param {Side} host
   * @returns {Promise<string>} the address
   */
  async #serve(answers, host) {
    const server = new grpc.Server();
    for (const service of Object.values(hostServices)) {
      server.addService(
        service,
        Object.fromEntries(Object.keys(service).map((name) => [name, handler(answers[name])])),
      );
    }
    const address = join(this.dir, "host.sock");
    const keys = [{ private_key: pem(host.key), cert_chain: pem(host.cert) }];
    const credentials = grpc.ServerCredentials.createSsl(pem(this.identity.plugin.cert), keys, true);
    await new Promise((resolve) => server.bindAsync(`unix:${address}`, credentials, resolve));
    this.#closers.push(() => server.forceShutdown());
    return address;
  }

  /** The sockets that the plugin left. */
  sockets() {
    return readdirSync(this.dir).filter((name) => name !== "host.sock");
  }
}

/** @param {Answers[string] | undefined} answer */
function handler(answer) {
  return (/** @type {any} */ call, /** @type {any} */ respond) => {
    try {
      const response = answer?.(call.request);
      if (response) {
        respond(null, response);
      } // or never
    } catch (error) {
      respond(error);
    }
  };
}

const pem = Buffer.from;
