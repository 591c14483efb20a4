//go:build !unix

package doctor

func (l *Local) checkFiles(r *Report) {
	r.Skip("file limit", "there is none to look at on this system")
}
