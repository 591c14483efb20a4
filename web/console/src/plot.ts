// A plot of the last minutes, with uPlot. It is loaded on demand.

import uPlot from 'uplot'

const kept = 150 // points

export class Plot {
  #plot: uPlot
  #data: number[][]
  #resized: ResizeObserver

  constructor(
    private readonly parent: HTMLElement,
    names: string[],
  ) {
    this.#data = [[], ...names.map(() => [])]
    const style = getComputedStyle(parent)
    const colour = (name: string) => style.getPropertyValue(name).trim()
    const grid = { stroke: colour('--line'), width: 1 }
    const axis = { stroke: colour('--soft'), grid, ticks: grid }
    this.#plot = new uPlot(
      {
        ...this.#size(),
        scales: { y: { range: (_, _min, max) => [0, Math.max(10, max * 1.1)] } },
        axes: [{ ...axis, space: 90, values: (_, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString()) }, axis],
        series: [{}, ...names.map((label, i) => ({ label, width: 2, stroke: colour(['--accent', '--good'][i] ?? '--ink'), points: { show: false } }))],
      },
      this.#data as uPlot.AlignedData,
      parent,
    )
    this.#resized = new ResizeObserver(() => this.#plot.setSize(this.#size()))
    this.#resized.observe(parent)
  }

  #size() {
    return { width: Math.max(280, this.parent.clientWidth), height: 180 }
  }

  /** add adds the current values. */
  add(values: number[]): void {
    for (const [i, v] of [Date.now() / 1000, ...values].entries()) {
      this.#data[i].push(v)
      if (this.#data[i].length > kept) this.#data[i].shift()
    }
    this.#plot.setData(this.#data as uPlot.AlignedData)
  }

  close(): void {
    this.#resized.disconnect()
    this.#plot.destroy()
  }
}
