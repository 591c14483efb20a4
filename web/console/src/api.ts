// The part of the REST API that the console uses.

import { token } from './token'

/** root is the server's address, without a slash at its end. The page is at the root of its paths, also below a base path. */
export const root = new URL('.', location.href).href.replace(/\/$/, '')

/** Problem is an error response (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** api sends a request and returns the response's JSON. */
export async function api<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = { method, headers: { authorization: `Bearer ${token()}`, accept: 'application/json', ...headers } }
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers = { ...init.headers, 'content-type': 'application/json' }
  }
  const response = await fetch(root + path, init)
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Problem(response.status, answer.code ?? '', answer.detail ?? answer.title ?? answer.error?.message ?? response.statusText)
  return answer as T
}

/** Stream has the displayed members of a stream in the server's list. */
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

/** Overview is the response to GET /v1/overview. */
export interface Overview {
  log_bytes: number
  topics: { total: number; list: { topic: string; readers: number; events: number; bytes: number; present: number; used: string }[] }
  sessions: { total: number; users: number; by_transport: Record<string, number>; list: { user: string; total: number; by_transport: Record<string, number>; since: string }[] }
  queues: { users: number; messages: number; bytes: number; list: { user: string; messages: number; bytes: number; oldest: string }[] }
}
