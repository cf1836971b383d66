/**
 * Serializes the calls of one name: one Register or Unregister at a time, in the order of arrival. Other names
 * proceed in parallel, and Finds never wait. begin remembers the last successful Register, so that elements
 * after it can start a Register or Unregister of their own (`ctx.get(registrationEvents)`). expire, refresh and
 * heal use this. An Unregister is forwarded with the remembered entry, including the changes of later elements;
 * for an unknown name, it is forwarded unchanged. An Unregister from outside preempts an event, but never a
 * Register from outside. An Unregister with another URL than the registration is ignored, because the endpoint
 * has moved since.
 *
 * Both registries, both sides. After update-path, before every element that keeps state. Inside another begin
 * (a client chain at the end of a server chain) it forwards calls unchanged. Sets `registrationEvents`, and
 * `eventCause` during an Unregister event. Throws INVALID_ARGUMENT for an empty name.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { expire } from "nsm-sdk/registry/elements/expire";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([updatePath({ tokens }), begin(), registrationState(), expire(), memoryEndpoints()]);
 *
 * @packageDocumentation
 */
import {
  Code,
  eventCause,
  explain,
  log,
  NsmError,
  registrationEvents,
  type Context,
  type RegistrationEvents,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import { registrationPath } from "../../../wire/index.js";
import { isAbout } from "../../is-about.js";
import { Life, Names, type Name } from "./names.js";

/** Options of begin(). */
export interface BeginOptions {
  /** The lifetime of the program. Aborts running events and prevents new ones. */
  readonly until?: AbortSignal | undefined;
}

/** Creates the element. See the module description. */
export function begin<E extends RegistryEntry, Q, F>({ until }: BeginOptions = {}): RegistryElement<E, Q, F> {
  const names = new Names<E>(until);

  const eventsOf = (id: string, life: Life<E>, next: Registry<E, Q, F>): RegistrationEvents => {
    const events: RegistrationEvents = {
      register: (options = {}) =>
        names.runEvent(id, life, options, async (ctx, { entry, ctx: values }) => {
          await registerAndRemember(ctx.with(registrationEvents, events), { entry, values, life, next });
        }),
      unregister: (options = {}) =>
        names.runEvent(id, life, options, async (ctx, { entry }, name) => {
          name.life = undefined;
          const caused = ctx.with(eventCause, options.cause ?? "upstream");
          try {
            await next.unregister(caused.with(registrationEvents, nothingMore), entry);
          } finally {
            await life.release(ctx);
          }
        }),
    };
    return events;
  };

  return {
    name: "begin",
    debugState: () => ({ names: names.size }),

    async register(ctx, entry, next) {
      if (ctx.get(registrationEvents)) return next.register(ctx, entry);
      checkName(entry);
      return names.inTurn(entry.name, async (name) => {
        ctx.throwIfDone();
        const life = name.life ?? new Life(entry);
        life.asked = entry;
        const inner = life.contextOf(ctx.with(registrationEvents, eventsOf(entry.name, life, next)));
        try {
          const response = await registerAndRemember(inner, { entry, values: ctx, life, next });
          name.life = life;
          return response;
        } finally {
          if (!name.life) await undoRegister(ctx, entry, life, next);
        }
      });
    },

    async unregister(ctx, entry, next) {
      if (ctx.get(registrationEvents)) return next.unregister(ctx, entry);
      checkName(entry);
      const unregister = async (name: Name<E>): Promise<void> => {
        ctx.throwIfDone();
        const { life } = name;
        if (!means(entry, life)) {
          log(ctx).info({ entry: entry.name }, "ignored an Unregister: the entry has another URL by now");
          return;
        }
        name.life = undefined;
        try {
          await next.unregister(ctx.with(registrationEvents, nothingMore), life?.established?.entry ?? entry);
        } finally {
          await life?.release(ctx);
        }
      };
      // An Unregister of another registration does not disturb this one.
      if (means(entry, names.lifeOf(entry.name))) await names.preempting(entry.name, unregister);
      else await names.inTurn(entry.name, unregister);
    },
  };
}

/** The events that elements see during an Unregister: no further event can start. */
const nothingMore: RegistrationEvents = {
  register: async () => "skipped",
  unregister: async () => "skipped",
};

/** Undoes a first Register that succeeded here but whose answer an earlier element rejected. */
async function undoRegister<E extends RegistryEntry, Q, F>(
  ctx: Context,
  entry: E,
  life: Life<E>,
  next: Registry<E, Q, F>,
): Promise<void> {
  if (!life.isHeld) return;
  const ending = ctx.with(registrationEvents, nothingMore);
  await ending
    .detached((c) => next.unregister(c, entry))
    .catch((error: unknown) => {
      log(ctx).warn({ entry: entry.name, error: explain(error) }, "could not undo a rejected registration");
    });
  await life.release(ctx);
}

/** Whether an Unregister is about the current registration or about the attempt to replace it. */
function means<E extends RegistryEntry>(unregistered: E, life: Life<E> | undefined): boolean {
  if (!life?.established) return true;
  return isAbout(unregistered, life.established.entry) || isAbout(unregistered, life.asked);
}

interface Renewal<E extends RegistryEntry, Q, F> {
  readonly entry: E;
  /** The Context whose values and time limit later events use. */
  readonly values: Context;
  readonly life: Life<E>;
  readonly next: Registry<E, Q, F>;
}

async function registerAndRemember<E extends RegistryEntry, Q, F>(
  ctx: Context,
  { entry, values, life, next }: Renewal<E, Q, F>,
): Promise<E> {
  const holder = ctx.get(registrationPath);
  const index = holder?.current.index ?? 0;
  const response = await next.register(ctx, entry);
  life.established = {
    ctx: values,
    // A repeated registration keeps the caller's name and requests a new lifetime.
    entry: {
      ...response,
      name: entry.name,
      ...("expirationTime" in response && { expirationTime: undefined }),
    },
    path: holder && { index, segments: holder.current.segments },
  };
  return response;
}

function checkName({ name }: RegistryEntry): void {
  if (name === "") throw new NsmError(Code.InvalidArgument, "the registration has no name");
}
