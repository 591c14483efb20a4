// Go clients, which are processes of ../goreaders: GOREADERS is that program's path. They are used as the eventSources
// are.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const names = ['news', 'chunk', 'end']

/** program runs a client until it is closed. */
const program = (client) => (url, bearer, on) => {
  const child = spawn(process.env.GOREADERS, [client, url, bearer], { stdio: ['ignore', 'pipe', 'inherit'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { event, data, id } = JSON.parse(line)
    if (names.includes(event)) on(event, data, id)
  })
  return () => {
    process.removeListener('exit', kill)
    kill()
  }
}

const skip = !process.env.GOREADERS && 'the Go clients are not built'

export const goSSE = { name: 'tmaxmax/go-sse', skip, open: program('go-sse') }
export const r3labs = { name: 'r3labs/sse', skip, open: program('r3labs') }
export const r3labsAsItIs = program('r3labs, as it is')
export const phx = { name: 'nshafer/phx', readers: 5, skip, follow: program('phx') } // it waits three seconds for the other end to close
