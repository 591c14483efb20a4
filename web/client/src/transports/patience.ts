const slowest = 4 // bytes per millisecond: links of 4 KB/s and more are slow, and not dead

/** patienceFor returns how long sending a number of bytes may take on a slow link, in ms. */
export const patienceFor = (bytes: number): number => Math.ceil(bytes / slowest)
