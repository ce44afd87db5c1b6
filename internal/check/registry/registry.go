// Package registry lists the gates. It is the one place that knows them all.
package registry

import "lumacore.dev/lumacore/internal/check"

// Gates are all gates, in the order in which they are shown.
var Gates = []*check.Gate{
	check.ConfigGate,
}
