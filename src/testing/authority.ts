/** Certificates for tests: valid ones, and those that peers must reject. */
export {
  authority,
  type Authority,
  type AuthorityOptions,
  type IssuedSvid,
  type IssueOptions,
  type KeyKind,
} from "../identity/index.js";
