// Package registry lists the gates. It is the one place that knows them all.
package registry

import (
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/deprecations"
	"lumacore.dev/lumacore/internal/check/dryrun"
	"lumacore.dev/lumacore/internal/check/images"
	"lumacore.dev/lumacore/internal/check/network"
	"lumacore.dev/lumacore/internal/check/podsecurity"
	"lumacore.dev/lumacore/internal/check/policy"
	"lumacore.dev/lumacore/internal/check/promotion"
	"lumacore.dev/lumacore/internal/check/rbac"
	"lumacore.dev/lumacore/internal/check/references"
	"lumacore.dev/lumacore/internal/check/rendering"
	"lumacore.dev/lumacore/internal/check/schema"
	"lumacore.dev/lumacore/internal/check/secrets"
	"lumacore.dev/lumacore/internal/check/values"
	"lumacore.dev/lumacore/internal/check/yaml"
)

// Gates are all gates, in the order in which they are shown.
var Gates = []*check.Gate{
	yaml.Gate,
	rendering.Gate,
	values.Gate,
	schema.Gate,
	deprecations.Gate,
	references.Gate,
	images.Gate,
	podsecurity.Gate,
	policy.Gate,
	network.Gate,
	rbac.Gate,
	secrets.Gate,
	promotion.Gate,
	dryrun.Gate,
	check.ConfigGate,
}
