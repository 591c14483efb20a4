// Runs in the pages of openaibrowser.test.mjs: the official SDK, unmodified. Arguments and results are JSON.

import OpenAI from 'openai'

/** connect creates a client whose requests have the headers that tracers and OpenRouter's clients add. */
const connect = (url, apiKey, headers) =>
  new OpenAI({
    baseURL: `${url}/v1`,
    apiKey,
    dangerouslyAllowBrowser: true,
    maxRetries: 0,
    defaultHeaders: {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'HTTP-Referer': 'https://app.example',
      'X-Title': 'Interop',
      ...headers,
    },
  })

/** told returns what a request gave, or the class and message of its error. */
const told = (request) =>
  request.catch((error) => ({ error: error.constructor.name, status: error.status, message: error.message, id: error.requestID }))

globalThis.page = {
  chat: (url, apiKey, headers) => told((async () => {
    const messages = [{ role: 'user', content: 'hi' }]
    const request = connect(url, apiKey, headers).chat.completions.create({ model: 'plain', messages, stream: true })
    const { data, response, request_id: id } = await request.withResponse()
    let text = ''
    for await (const { choices } of data) text += choices[0]?.delta.content ?? ''
    return { text, id, header: response.headers.get('x-request-id'), stream: response.headers.get('duckwire-stream') }
  })()),
  models: (url, apiKey) => told((async () => (await connect(url, apiKey).models.list()).data.map((model) => model.id))()),
}
