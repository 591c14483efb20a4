// The token: from the address (#…?token= or ?token=), from which it is removed at once, or typed in. It is stored for
// the tab.

const key = 'duckwire.token'

/** takeToken moves a token from the address to the tab's session storage. */
export function takeToken(): void {
  const url = new URL(location.href)
  const token = url.searchParams.get('token')
  if (token === null) return
  sessionStorage.setItem(key, token)
  url.searchParams.delete('token')
  history.replaceState(null, '', url)
}

export const token = (): string => sessionStorage.getItem(key) ?? ''

export function setToken(text: string): void {
  if (text) sessionStorage.setItem(key, text)
  else sessionStorage.removeItem(key)
}

/** Claims are the claims that the console displays. Only the server verifies the token. */
export interface Claims {
  user: string
  expires?: Date
}

export function claims(): Claims | undefined {
  try {
    const part = token().split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
    const { sub, exp } = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))))
    return { user: String(sub), expires: exp ? new Date(exp * 1000) : undefined }
  } catch {
    return token() ? { user: 'an API key' } : undefined
  }
}
