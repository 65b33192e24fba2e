export { currentActor, currentHost } from "./context.js";
export { secret } from "./declare.js";
export {
  DeniedError,
  IntegrityError,
  NotApprovedError,
  NotConfiguredError,
  NotSetError,
  SealedError,
  SecretsError,
  UnavailableError,
} from "./errors.js";
export { serve } from "./serve.js";
export { Value } from "./value.js";
