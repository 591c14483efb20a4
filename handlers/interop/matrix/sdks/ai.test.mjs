// The AI SDK with the providers that editors use, in its last two majors.

import { matrix } from '../lib/run.mjs'
import { aiClient } from './aisdk.mjs'

const openai = (pkg) => async ({ baseURL, apiKey }) => {
  const { createOpenAI } = await import(pkg)
  const provider = createOpenAI({ baseURL, apiKey })
  return { chat: provider.chat, complete: provider.completion }
}
const compatible = (pkg) => async ({ baseURL, apiKey }) => {
  const { createOpenAICompatible } = await import(pkg)
  const provider = createOpenAICompatible({ name: 'duckwire', baseURL, apiKey, includeUsage: true })
  return { chat: provider.chatModel, complete: provider.completionModel }
}
const mistral = (pkg) => async ({ baseURL, apiKey }) => {
  const { createMistral } = await import(pkg)
  return { chat: createMistral({ baseURL, apiKey }) }
}

const current = { leastNode: 22 }
const ofOpenAI = { lacks: ['models', 'reasoning'] }
const ofMistral = { dialect: 'mistral', lacks: ['models', 'complete', 'reasoning'] }

matrix([
  aiClient('ai 7, @ai-sdk/openai 4', 'ai', openai('@ai-sdk/openai'), { ...ofOpenAI, ...current }),
  aiClient('ai 6, @ai-sdk/openai 3', 'ai-6', openai('@ai-sdk/openai-3'), ofOpenAI),
  aiClient('ai 7, @ai-sdk/openai-compatible 3', 'ai', compatible('@ai-sdk/openai-compatible'), { lacks: ['models'], ...current }),
  aiClient('ai 6, @ai-sdk/openai-compatible 2', 'ai-6', compatible('@ai-sdk/openai-compatible-2'), { lacks: ['models'] }),
  aiClient('ai 7, @ai-sdk/mistral 4', 'ai', mistral('@ai-sdk/mistral'), { ...ofMistral, ...current }),
  aiClient('ai 6, @ai-sdk/mistral 3', 'ai-6', mistral('@ai-sdk/mistral-3'), ofMistral),
])
