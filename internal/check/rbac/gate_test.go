package rbac

import (
	"testing"

	"lumacore.dev/lumacore/internal/check/checktest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}
