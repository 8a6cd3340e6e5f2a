// GitHub's own evaluator of expressions and its own checker of workflows: one question a line, one answer a line.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire, register } from "node:module";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The packages import JSON without saying so, which this version of node refuses.
const hook = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const packages = createRequire(join(process.argv[2], "node_modules", "none.js"));
// They offer themselves to `import` alone, by the path that package.json would give.
const load = (name, file = "index") =>
  import(pathToFileURL(join(process.argv[2], "node_modules", name, "dist", `${file}.js`)));
const { data, Evaluator, Lexer, Parser } = await load("@actions/expressions");
const { truthy } = await load("@actions/expressions", "result");

const STATUS = ["always", "cancelled", "failure", "success"];
const FUNCTIONS = [
  ...STATUS.map((name) => ({ name, description: "", minArgs: 0, maxArgs: 0 })),
  { name: "hashFiles", description: "", minArgs: 1, maxArgs: 255 },
];

function matcher(pattern) {
  const parts = pattern.split(/(\*\*\/|\*\*|\*|\?)/).map((part) => {
    const wildcard = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" }[part];
    return wildcard ?? part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${parts.join("")}$`);
}

// https://github.com/actions/runner/blob/main/src/Misc/expressionFunc/hashFiles/src/hashFiles.ts
function hashFiles(workspace, patterns) {
  const matchers = patterns.map(matcher);
  const found = readdirSync(workspace, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => matchers.some((one) => one.test(relative(workspace, path))))
    .sort();
  const total = createHash("sha256");
  found.forEach((path) => total.update(createHash("sha256").update(readFileSync(path)).digest()));
  return found.length ? total.digest("hex") : "";
}

function parse(text, contexts) {
  const { tokens } = new Lexer(text).lex();
  return new Parser(tokens, Object.keys(contexts), FUNCTIONS).parse();
}

function asksStatus(tree) {
  if (tree === null || typeof tree !== "object") return false;
  if (STATUS.includes(tree.functionName?.lexeme.toLowerCase())) return true;
  return Object.values(tree).some(asksStatus);
}

function evaluate(tree, { contexts, status, workspace }) {
  const functions = new Map(
    STATUS.map((name) => [name, { call: () => new data.BooleanData(status[name] ?? name === "always") }]),
  );
  functions.set("hashfiles", {
    call: (...patterns) => new data.StringData(hashFiles(workspace, patterns.map((one) => one.coerceString()))),
  });
  const known = JSON.parse(JSON.stringify(contexts), data.reviver);
  return new Evaluator(tree, known, functions).evaluate();
}

const answers = {
  value(asked) {
    const found = evaluate(parse(asked.text, asked.contexts), asked);
    return { value: JSON.parse(JSON.stringify(found, data.replacer)), text: found.coerceString() };
  },
  condition(asked) {
    const tree = parse(asked.text, asked.contexts);
    // https://docs.github.com/actions/reference/workflows-and-actions/expressions#status-check-functions
    if (!asksStatus(tree) && !asked.status.success) return { value: false };
    return { value: truthy(evaluate(tree, asked)) };
  },
  async problems({ path }) {
    const { validate } = await load("@actions/languageservice");
    const { TextDocument } = await import(
      pathToFileURL(packages.resolve("vscode-languageserver-textdocument"))
    );
    const document = TextDocument.create("file:///.github/workflows/checked.yml", "yaml", 1, readFileSync(path, "utf8"));
    const found = await validate(document, {});
    return { value: found.map(({ range, message }) => `line ${range.start.line + 1}: ${message}`) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = await answers[asked.ask](asked);
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
