import { concat, throwError, type Observable } from "rxjs";
import { Code, NsmError } from "../core/index.js";

/** A watch that fails with UNAVAILABLE when its registry completes it, because only the reader ends a watch. */
export function unending<F>(watch: Observable<F>): Observable<F> {
  return concat(
    watch,
    throwError(() => new NsmError(Code.Unavailable, "the registry ended the watch")),
  );
}
