// An OpenAI-compatible upstream whose behaviour is a test's script, chosen by the request's model.

import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const base = { id: 'chatcmpl-up', created: 1_700_000_000, system_fingerprint: 'fp_up' }

/** chunk creates a chunk of a chat completion; more overrides or adds members. */
export const chunk = (choices, more) => ({ ...base, object: 'chat.completion.chunk', model: 'up-1', choices, ...more })
/** delta creates a chunk of one choice. */
export const delta = (delta, { index = 0, finish = null, ...more } = {}) => chunk([{ index, delta, finish_reason: finish, ...more }])
/** piece creates a chunk of a text completion. */
export const piece = (text, finish = null) => ({
  ...base, id: 'cmpl-up', object: 'text_completion', model: 'up-1', choices: [{ text, index: 0, logprobs: null, finish_reason: finish }],
})
export const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12, prompt_tokens_details: { cached_tokens: 4 } }

/**
 * startUpstream starts an upstream. A script is a function of the request's body that returns an async iterable of
 * actions: an object is sent as an event, a string as it is, {wait: ms} waits, {status, body, headers} answers without
 * a stream, and {reset: true} resets the connection. [DONE] must be sent by the script. models is its list of models.
 *
 * The result's requests are the requests so far, each with its path, body and headers, and aborted, which is true if
 * the client disconnected before the end.
 */
export async function startUpstream(scripts, { models = [{ id: 'up-1', object: 'model', created: 1, owned_by: 'us' }] } = {}) {
  const requests = []
  const server = createServer(async (req, res) => {
    const parts = []
    for await (const part of req) parts.push(part)
    if (req.url === '/v1/models') return answer(res, 200, { object: 'list', data: models })
    const body = JSON.parse(Buffer.concat(parts).toString())
    const seen = { path: req.url, body, headers: req.headers, aborted: false }
    requests.push(seen)
    res.on('close', () => {
      seen.aborted = !res.writableFinished
    })
    const script = scripts[body.model]
    if (!script) {
      return answer(res, 404, {
        error: { message: `The model '${body.model}' does not exist`, type: 'invalid_request_error', param: 'model', code: 'model_not_found' },
      })
    }
    await play(script(body, requests), res)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    requests,
    of: (model) => requests.filter((r) => r.body.model === model),
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function play(script, res) {
  for await (const step of script) {
    if (res.destroyed) return
    if (step.wait !== undefined) await sleep(step.wait)
    else if (step.status !== undefined) return answer(res, step.status, step.body, step.headers)
    else if (step.reset) return res.destroy()
    else {
      if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(typeof step === 'string' ? step : `data: ${JSON.stringify(step)}\n\n`)
    }
  }
  res.end()
}

function answer(res, status, body, headers) {
  res.writeHead(status, { 'content-type': 'application/json', ...headers })
  res.end(JSON.stringify(body))
}
