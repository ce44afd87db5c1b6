package schema

import (
	"testing"

	"lumacore.dev/lumacore/internal/check/checktest"
)

func TestExamples(t *testing.T) { checktest.Examples(t, Gate) }
