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
import { KeyedEvents, type Key } from "../../../core/keyed-events.js";
import { registrationPath, type RegistrationPath } from "../../../wire/index.js";
import { isAbout } from "../../is-about.js";
import { Registration } from "./registration.js";

/** Options of begin(). */
export interface BeginOptions {
  /** The lifetime of the program. Aborts running events and prevents new ones. */
  readonly until?: AbortSignal | undefined;
}

/** Creates the element. See the module description. */
export function begin<E extends RegistryEntry, Q, F>({ until }: BeginOptions = {}): RegistryElement<E, Q, F> {
  const calls = new KeyedEvents<Registration<E>>({ preempted: beingUnregistered, until });

  const eventsOf = (id: string, life: Registration<E>, next: Registry<E, Q, F>): RegistrationEvents => {
    const events: RegistrationEvents = {
      register: (options = {}) =>
        calls.event(id, life, options, async (ctx, { entry, ctx: values, path }) => {
          const inner = withOwnPath(ctx, path).with(registrationEvents, events);
          await registerAndRemember(inner, { entry, values, life, next });
        }),
      unregister: (options = {}) =>
        calls.event(id, life, options, async (ctx, { entry, path }, key) => {
          const caused = withOwnPath(ctx, path).with(eventCause, options.cause ?? "upstream");
          await endLife(caused, key, () =>
            next.unregister(caused.with(registrationEvents, nothingMore), entry),
          );
        }),
    };
    return events;
  };

  return {
    name: "begin",
    debugState: () => ({ names: calls.size }),

    async register(ctx, entry, next) {
      if (ctx.get(registrationEvents)) return next.register(ctx, entry);
      checkName(entry);
      return calls.establish(ctx, entry.name, async (key) => {
        const life = key.life ?? new Registration(entry);
        life.asked = entry;
        const inner = life.contextOf(ctx.with(registrationEvents, eventsOf(entry.name, life, next)));
        try {
          const response = await registerAndRemember(inner, { entry, values: ctx, life, next });
          key.life = life;
          return response;
        } finally {
          if (!key.life) await undoRegister(ctx, entry, life, next);
        }
      });
    },

    async unregister(ctx, entry, next) {
      if (ctx.get(registrationEvents)) return next.unregister(ctx, entry);
      checkName(entry);
      // An Unregister of another registration does not disturb this one.
      const preempts = means(entry, calls.lifeOf(entry.name));
      await calls.end(entry.name, preempts, async (key) => {
        ctx.throwIfDone();
        const { life } = key;
        if (!means(entry, life)) {
          log(ctx).info({ entry: entry.name }, "ignored an Unregister: the entry has another URL by now");
          return;
        }
        const known = life?.established?.entry ?? entry;
        await endLife(ctx, key, () => next.unregister(ctx.with(registrationEvents, nothingMore), known));
      });
    },
  };
}

/** The events that elements see during an Unregister: no further event can start. */
const nothingMore: RegistrationEvents = {
  register: async () => "skipped",
  unregister: async () => "skipped",
};

/** Forgets the registration, whether `unregister` succeeds or fails. */
async function endLife<E extends RegistryEntry>(
  ctx: Context,
  key: Key<Registration<E>>,
  unregister: () => Promise<void>,
): Promise<void> {
  const { life } = key;
  key.life = undefined;
  try {
    await unregister();
  } finally {
    await life?.release(ctx);
  }
}

/** Elements write to the path holder, so each event has its own. */
function withOwnPath(ctx: Context, path: RegistrationPath | undefined): Context {
  return path ? ctx.with(registrationPath, { current: path }) : ctx;
}

/** Undoes a first Register that succeeded here but whose answer an earlier element rejected. */
async function undoRegister<E extends RegistryEntry, Q, F>(
  ctx: Context,
  entry: E,
  life: Registration<E>,
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
function means<E extends RegistryEntry>(unregistered: E, life: Registration<E> | undefined): boolean {
  if (!life?.established) return true;
  return isAbout(unregistered, life.established.entry) || isAbout(unregistered, life.asked);
}

interface Renewal<E extends RegistryEntry, Q, F> {
  readonly entry: E;
  /** The Context whose values and time limit later events use. */
  readonly values: Context;
  readonly life: Registration<E>;
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

function beingUnregistered(id: string): NsmError {
  return new NsmError(Code.Cancelled, `${id} is being unregistered`);
}
