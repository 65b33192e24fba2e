// What both ends of the connection agree on, as internal/pluginwire has it for
// the host.
import protoLoader from "@grpc/proto-loader";

import stubs from "./stubs.js";

/** The variable by which a plugin notices that a host started it. No secret. */
export const cookie = {
  key: "DATASETTE_SECRETS_PLUGIN",
  value: "5c1b7f0e-plugin-of-datasette-secrets",
};

/** The variable with the folder where the plugin is to listen. */
export const socketDirKey = "PLUGIN_UNIX_SOCKET_DIR";

/** go-plugin's own version, and that of the services in pluginapi/proto. */
export const coreVersion = 1;
export const protocolVersion = 1;

/** gRPC authority and TLS server name of both directions. */
export const authority = "localhost";

/** The domain of the google.rpc.ErrorInfo in every error. */
export const domain = "secrets.plugin";

export const maxMessage = 4 << 20; // bytes, either way
export const maxBootstrap = 64 << 10; // bytes of the bootstrap line
export const hostCallTimeout = 10_000; // milliseconds of patience for one call to the host

/** The name under which go-plugin asks for the plugin's health. */
export const healthService = "plugin";

/** @type {any} services and messages by their full names */
const definitions = protoLoader.fromJSON(/** @type {any} */ (stubs), { defaults: true, longs: Number });

export const hostServices = {
  secrets: definitions["secrets.host.v1.Secrets"],
  configuration: definitions["secrets.host.v1.Configuration"],
};

export const pluginServices = {
  lifecycle: definitions["secrets.plugin.v1.Lifecycle"],
  declarations: definitions["secrets.plugin.v1.Declarations"],
  starter: definitions["secrets.plugin.v1.Starter"],
  validator: definitions["secrets.plugin.v1.Validator"],
  menu: definitions["secrets.plugin.v1.Menu"],
  actors: definitions["secrets.plugin.v1.Actors"],
  authenticator: definitions["secrets.plugin.v1.Authenticator"],
  http: definitions["secrets.plugin.v1.Http"],
  controller: definitions["plugin.GRPCController"],
  health: definitions["grpc.health.v1.Health"],
};

export const messages = {
  status: definitions["google.rpc.Status"],
  errorInfo: definitions["google.rpc.ErrorInfo"],
};

/** The limits of either end of a connection. */
export const limits = {
  "grpc.max_receive_message_length": maxMessage,
  "grpc.max_send_message_length": maxMessage,
};
