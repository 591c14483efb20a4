// The REST API, as far as the console needs it.

import { token } from './token'

/** Problem is an error answer (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** api makes a request and returns its answer. */
export async function api<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = { method, headers: { authorization: `Bearer ${token()}`, accept: 'application/json', ...headers } }
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers = { ...init.headers, 'content-type': 'application/json' }
  }
  const response = await fetch(path, init)
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Problem(response.status, answer.code ?? '', answer.detail ?? answer.title ?? answer.error?.message ?? response.statusText)
  return answer as T
}

/** Stream is a stream as the server lists it (design.md 2.5), as far as it is shown. */
export interface Stream {
  id: string
  kind: string
  topic: string | null
  owner: string
  status: string
  bytes: number
  position: string
  watchers: number
  timings: { created: string }
  account: { tokens_made: number; tokens_delivered: number; tokens_unwatched: number; ended_by: string | null }
}

/** Overview is how the server stands (GET /v1/overview). */
export interface Overview {
  log_bytes: number
  topics: { total: number; list: { topic: string; readers: number; events: number; bytes: number; present: number; used: string }[] }
  sessions: { total: number; users: number; by_transport: Record<string, number>; list: { user: string; total: number; by_transport: Record<string, number>; since: string }[] }
  queues: { users: number; messages: number; bytes: number; list: { user: string; messages: number; bytes: number; oldest: string }[] }
}
