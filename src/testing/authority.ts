/** Certificates for tests, good ones and those that peers must refuse. */
export {
  authority,
  type Authority,
  type AuthorityOptions,
  type IssuedSvid,
  type IssueOptions,
  type KeyKind,
} from "../identity/index.js";
