// An OpenAI-compatible chat endpoint on loopback over a small local model, so
// that `cargo xtask test-live` talks to a model that really answers.
//
//   node server.mjs MODEL.gguf      (keep its stdin open: closing it ends it)
//
// Prints `listening http://127.0.0.1:PORT/v1` once it can answer; that is the
// only line on stdout, everything else goes to stderr.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { basename } from "node:path";
import { LlamaText, SpecialTokensText, getLlama } from "node-llama-cpp";

const CONTEXT_TOKENS = 4096;
const DEFAULT_MAX_TOKENS = 64; // A model this small soon repeats itself.
const MAX_BODY_BYTES = 1 << 20;
const SEED = 1;
const ROLES = { system: "system", developer: "system", user: "user", assistant: "assistant" };

// Before the model loads, so that a test that dies early leaves nothing behind.
// The pipe closes even when the parent is killed and can send no signal.
for (const event of ["end", "close", "error"]) process.stdin.on(event, () => process.exit(0));
process.stdin.resume();
process.on("SIGTERM", () => process.exit(0));

const modelPath = process.argv[2];
if (!modelPath) {
  console.error("usage: node server.mjs MODEL.gguf");
  process.exit(2);
}
const modelId = basename(modelPath, ".gguf");

const llama = await getLlama({
  // Only the binary that the npm package ships: no download, no compiler.
  gpu: false,
  build: "never",
  skipDownload: true,
  progressLogs: false,
  // The workers spin on a barrier at every step, so one that has to wait for a
  // core stalls all of them: on a busy machine two threads are many times
  // slower than one, and one is fast enough for a model of this size.
  maxThreads: 1,
  logger: (level, message) => console.error(`llama.cpp ${level}: ${message.trimEnd()}`),
});
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: CONTEXT_TOKENS });
const sequence = context.getSequence();

const special = (text) => new SpecialTokensText(text);
if (special("<|im_start|>").tokenize(model.tokenizer).length !== 1) {
  console.error(`${modelId} has no <|im_start|> token: only models with ChatML prompts are served`);
  process.exit(1);
}

class ApiError extends Error {
  constructor(message, { param = null, code = null, status = 400 } = {}) {
    super(message);
    Object.assign(this, { status, param, code });
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function textOf(content, param) {
  if (typeof content === "string") return content;
  if (Array.isArray(content) && content.every((p) => p?.type === "text" && typeof p.text === "string"))
    return content.map((part) => part.text).join("");
  throw new ApiError("content must be a string or a list of text parts", { param });
}

// Written out rather than left to the library, whose ChatML puts a second
// <|im_start|> in front that the model's own template does not have. That
// template's default system prompt is left out: with it the model at this
// quantisation fails on the simplest questions. Only the markers are parsed as
// special tokens: a marker inside a message stays text.
function promptTokens(messages) {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new ApiError("messages must be a non-empty array", { param: "messages" });
  const turns = messages.map((message, i) => {
    const role = typeof message?.role === "string" && Object.hasOwn(ROLES, message.role) && ROLES[message.role];
    if (!role)
      throw new ApiError(`role must be one of ${Object.keys(ROLES).join(", ")}`, { param: `messages[${i}].role` });
    const text = textOf(message.content, `messages[${i}].content`);
    return [special(`<|im_start|>${role}\n`), text, special("<|im_end|>\n")];
  });
  return LlamaText([...turns.flat(), special("<|im_start|>assistant\n")]).tokenize(model.tokenizer);
}

function numberOf(body, param, fallback, valid, expected) {
  const value = body[param] ?? fallback; // null means "not given", as in OpenAI's API.
  if (!valid(value)) throw new ApiError(`${param} must be ${expected}`, { param });
  return value;
}
const isCount = (value) => Number.isSafeInteger(value) && value >= 1;

function parseChat(body) {
  if (!isObject(body)) throw new ApiError("the request body must be a JSON object");
  // Any name is taken, as there is one model; the answer says which one it is.
  if (typeof body.model !== "string" || !body.model) throw new ApiError("model must be a string", { param: "model" });
  // What would change the answer is refused, not silently dropped.
  const unsupported = { stream: body.stream, tools: body.tools?.length, stop: body.stop?.length, n: (body.n ?? 1) !== 1 };
  for (const [param, asked] of Object.entries(unsupported))
    if (asked) throw new ApiError(`${param} is not supported here`, { param, code: "unsupported_parameter" });

  const maxTokens = numberOf(body, "max_tokens", DEFAULT_MAX_TOKENS, isCount, "a positive integer");
  const limit = numberOf(body, "max_completion_tokens", maxTokens, isCount, "a positive integer");
  const temperature = numberOf(body, "temperature", 0, (t) => typeof t === "number" && t >= 0 && t <= 2, "from 0 to 2");

  const prompt = promptTokens(body.messages);
  const room = sequence.contextSize - prompt.length;
  if (room < 1)
    throw new ApiError(`the prompt has ${prompt.length} tokens, the model's context holds ${sequence.contextSize}`, {
      param: "messages",
      code: "context_length_exceeded",
    });
  return { prompt, temperature, limit: Math.min(limit, room) };
}

async function complete({ prompt, temperature, limit }, gone) {
  // From an empty context each time: an answer must not depend on the requests
  // that came before it.
  await sequence.clearHistory();
  const tokens = [];
  let finishReason = "length";
  for await (const token of sequence.evaluate(prompt, { temperature, seed: SEED, yieldEogToken: true })) {
    tokens.push(token);
    if (model.isEogToken(token)) finishReason = "stop";
    if (finishReason === "stop" || tokens.length >= limit || gone()) break;
  }
  // Counted here because the sequence's token meter counts evaluated tokens: it
  // books the prompt's last one as output. The end-of-turn token is counted:
  // the model generated it.
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model: modelId,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: model.detokenize(tokens), refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      },
    ],
    usage: {
      prompt_tokens: prompt.length,
      completion_tokens: tokens.length,
      total_tokens: prompt.length + tokens.length,
    },
  };
}

// There is one context, so requests take turns.
let queue = Promise.resolve();
function inTurn(job) {
  const result = queue.then(job);
  queue = result.catch(() => {});
  return result;
}

async function readJson(req) {
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk); // Read on, so that the client can hear the answer.
  }
  if (size > MAX_BODY_BYTES) throw new ApiError(`the request body is over ${MAX_BODY_BYTES} bytes`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new ApiError("the request body is not valid JSON");
  }
}

async function answer(req, res) {
  const path = req.url.split("?", 1)[0];
  if (req.method === "GET" && path === "/v1/models")
    return { object: "list", data: [{ id: modelId, object: "model", created: 0, owned_by: "local" }] };
  if (req.method === "POST" && path === "/v1/chat/completions") {
    const chat = parseChat(await readJson(req));
    const gone = () => res.destroyed; // The client hung up: let the next one in.
    return inTurn(() => complete(chat, gone));
  }
  throw new ApiError(`no such endpoint: ${req.method} ${path}`, { status: 404 });
}

const server = createServer(async (req, res) => {
  let status = 200;
  let body;
  try {
    body = await answer(req, res);
  } catch (error) {
    const known = error instanceof ApiError;
    if (!known) console.error(error);
    status = known ? error.status : 500;
    const { message, param, code } = known ? error : { message: "internal error", param: null, code: null };
    body = { error: { message, type: known ? "invalid_request_error" : "server_error", param, code } };
  }
  res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
});
server.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}/v1`));
