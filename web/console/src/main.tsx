import { render } from 'preact'
import { App } from './app'
import { takeToken } from './token'

takeToken()
render(<App />, document.getElementById('app')!)
