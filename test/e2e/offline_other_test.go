//go:build e2e && !linux

package e2e

import "errors"

func loopbackUp() error { return errors.New("network namespaces are Linux's") }
