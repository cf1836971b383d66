import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** An error message in the source. `…` stands for a value. */
export interface Sentence {
  /** The file, relative to the source folder. */
  readonly file: string;
  /** The name in `Code`, such as `NotFound`. Undefined if the code is computed. */
  readonly code: string | undefined;
  readonly text: string;
}

const VALUE = "…";

/** The error classes, and the position of the message in their arguments. */
const classes: Readonly<Record<string, number>> = {
  NsmError: 1,
  ConfigurationError: 1,
  InvalidArgumentError: 0,
};

/** The messages of all errors in the sources of a folder, including errors created through a function. */
export function errorSentences(folder: string): readonly Sentence[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => parse(folder, file));
  const makers = files.flatMap((source) => [...makersIn(source)]);
  return files.flatMap(({ file, root }) => {
    const here = makers.filter((maker) => maker.exported || maker.file === file);
    return [...walk(root)].flatMap((node) =>
      sentencesOf(node, here).map((sentence) => ({ file, ...sentence })),
    );
  });
}

/** A function that creates an error with a given message: `badConfiguration(message)`. */
interface Maker {
  readonly file: string;
  readonly name: string;
  readonly exported: boolean;
  /** The position of the message in its arguments. */
  readonly argument: number;
  readonly code: string | undefined;
}

interface Source {
  readonly file: string;
  readonly root: ts.SourceFile;
}

function parse(folder: string, file: string): Source {
  const text = readFileSync(join(folder, file), "utf8");
  return { file, root: ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true) };
}

function* walk(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* walk(child);
}

function* makersIn({ file, root }: Source): Generator<Maker> {
  for (const node of walk(root)) {
    const made = madeBy(node);
    if (!made) continue;
    // Also `sentence(tried)`: a message that a function argument computes.
    const given = ts.isCallExpression(made.message) ? made.message.expression : made.message;
    const around = ts.findAncestor(node, ts.isFunctionDeclaration);
    const argument = around?.parameters.findIndex(({ name }) => name.getText() === given.getText()) ?? -1;
    if (!around?.name || argument < 0) continue;
    const exported = around.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
    yield { file, name: around.name.text, exported, argument, code: made.code };
  }
}

/** The message and code of a `new NsmError(Code.X, …)`. */
function madeBy(node: ts.Node): { message: ts.Expression; code: string | undefined } | undefined {
  if (!ts.isNewExpression(node)) return undefined;
  const at = classes[node.expression.getText()];
  const message = at === undefined ? undefined : node.arguments?.[at];
  if (!message) return undefined;
  const code = at === 0 ? "exit 2" : /^Code\.(\w+)$/.exec(node.arguments![0]!.getText())?.[1];
  return { message, code };
}

function sentencesOf(node: ts.Node, makers: readonly Maker[]): Omit<Sentence, "file">[] {
  const made = madeBy(node);
  if (made) return texts(made.message).map((text) => ({ text, code: made.code }));
  if (!ts.isCallExpression(node)) return [];
  const maker = makers.find(({ name }) => name === node.expression.getText());
  const message = maker && node.arguments[maker.argument];
  return message ? texts(message).map((text) => ({ text, code: maker.code })) : [];
}

/** The texts of an expression. Empty if it only forwards other messages. */
function texts(node: ts.Expression): string[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isTemplateExpression(node)) {
    return [node.head.text + node.templateSpans.map(({ literal }) => VALUE + literal.text).join("")];
  }
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) return texts(node.body);
  if (ts.isConditionalExpression(node)) return [...texts(node.whenTrue), ...texts(node.whenFalse)];
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return texts(node.left).flatMap((left) => texts(node.right).map((right) => left + right));
  }
  return ts.isIdentifier(node) ? texts(constantOf(node) ?? ts.factory.createNull()) : [];
}

/** The initial value of a `const` in the enclosing blocks. */
function constantOf({ text, parent }: ts.Identifier): ts.Expression | undefined {
  for (let node: ts.Node = parent; node.parent; node = node.parent) {
    if (!ts.isBlock(node) && !ts.isSourceFile(node)) continue;
    for (const statement of node.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      const found = statement.declarationList.declarations.find(({ name }) => name.getText() === text);
      if (found) return found.initializer;
    }
  }
  return undefined;
}
