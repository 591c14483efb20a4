/** quick says that this is make test: the same rules, with fewer repetitions. */
export const quick = process.env.QUICK === '1'
