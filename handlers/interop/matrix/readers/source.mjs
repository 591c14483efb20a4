// What the clients read: a topic of numbered events, and a stream whose text grows, for as long as somebody is cut.

import { api, startServer, token } from '../../lib/server.mjs'
import { random } from '../../lib/random.mjs'
import { sleep } from '../../lib/wait.mjs'

const pace = 100 // ms between two portions, which are as large as what a connection may pass
export const topic = 'matrix:news'
export const stream = 'matrix-text'

// All widths of UTF-8 and all line ends.
const pieces = ['def add(a, b):\n', '    return a + b  # ½ Grüße\r\n', '日本語\r', '🦆🦆', '\n\n', ': data: x\n\nid: 7\n']

/**
 * startSource starts a server and writes to its topic and its stream. Of the result, read() is called by each reader of
 * the stream before it begins; the function that it returns, when that reader has been cut enough. When the last one
 * has been, the stream ends. published() is the number of events so far, text() the text.
 */
export async function startSource() {
  const server = await startServer({
    DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_CONNECTIONS_PER_ADDRESS: '100000', DUCKWIRE_JOINS_PER_MINUTE: '0',
    DUCKWIRE_HISTORY_EVENTS: '100000', DUCKWIRE_ALLOWED_ORIGINS: 'http://localhost', // which lib/xhr.mjs says it is
  })
  const bearer = token()
  const call = api(server, bearer)
  const pick = random()
  let [published, text, readers, over] = [0, '', 0, false]

  const publish = () => {
    const events = Array.from({ length: 3 + pick(6) }, () => ({ event: 'news', payload: { n: published++, text: piece().repeat(pick(4)) } }))
    return call('POST', `/v1/topics/${topic}/events`, { events })
  }
  const piece = () => pieces[pick(pieces.length)]
  const append = async (more, end) => {
    text += more
    const lines = [JSON.stringify({ text: more }), ...(end ? ['{"event":"end","status":"done"}'] : [])]
    await call('POST', `/v1/streams/${stream}/append`, `${lines.join('\n')}\n`, 'application/x-ndjson')
  }

  await call('POST', '/v1/streams', { id: stream })
  let begun = false
  let failure
  const writing = (async () => {
    for (let ended = false; !over; await sleep(pace)) {
      await publish()
      if (ended) continue
      ended = begun && readers === 0
      await append(Array.from({ length: 20 + pick(60) }, piece).join(''), ended)
    }
  })().catch((error) => {
    failure = error
  })

  return {
    server,
    bearer,
    published: () => published,
    text: () => text,
    read() {
      begun = true
      readers++
      return () => readers--
    },
    async close() {
      over = true
      await writing
      await server.close()
      if (failure) throw failure
    },
  }
}
