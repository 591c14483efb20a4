import { Limit } from '../limit.js'
import { closed } from '../phoenix.js'
import { Over } from './posts.js'
import { refusedCode, SessionTransport } from './session.js'

/** Answer is the server's answer to a poll. Its status is not that of HTTP. */
interface Answer {
  status: number
  token?: string
  messages?: string[]
}

/**
 * LongPollTransport is the long-poll transport of Phoenix. The official client's gives a poll 20 seconds, which a long
 * message needs on a slow link. This one waits as long as bytes arrive.
 */
export class LongPollTransport extends SessionTransport {
  /** How long the server may send nothing, in ms. It answers an idle poll after 10 seconds. */
  timeout = 20_000
  #token = ''

  constructor(url: string, protocols?: string | string[]) {
    super(url, protocols, 'longpoll')
  }

  protected session(): Record<string, string> {
    return this.#token ? { token: this.#token } : {}
  }

  protected async run(): Promise<void> {
    try {
      while (this.readyState !== closed) this.#take(await this.#poll())
    } catch (error) {
      this.fail(error)
    }
  }

  #take({ status, token, messages }: Answer): void {
    const isNew = this.#token === ''
    if (status === 403) throw new Over('forbidden', refusedCode)
    if (token === undefined || ![200, 204, 410].includes(status)) throw new Over(`the poll was answered with status ${status}`, 1011)
    if (status === 410 && !isNew) throw new Over('the session is over', 1011)
    this.#token = token
    if (status === 410) this.opened()
    for (const message of messages ?? []) this.deliver(message)
  }

  /** poll sends one poll and reads the answer. */
  async #poll(): Promise<Answer> {
    const limit = new Limit(this.abort.signal)
    const late = (): Error => new Over('the poll was not answered in time', 1006)
    limit.within(this.timeout, late)
    try {
      const response = await this.request(this.session(), { signal: limit.signal, headers: { accept: 'application/json' } })
      this.heard()
      limit.within(this.timeout, late)
      const decoder = new TextDecoder()
      let text = ''
      for await (const bytes of response.body ? limit.read(response.body) : []) {
        this.heard()
        limit.within(this.timeout, late)
        text += decoder.decode(bytes, { stream: true })
      }
      return JSON.parse(text + decoder.decode()) as Answer
    } finally {
      limit.end()
    }
  }
}
