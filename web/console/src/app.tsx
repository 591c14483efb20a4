// The frame of all pages: user, navigation, light or dark.

import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Operations } from './operations'
import { Playground } from './playground'
import { claims, setToken, token } from './token'

const themeKey = 'duckwire.theme'
const themes = ['auto', 'light', 'dark'] as const

function useHash(): string {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = () => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return hash
}

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem(themeKey) ?? 'auto')
  useEffect(() => {
    document.documentElement.dataset.theme = theme
    localStorage.setItem(themeKey, theme)
  }, [theme])
  const next = () => setTheme(themes[(themes.indexOf(theme as (typeof themes)[number]) + 1) % themes.length])
  return { theme, next }
}

export function App() {
  const hash = useHash()
  const { theme, next } = useTheme()
  const [known, setKnown] = useState(Boolean(token()))
  const who = claims()
  const operations = hash.startsWith('#/operations')
  const topic = decodeURIComponent(/^#\/playground\/(.+)/.exec(hash)?.[1] ?? 'code:file:playground.js')
  return (
    <>
      <header class="top">
        <h1><a class="brand" href="#/playground">Duckwire</a></h1>
        {known && (
          <nav aria-label="Views">
            <Place to="#/playground" on={!operations}>Playground</Place>
            <Place to="#/operations" on={operations}>Operations</Place>
            <a href="docs">API</a>
          </nav>
        )}
        <span class="grow" />
        <button type="button" class="quiet" onClick={next} aria-label={`Colours: ${theme}. Change`}>{{ auto: '◐', light: '☀', dark: '☾' }[theme] ?? '◐'}</button>
        {known && (
          <>
            <span class="who" title={who?.expires ? `until ${who.expires.toLocaleString()}` : ''}>{who?.user}</span>
            <button type="button" class="quiet" onClick={() => { setToken(''); setKnown(false) }}>Sign out</button>
          </>
        )}
      </header>
      {!known ? <SignIn onToken={() => setKnown(true)} /> : operations ? <Operations /> : <Playground key={topic} topic={topic} />}
    </>
  )
}

function Place({ to, on, children }: { to: string; on: boolean; children: ComponentChildren }) {
  return <a href={to} aria-current={on ? 'page' : undefined}>{children}</a>
}

function SignIn({ onToken }: { onToken(): void }) {
  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    setToken(String(new FormData(e.currentTarget as HTMLFormElement).get('token')).trim())
    if (token()) onToken()
  }
  return (
    <main class="signin">
      <form onSubmit={submit}>
        <h2>Sign in</h2>
        <p>Paste a token. <code>duckwire serve --dev</code> prints an address that has one; <code>duckwire token --user you --cap '*=*'</code> makes one.</p>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" required />
        <button type="submit">Go on</button>
      </form>
    </main>
  )
}
