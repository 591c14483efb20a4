// The official SDK: each of its last four majors.

import { matrix } from '../lib/run.mjs'
import { openaiClient } from './adapter.mjs'

matrix([4, 5, 6, 7].map((major) => openaiClient(major)))
