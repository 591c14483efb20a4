//go:build !linux

package doctor

import "errors"

func diskOf(string) (*disk, error) {
	return nil, errors.New("free space and the kind of file system are looked at on Linux only")
}
